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


def grid(rows: Sequence[Sequence[Image]], captions: Sequence[str]) -> Image:
    """Set pictures of one size in rows, a caption above each column."""
    height, width = rows[0][0].shape[:2]
    factor = max(1, -(-MIN_HEIGHT // height))
    height, width = height * factor, width * factor
    sheet = np.full((CAPTION + len(rows) * (height + GAP), len(captions) * (width + GAP) - GAP, 3), 255, dtype=np.uint8)
    for column, caption in enumerate(captions):
        left = column * (width + GAP)
        cv2.putText(sheet, caption, (left + 4, CAPTION - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        for number, row in enumerate(rows):
            top = CAPTION + number * (height + GAP)
            sheet[top : top + height, left : left + width] = cv2.resize(
                row[column], (width, height), interpolation=cv2.INTER_NEAREST
            )
    return sheet


def comparison(
    samples: Sequence[Sample],
    predictions: Mapping[str, Sequence[Image]],
    colours: Sequence[tuple[int, int, int]],
) -> Image:
    """Set each sample's image, its truth and the predicted masks side by side.

    Args:
        samples: images of one size.
        predictions: by caption, the mask of each sample.
        colours: the classes'.
    """
    rows = [
        [sample.image, *(colour_mask(mask, colours) for mask in (labelled(sample).mask, *masks))]
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
