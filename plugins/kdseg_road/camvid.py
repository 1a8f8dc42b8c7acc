"""CamVid in the 480x360, 11-class form of the SegNet authors, from its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from attrs import frozen

from kdseg.data.samples import IGNORE_INDEX, Sample
from kdseg.errors import KdsegError
from kdseg_road.classes import CAMVID

if TYPE_CHECKING:
    import numpy.typing as npt

VOID = 11
"""The release's label of pixels that count nowhere."""
_TABLE = np.full(256, 254, np.uint8)  # any value that is neither a class nor ignored: told by `_mask`
_TABLE[: len(CAMVID)] = np.arange(len(CAMVID))
_TABLE[VOID] = IGNORE_INDEX


@frozen(eq=False)
class CamVidSamples:
    """The images of a split with their labels, in the order of their names."""

    files: tuple[tuple[Path, Path], ...]

    @classmethod
    def of(cls, root: Path, split: str) -> CamVidSamples:
        """List a split.

        Raises:
            KdsegError: a folder is missing, or an image or a mask has no partner.
        """
        images, masks = (_pngs(root / folder) for folder in (split, f"{split}annot"))
        for name, others, what in (
            *((name, images, "image") for name in masks),
            *((name, masks, "mask") for name in images),
        ):
            if name not in others:
                has = (masks if what == "image" else images)[name]
                raise KdsegError(f"{has}: has no {what} of the same name; each image of CamVid has one mask")
        return cls(tuple((path, masks[name]) for name, path in images.items()))

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        """Read one image and its mask.

        Raises:
            KdsegError: a file cannot be read, or is not what the release holds.
        """
        image_file, mask_file = self.files[index]
        image = cv2.cvtColor(_read(image_file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        mask = _mask(mask_file)
        if mask.shape != image.shape[:2]:
            raise KdsegError(f"{mask_file}: is {_size(mask)}, its image {_size(image)}; they must be of one size")
        return Sample(image=np.asarray(image, np.uint8), mask=mask, id=image_file.stem)


def _pngs(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise KdsegError(f"{folder}: there is no such folder; CamVid has train, trainannot, val, valannot and so on")
    files = {path.name: path for path in sorted(folder.glob("*.png")) if not path.name.startswith(".")}
    if not files:
        raise KdsegError(f"{folder}: holds no PNG file; CamVid's images and masks are *.png")
    return files


def _mask(file: Path) -> npt.NDArray[np.uint8]:
    labels = _read(file, cv2.IMREAD_UNCHANGED)
    if labels.ndim != 2 or labels.dtype != np.uint8:  # noqa: PLR2004 (a mask is H×W)
        raise KdsegError(
            f"{file}: holds {labels.dtype} {_size(labels)} with {labels.shape[2] if labels.ndim > 2 else 1} channels; "  # noqa: PLR2004
            "a mask is 8-bit grey, the class index in each pixel (not the colour-coded labels)"
        )
    mask = np.asarray(cv2.LUT(labels, _TABLE), np.uint8)
    if (mask == _TABLE[-1]).any():
        raise KdsegError(f"{file}: holds the label {labels.max()}; CamVid's go from 0 to {VOID}, which is ignored")
    return mask


def _read(file: Path, mode: int) -> npt.NDArray[Any]:
    try:
        data = np.frombuffer(file.read_bytes(), np.uint8)
    except OSError as error:
        raise KdsegError(f"{file}: cannot be read: {error.strerror}") from error
    image = cv2.imdecode(data, mode) if data.size else None
    if image is None:
        raise KdsegError(f"{file}: is no image that can be decoded; it may be truncated")
    return np.asarray(image)


def _size(image: npt.NDArray[Any]) -> str:
    return f"{image.shape[0]}x{image.shape[1]}"
