"""The rows of a split as samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kdseg import KdsegError, Sample, did_you_mean, read_rgb
from kdseg_huggingface.rows import open_rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from kdseg.mask_values.masks import ValueReader
    from kdseg_huggingface.dataset import HuggingFace


def open_split(options: HuggingFace, split: str) -> HFSamples:
    """Open a split.

    Raises:
        KdsegError: it is not there, or lacks a column.
    """
    place, rows = open_rows(options, split)
    columns = [options.image, *([options.mask] if options.mask else [])]
    for option, column in zip(("image", "mask"), columns, strict=False):
        if column not in rows.column_names:
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
