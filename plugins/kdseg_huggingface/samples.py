"""The rows of a split as samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kdseg import KdsegError, Sample, cache_folder, did_you_mean, read_rgb

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from kdseg.mask_values.masks import ValueReader
    from kdseg_huggingface.dataset import HuggingFace

_WHOLE, _PART = "dataset_dict.json", "state.json"
"""By which a folder is known that `save_to_disk` wrote: of a DatasetDict, and of a Dataset."""


def open_split(options: HuggingFace, split: str) -> HFSamples:
    """Open a split.

    Raises:
        KdsegError: it is not there, or lacks a column.
    """
    word, rows = (_parquet if options.files else _saved)(options, split)
    place = options.root / word
    columns = [options.image, *([options.mask] if options.mask else [])]
    for option, column in zip(("image", "mask"), columns, strict=False):
        if column not in rows.column_names:
            found = ", ".join(rows.column_names)
            hint = did_you_mean(column, rows.column_names)
            found = ", ".join(rows.column_names)
            raise KdsegError(f'{place}: has no column {column!r}{hint}; it has {found}; say {option} = "…"')
    return HFSamples(
        rows=_undecoded(rows.select_columns(columns), place),
        place=place,
        columns=tuple(columns),
        reader=options.reader(),
    )


@frozen(eq=False)
class HFSamples:
    """A split, row by row."""

    rows: Any
    place: Path
    columns: tuple[str, ...]
    """Of images, and of masks unless there are none."""
    reader: ValueReader

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        """Read one row.

        Raises:
            KdsegError: naming its place, where an image or a mask cannot be read, or means nothing.
        """
        row = self.rows[index]
        image_column, *mask_columns = self.columns
        file, content = self._file(row, index, image_column)
        image = read_rgb(file, upright=True, content=content)
        mask = None
        for column in mask_columns:
            file, content = self._file(row, index, column)
            mask = self.reader.read(file, content)
            _same_size(mask, file, image)
        return Sample(image=image, mask=mask, id=f"{index:06}")

    def _file(self, row: dict[str, Any], index: int, column: str) -> tuple[Path, bytes | None]:
        """Give a cell's file, or what it is called, with its bytes."""
        cell = row[column] or {}
        content, path = cell.get("bytes"), cell.get("path")
        if content is None and path:
            return Path(path), None
        name = self.place / f"{column}[{index}]"
        if content is None:
            raise KdsegError(f"{name}: is empty; each row has an image and a mask")
        return name, content


def _saved(options: HuggingFace, split: str) -> tuple[str, Any]:
    """Open a split of what `save_to_disk` wrote."""
    from datasets import load_from_disk

    root = options.root
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
    word = next((word for word in options.words(split) if word in whole), None)
    if word is None:
        raise KdsegError(f"{root}: {_no_split(options, split)} it has {', '.join(whole)}")
    return word, whole[word]


def _parquet(options: HuggingFace, split: str) -> tuple[str, Any]:
    """Open the parquet files of a split; the library keeps what it makes of them in kdseg's cache."""
    from datasets import Dataset

    for word in options.words(split):
        found = sorted(str(path) for path in options.root.glob(options.files.replace("{split}", word)))
        if found:
            try:
                return word, Dataset.from_parquet(found, cache_dir=str(cache_folder() / "huggingface"))
            except Exception as error:  # of several libraries
                raise KdsegError(f"{found[0]}: the library cannot read it: {error.__cause__ or error}") from error
    raise KdsegError(f"{options.root}: {_no_split(options, split)} no file fits files = {options.files!r}")


def _no_split(options: HuggingFace, split: str) -> str:
    words = " or ".join(map(repr, options.words(split)))
    return f'no split is called {words}, as {split} would be (split_names = {{ {split} = "…" }} says another name);'


def _undecoded(rows: Any, place: Path) -> Any:
    """Have images given as their files' bytes: kdseg reads them, and Pillow need not be there."""
    from datasets import Image

    for column in rows.column_names:
        try:
            rows = rows.cast_column(column, Image(decode=False))
        except (TypeError, ValueError, NotImplementedError) as error:  # each of Arrow's
            found = rows.features[column]
            raise KdsegError(f"{place}: the column {column!r} holds no images, but {found}") from error
    return rows.with_format(None)


def _same_size(mask: npt.NDArray[np.uint8], file: Path, image: npt.NDArray[np.uint8]) -> None:
    if mask.shape != image.shape[:2]:
        sizes = [f"{height}x{width}" for height, width, *_ in (mask.shape, image.shape)]
        raise KdsegError(f"{file}: is {sizes[0]}, its image {sizes[1]}; they must be of one size")
