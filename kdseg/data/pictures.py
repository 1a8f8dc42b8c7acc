"""Pictures of what networks see and say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from kdseg.data.labelled import labelled
from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from kdseg.data.samples import Sample

    Image = npt.NDArray[np.uint8]

MIN_HEIGHT = 160
"""Smaller pictures are enlarged to this height, so that a person sees something."""
WIDEST = 480
"""Columns of a picture beside others; larger ones are made smaller."""
CAPTION = 22
GAP = 4


def colour_mask(mask: Image, colours: Sequence[tuple[int, int, int]]) -> Image:
    """Paint train indices H×W in their classes' colours, RGB H×W×3; ignored pixels are black."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: len(colours)] = colours
    palette[IGNORE_INDEX] = 0
    return palette[mask]


def overlay(image: Image, mask: Image, colours: Sequence[tuple[int, int, int]], opacity: float = 0.5) -> Image:
    """Lay a mask's colours over its image; ignored pixels show the image alone."""
    painted = cv2.addWeighted(image, 1 - opacity, colour_mask(mask, colours), opacity, 0)
    return np.where((mask == IGNORE_INDEX)[..., None], image, painted).astype(np.uint8)


def fitting(picture: Image, *, of_classes: bool) -> Image:
    """Make a picture smaller that is too wide for a column."""
    height, width = picture.shape[:2]
    if width <= WIDEST:
        return picture
    size = (WIDEST, max(1, round(height * WIDEST / width)))
    way = cv2.INTER_NEAREST if of_classes else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, size, interpolation=way), np.uint8)


def grid(rows: Sequence[Sequence[Image]], captions: Sequence[str]) -> Image:
    """Set pictures in rows, a caption above each column. Where their shapes differ, white fills what is left."""
    height, width = (max(picture.shape[axis] for row in rows for picture in row) for axis in (0, 1))
    factor = max(1, -(-MIN_HEIGHT // height))
    height, width = height * factor, width * factor
    sheet = np.full((CAPTION + len(rows) * (height + GAP), len(captions) * (width + GAP) - GAP, 3), 255, dtype=np.uint8)
    for column, caption in enumerate(captions):
        left = column * (width + GAP)
        cv2.putText(sheet, caption, (left + 4, CAPTION - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        for number, row in enumerate(rows):
            top = CAPTION + number * (height + GAP)
            shown = _enlarged(row[column], height, width)
            sheet[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    return sheet


def _enlarged(picture: Image, height: int, width: int) -> Image:
    """Give a picture as large as it can be in a cell, in its own proportions."""
    factor = min(height / picture.shape[0], width / picture.shape[1])
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def comparison(
    samples: Sequence[Sample],
    predictions: Mapping[str, Sequence[Image]],
    colours: Sequence[tuple[int, int, int]],
) -> Image:
    """Set each sample's image, its truth and the predicted masks side by side.

    Args:
        samples: what the images and their labels are.
        predictions: by caption, the mask of each sample.
        colours: the classes'.
    """
    rows = [
        [
            fitting(sample.image, of_classes=False),
            *(fitting(colour_mask(mask, colours), of_classes=True) for mask in (labelled(sample).mask, *masks)),
        ]
        for sample, *masks in zip(samples, *predictions.values(), strict=True)
    ]
    return grid(rows, ["image", "truth", *predictions])


def make_folder(path: Path) -> None:
    """Make a folder for pictures, where it is not there.

    Raises:
        KdsegError: where it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KdsegError(f"{display_path(path)}: no folder can be made here: {error.strerror}") from error


def refuse_unwritable(path: Path) -> None:
    """Refuse the place of a picture before anything is done that would be lost with it.

    Raises:
        KdsegError: it is a folder, or there is no folder that it would lie in.
    """
    if path.is_dir():
        raise KdsegError(f"{display_path(path)}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise KdsegError(f"{display_path(path)}: cannot be written: there is no folder {display_path(path.parent)}")


def write_image(path: Path, image: Image) -> None:
    """Write an RGB picture H×W×3, or a grey one H×W, as PNG.

    Raises:
        KdsegError: where it cannot be written.
    """
    ok, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image)  # noqa: PLR2004
    assert ok
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise KdsegError(f"{path}: cannot be written: {error.strerror}") from error
