"""The layout of CamVid in the 480x360, 11-class form of the SegNet authors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.data.samples import IGNORE_INDEX
from kdseg_road.classes import CAMVID
from kdseg_road.listing import Files, paired
from kdseg_road.road_files import Labels, RoadFiles

if TYPE_CHECKING:
    from pathlib import Path

    from kdseg_road.listing import Unpaired

VOID = 11
"""The release's label of pixels that count nowhere."""


def camvid_samples(root: Path, split: str, layout: str, unpaired: Unpaired) -> RoadFiles:
    """List a split, in the order of the images' names.

    Raises:
        KdsegError: a folder is missing or empty.
    """
    images = Files.of([root / split], (".png", ".jpg", ".jpeg"), layout)
    masks = Files.of([root / f"{split}annot"], (".png",), layout)
    labels = Labels.of((*range(len(CAMVID)), IGNORE_INDEX), f"CamVid's go from 0 to {VOID}, which is ignored")
    return RoadFiles.of(paired(images, masks, unpaired), labels)
