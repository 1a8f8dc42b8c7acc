"""The two layouts of BDD100K's semantic segmentation (Yu et al. 2020, arXiv:1805.04687)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.data.image_samples import ImageSamples
from kdseg.errors import KdsegError
from kdseg.listing import Files, paired, unlabelled
from kdseg_road.classes import CITYSCAPES
from kdseg_road.labels import Labels

if TYPE_CHECKING:
    from pathlib import Path

    from kdseg.listing import Unpaired

_TODAY = ("images/10k", "labels/sem_seg/masks", ".png")
_OLDER = ("seg/images", "seg/labels", "_train_id.png")


def bdd100k_samples(root: Path, split: str, layout: str, unpaired: Unpaired) -> ImageSamples:
    """List a split, in the order of the images' names. The test split has no labels.

    Raises:
        KdsegError: a folder is missing or empty, or both layouts are there.
    """
    there = [kind for kind in (_TODAY, _OLDER) if (root / kind[0]).is_dir()]
    if not there:
        raise KdsegError(f"{root}: holds neither {_TODAY[0]} nor {_OLDER[0]}; {layout}")
    if len(there) > 1:
        raise KdsegError(
            f"{root}: holds both {_TODAY[0]} and {_OLDER[0]}, today's layout and the older one, whose images differ in "
            "part; move one of them away, or link the other into a folder of its own and give that as root"
        )
    image_folder, mask_folder, ending = there[0]
    images = Files.of([root / image_folder / split], (".jpg", ".jpeg", ".png"), layout)
    told = f"BDD100K's masks hold train ids from 0 to {len(CITYSCAPES) - 1}, and 255 for ignored pixels"
    labels = Labels.of(range(len(CITYSCAPES)), told, palette=True)
    if split == "test":
        return ImageSamples.of(unlabelled(images), labels)
    masks = Files.of([root / mask_folder / split], (ending,), layout)
    return ImageSamples.of(paired(images, masks, unpaired), labels)
