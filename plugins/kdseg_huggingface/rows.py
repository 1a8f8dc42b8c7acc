"""The rows of a split: of a folder that `save_to_disk` wrote, of parquet files, or of the library's caches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdseg import KdsegError, cache_folder

if TYPE_CHECKING:
    from kdseg_huggingface.dataset import HuggingFace

_WHOLE, _PART = "dataset_dict.json", "state.json"
"""By which a folder is known that `save_to_disk` wrote: of a DatasetDict, and of a Dataset."""
_PARQUET = "**/{split}[-.]*parquet"
"""How a server's datasets call their files."""


def open_rows(options: HuggingFace, split: str) -> tuple[Path, Any]:
    """Give what a split's rows are of, for messages, and the rows. Nothing is fetched.

    Raises:
        KdsegError: they are not there.
    """
    if options.repo is not None:
        return _cached(options, options.repo, split)
    assert options.root is not None
    if options.files:
        return _parquet(options, options.root, options.files, split)
    return _saved(options, options.root, split)


def _saved(options: HuggingFace, root: Path, split: str) -> tuple[Path, Any]:
    """Open a split of what `save_to_disk` wrote."""
    from datasets import load_from_disk

    if not (root / _WHOLE).is_file():
        if (root / _PART).is_file():
            found = "holds one split; save a DatasetDict: dataset.train_test_split(test_size=0.2).save_to_disk(FOLDER)"
        elif root.is_dir():
            found = 'is not what save_to_disk wrote of a DatasetDict; for parquet files say files = "{split}-*.parquet"'
        else:
            found = "there is no such folder; root names it"
        raise KdsegError(f"{root}: {found}")
    try:
        whole = load_from_disk(str(root))
    except (OSError, ValueError, KeyError) as error:
        raise KdsegError(f"{root}: the library cannot open it: {error}") from error
    word = _word(options, root, split, list(whole))
    return root / word, whole[word]


def _parquet(options: HuggingFace, root: Path, files: str, split: str) -> tuple[Path, Any]:
    """Open the parquet files of a split; the library keeps what it makes of them in kdseg's cache."""
    from datasets import Dataset

    for word in options.words(split):
        found = sorted(root.glob(files.replace("{split}", word)))
        folders = sorted({path.parent.relative_to(root).as_posix() for path in found})
        if len(folders) > 1 and not options.files:
            raise KdsegError(
                f"{root}: {', '.join(folders)} have files of {word!r}; config names one of them, or files says which: "
                f'files = "{folders[0]}/{{split}}-*.parquet"'
            )
        if found:
            try:
                kept = str(cache_folder() / "huggingface")
                return root / word, Dataset.from_parquet([str(path) for path in found], cache_dir=kept)
            except Exception as error:  # of several libraries
                raise KdsegError(f"{found[0]}: the library cannot read it: {error.__cause__ or error}") from error
    raise KdsegError(f"{root}: {_no_split(options, split)} no file fits files = {files!r}")


def _cached(options: HuggingFace, repo: str, split: str) -> tuple[Path, Any]:
    """Open a split of what the library prepared of a dataset, else of what was fetched of it."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    found = None if options.files else _prepared(options, repo, split)
    if found is not None:
        return found
    try:
        folder = snapshot_download(repo, repo_type="dataset", local_files_only=True)
    except LocalEntryNotFoundError as error:
        raise KdsegError(
            f"{repo}: is not in the library's cache, {constants.HF_HUB_CACHE}, and nothing is fetched here; where "
            f"there is a network: hf download --repo-type dataset {repo}"
        ) from error
    below = f"{options.config}/" if options.config else ""
    return _parquet(options, Path(folder), options.files or below + _PARQUET, split)


def _prepared(options: HuggingFace, repo: str, split: str) -> tuple[Path, Any] | None:
    """Open a split that `load_dataset` has prepared; None where it has not."""
    from datasets import config
    from datasets.naming import camelcase_to_snakecase
    from datasets.packaged_modules.cache.cache import Cache

    *owner, name = repo.split("/")
    folder = Path(config.HF_DATASETS_CACHE) / "___".join((*owner, camelcase_to_snakecase(name)))
    known = sorted({path.parents[2].name for path in folder.glob("*/*/*/dataset_info.json")})
    if not known or options.config not in (None, *known):
        return None
    if options.config is None and len(known) > 1:
        raise KdsegError(f'{repo}: is prepared as {", ".join(known)}; say which: config = "{known[0]}"')
    try:
        builder = Cache(
            dataset_name=name, repo_id=repo, config_name=options.config or known[0], version="auto", hash="auto"
        )
        word = _word(options, Path(repo), split, list(builder.info.splits or ()))
        return Path(repo) / word, builder.as_dataset(split=word)
    except (OSError, ValueError, KeyError) as error:
        raise KdsegError(f"{folder}: the library cannot open what it prepared of {repo}: {error}") from error


def _word(options: HuggingFace, place: Path, split: str, there: list[str]) -> str:
    """Give what a split is called among those that are there."""
    word = next((word for word in options.words(split) if word in there), None)
    if word is None:
        raise KdsegError(f"{place}: {_no_split(options, split)} it has {', '.join(there)}")
    return word


def _no_split(options: HuggingFace, split: str) -> str:
    words = " or ".join(map(repr, options.words(split)))
    return f'no split is called {words}, as {split} would be (split_names = {{ {split} = "…" }} says another name);'
