"""Which files of Mapillary Vistas, IDD and A2D2 are a split's, as they are downloaded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import evolve

from kdseg.errors import KdsegError, did_you_mean
from kdseg.listing import Files, Listing, paired, subfolders, unlabelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kdseg.listing import Unpaired

_SCENE = re.compile(r"\d{8}_\d{6}")


def vistas_listing(root: Path, split: str, version: str, layout: str, unpaired: Unpaired) -> Listing:
    """List a split of Vistas. Each version's masks have a folder of their own since v2.0. The test split has none.

    Raises:
        KdsegError: a folder is missing or empty.
    """
    folder = root / {"train": "training", "val": "validation", "test": "testing"}[split]
    images = Files.of([folder / "images"], (".jpg",), layout)
    if split == "test":
        return unlabelled(images)
    masks = folder / version / "labels"
    if version == "v1.2" and not masks.is_dir() and (folder / "labels").is_dir():
        masks = folder / "labels"
    return paired(images, Files.of([masks], (".png",), layout), unpaired)


def idd_listing(root: Path, split: str, ids: str, layout: str, unpaired: Unpaired) -> Listing:
    """List a split of IDD, of which part I has PNG images and part II JPEG. The test split has no labels.

    Args:
        root: the dataset's folder.
        split: one of three.
        ids: which masks are meant: ``level3Ids``.
        layout: what the folder holds, for errors.
        unpaired: whether files without a partner are left out.

    Raises:
        KdsegError: a folder is missing, or a drive has no images or masks.
    """
    images = _of_drives(root / "leftImg8bit" / split, ("_leftImg8bit.png", "_leftImg8bit.jpg"), layout)
    if split == "test":
        return unlabelled(images)
    return paired(images, _of_drives(root / "gtFine" / split, (f"_gtFine_label{ids}.png",), layout), unpaired)


def _of_drives(folder: Path, endings: Sequence[str], layout: str) -> Files:
    """List the files of all drives; frames of two drives have the same names, so their stems begin with the drive."""
    joined = Files(tuple(endings), {}, {})
    for drive in subfolders(folder, layout):
        files = Files.of([folder / drive], endings, layout)
        joined.by_stem.update({f"{drive}/{stem}": path for stem, path in files.by_stem.items()})
        joined.twins.update({f"{drive}/{stem}": twin for stem, twin in files.twins.items()})
    if not joined.by_stem:
        raise KdsegError(f"{folder}: holds no folder of a drive; {layout}")
    return joined


def a2d2_listing(root: Path, scenes: Iterable[str], layout: str, unpaired: Unpaired) -> Listing:
    """List scenes of A2D2, all cameras.

    Raises:
        KdsegError: a folder is missing, or holds no images or masks.
    """
    scenes = list(scenes)
    images = Files.of(_cameras(root, scenes, "camera", layout), (".png",), layout)
    masks = Files.of(_cameras(root, scenes, "label", layout), (".png",), layout)
    named = {stem.replace("_label_", "_camera_"): path for stem, path in masks.by_stem.items()}
    return paired(images, evolve(masks, by_stem=named), unpaired)


def _cameras(root: Path, scenes: Iterable[str], kind: str, layout: str) -> list[Path]:
    return [root / scene / kind / camera for scene in scenes for camera in subfolders(root / scene / kind, layout)]


def a2d2_scenes(root: Path, split: str, kept: dict[str, Sequence[str]], layout: str) -> list[str]:
    """Give the scenes of a split.

    Args:
        root: the dataset's folder.
        split: the one that is wanted.
        kept: of each split but `train`, its scenes; the others are there to train on.
        layout: what the folder holds, for errors.

    Raises:
        KdsegError: there are none, or one that is said is not there.
    """
    there = [name for name in subfolders(root, layout) if _SCENE.fullmatch(name)]
    if not there:
        raise KdsegError(f"{root}: holds no scene, such as 20180807_145028; {layout}")
    if split != "train":
        for scene in kept[split]:
            if scene not in there:
                hint = did_you_mean(scene, there) or f"; there are {', '.join(there)}"
                raise KdsegError(f"{root}: {split}_scenes names {scene!r}, which is not there{hint}")
        return list(kept[split])
    rest = [scene for scene in there if not any(scene in scenes for scenes in kept.values())]
    if not rest:
        raise KdsegError(f"{root}: val_scenes and test_scenes leave no scene to train on; there are {', '.join(there)}")
    return rest
