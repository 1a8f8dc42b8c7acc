"""The layout of CamVid in the 480x360, 11-class form of the SegNet authors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.data.image_samples import ImageSamples
from kdseg.data.samples import IGNORE_INDEX
from kdseg.listing import Files, paired
from kdseg_road.classes import CAMVID
from kdseg_road.labels import Labels

if TYPE_CHECKING:
    from pathlib import Path

    from kdseg.listing import Unpaired

VOID = 11
"""The release's label of pixels that count nowhere."""


def camvid_samples(root: Path, split: str, layout: str, unpaired: Unpaired) -> ImageSamples:
    """List a split, in the order of the images' names.

    Raises:
        KdsegError: a folder is missing or empty.
    """
    images = Files.of([root / split], (".png", ".jpg", ".jpeg"), layout)
    masks = Files.of([root / f"{split}annot"], (".png",), layout)
    labels = Labels.of((*range(len(CAMVID)), IGNORE_INDEX), f"CamVid's go from 0 to {VOID}, which is ignored")
    return ImageSamples.of(paired(images, masks, unpaired), labels)
