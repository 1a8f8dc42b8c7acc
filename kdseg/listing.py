"""Which image belongs to which mask, and what has no partner."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from attrs import evolve, frozen

from kdseg.data.samples import Defect
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

log = logging.getLogger("kdseg.data")

Unpaired = Annotated[
    Literal["refuse", "skip"],
    'an image without a mask, or a mask without an image: "refuse" to run, or "skip" them with a line in the log',
]
"""What a dataset's option says of files without a partner, with its help."""
_NAMED = 3  # files of those that are skipped


@frozen
class Listing:
    """The files of a split's samples, in the order of their ids."""

    files: dict[str, tuple[Path, ...]]
    """By id: the image, then its mask where it has one, then whatever else belongs to it."""
    defects: tuple[Defect, ...]

    def __add__(self, other: Listing) -> Listing:
        """Join with the files of another part of the split."""
        return Listing(dict(sorted((self.files | other.files).items())), self.defects + other.defects)

    def with_each(self, what: str, beside: tuple[str, str]) -> Listing:
        """Add a third file to each sample, beside its mask, named with ``beside[1]`` in place of ``beside[0]``."""
        files: dict[str, tuple[Path, ...]] = {}
        defects = []
        for stem, (image, mask) in self.files.items():
            third = mask.with_name(mask.name.replace(*beside))
            if third.is_file():
                files[stem] = (image, mask, third)
            else:
                defects.append(Defect(mask, f"has no {what} {third.name} beside it"))
        return Listing(files, (*self.defects, *defects))


@frozen
class Files:
    """Files of one sort, by what their names begin with."""

    endings: tuple[str, ...]
    by_stem: dict[str, Path]
    twins: dict[str, Defect]
    """Of the stems that several files have."""

    @classmethod
    def of(cls, folders: Iterable[Path], endings: Sequence[str], layout: str) -> Files:
        """List the files of some folders whose names end so; hidden ones and others are no part of the dataset.

        Args:
            folders: where to look; not below them.
            endings: of the names; what precedes one is the stem.
            layout: what the dataset's folder holds, for the errors.

        Raises:
            KdsegError: a folder is missing, or none of them holds such a file.
        """
        by_stem: dict[str, Path] = {}
        twins: dict[str, Defect] = {}
        folders = list(folders)
        for folder in folders:
            for name in _names(folder, layout):
                ending = next((ending for ending in endings if name.endswith(ending)), None)
                if ending is None or name.startswith("."):
                    continue
                stem, path = name.removesuffix(ending), folder / name
                first = by_stem.setdefault(stem, path)
                if first is not path:
                    twins[stem] = Defect(path, f"is a second {stem!r}, beside {first}; one of the two is wrong here")
        if not by_stem:
            where = str(folders[0]) if len(folders) == 1 else f"{folders[0].parent}: none of its folders"
            raise KdsegError(f"{where}: holds no {' or '.join(f'*{ending}' for ending in endings)}; {layout}")
        return cls(tuple(endings), by_stem, twins)


def unlabelled(images: Files) -> Listing:
    """List images that are to have no masks."""
    kept = sorted(images.by_stem.keys() - images.twins.keys())
    return Listing({stem: (images.by_stem[stem],) for stem in kept}, tuple(images.twins.values()))


def paired(images: Files, masks: Files, unpaired: Unpaired) -> Listing:
    """Bring images and masks together by their stems.

    Several files of one stem are defects. So is a file without a partner, unless those are to be skipped: then the log
    tells of them.
    """
    both = images.by_stem.keys() & masks.by_stem.keys()
    twins = images.twins | masks.twins
    listing = Listing(
        {stem: (images.by_stem[stem], masks.by_stem[stem]) for stem in sorted(both - twins.keys())},
        tuple(sorted((*images.twins.values(), *masks.twins.values()), key=lambda defect: defect.file)),
    )
    for here, there, what in ((images, masks, "mask"), (masks, images, "image")):
        alone = sorted(here.by_stem.keys() - there.by_stem.keys())
        if unpaired == "refuse":
            defects = (Defect(here.by_stem[stem], f"has no {what} {stem}{there.endings[0]}") for stem in alone)
            listing = evolve(listing, defects=(*listing.defects, *defects))
        elif alone:
            some = ", ".join(str(here.by_stem[stem]) for stem in alone[:_NAMED])
            more = f" and {len(alone) - _NAMED} more" if len(alone) > _NAMED else ""
            log.warning(
                "left out, because %s no %s: %s%s", "it has" if len(alone) == 1 else "they have", what, some, more
            )
    return listing


def subfolders(folder: Path, layout: str) -> list[str]:
    """Give the names of the folders in a folder, sorted.

    Raises:
        KdsegError: it is missing.
    """
    return sorted(name for name in _names(folder, layout) if not name.startswith(".") and (folder / name).is_dir())


def _names(folder: Path, layout: str) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        raise KdsegError(f"{folder}: there is no such folder; {layout}") from None
    except OSError as error:
        raise KdsegError(f"{folder}: cannot be read: {error.strerror}") from error
