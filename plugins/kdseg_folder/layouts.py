"""Datasets in the layouts in which they are downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from attrs import evolve, frozen

from kdseg import Dataset
from kdseg.listing import Unpaired
from kdseg.roots import find_root

if TYPE_CHECKING:
    from kdseg import ClassTable, DatasetContext, Samples
    from kdseg.mask_values.masks import ValueReader


@frozen(kw_only=True)
class PascalVOC(Dataset):
    """Photographs of Pascal VOC 2012, 20 classes and background (Everingham et al. 2015).

    1464 training and 1449 validation images, those that ImageSets/Segmentation lists. Masks are palette PNGs whose
    indices are the classes; 255, the outline of objects, is ignored. Layout and classes are those of the development
    kit, host.robots.ox.ac.uk/pascal/VOC/voc2012.
    """

    name: ClassVar[str] = "pascal_voc"
    splits: ClassVar[tuple[str, ...]] = ("train", "val")
    root: Annotated[Path | None, "the folder VOC2012; default: $KDSEG_DATA/pascal_voc, then $KDSEG_PASCAL_VOC"] = None
    unpaired: Unpaired = "refuse"

    def class_table(self) -> ClassTable:
        """Give background and the 20 classes."""
        from kdseg_folder.pascal_voc_classes import PASCAL_VOC

        return PASCAL_VOC

    def build(self, ctx: DatasetContext) -> Samples:
        """List a split's files.

        Raises:
            KdsegError: a folder or a list is missing.
        """
        from kdseg import ImageSamples
        from kdseg.listing import Files, paired
        from kdseg_folder.lists import listed_keys
        from kdseg_folder.samples import only

        layout = (
            "pascal_voc is the folder VOCdevkit/VOC2012 of VOCtrainval_11-May-2012.tar: JPEGImages/*.jpg, "
            "SegmentationClass/*.png and ImageSets/Segmentation/{train,val}.txt"
        )
        root = find_root(self.name, self.root, layout)
        images = Files.of([root / "JPEGImages"], (".jpg",), layout)
        masks = Files.of([root / "SegmentationClass"], (".png",), layout)
        keys, defects = listed_keys(root / f"ImageSets/Segmentation/{ctx.split}.txt", images.by_stem, root)
        listing = paired(only(images, keys), only(masks, keys), self.unpaired)
        reader = _reader(self.class_table(), "Pascal VOC's masks hold 0 to 20, and 255 for outlines")
        return ImageSamples.of(evolve(listing, defects=(*listing.defects, *defects)), reader)


@frozen(kw_only=True)
class ADE20K(Dataset):
    """Scenes indoors and outdoors, 150 classes: the benchmark on ADE20K (Zhou et al. 2019, arXiv:1608.05442).

    20,210 training and 2000 validation images. Masks count the classes from 1; 0, other objects, is ignored. Layout and
    classes are those of the development kit, github.com/CSAILVision/sceneparsing.
    """

    name: ClassVar[str] = "ade20k"
    splits: ClassVar[tuple[str, ...]] = ("train", "val")
    root: Annotated[Path | None, "the folder ADEChallengeData2016; default: $KDSEG_DATA/ade20k, then $KDSEG_ADE20K"] = (
        None
    )
    unpaired: Unpaired = "refuse"

    def class_table(self) -> ClassTable:
        """Give the 150 classes."""
        from kdseg_folder.ade20k_classes import ADE20K as TABLE

        return TABLE

    def build(self, ctx: DatasetContext) -> Samples:
        """List a split's files.

        Raises:
            KdsegError: a folder is missing.
        """
        from kdseg import ImageSamples
        from kdseg.listing import Files, paired

        layout = (
            "ade20k is the folder ADEChallengeData2016 of ADEChallengeData2016.zip (sceneparsing.csail.mit.edu): "
            "images/{training,validation}/*.jpg and annotations/{training,validation}/*.png"
        )
        root = find_root(self.name, self.root, layout)
        word = {"train": "training", "val": "validation"}[ctx.split]
        images = Files.of([root / "images" / word], (".jpg",), layout)
        masks = Files.of([root / "annotations" / word], (".png",), layout)
        told = "the benchmark's masks hold 0 to 150; those of the full ADE20K, *_seg.png, are others"
        reader = _reader(self.class_table(), told, reduce_zero_label=True)
        return ImageSamples.of(paired(images, masks, self.unpaired), reader)


def _reader(classes: ClassTable, told: str, *, reduce_zero_label: bool = False) -> ValueReader:
    """Read numbers as train indices; `told` says, for errors, which numbers there are."""
    from kdseg.mask_values.masks import ValueReader
    from kdseg.mask_values.meanings import meaning_of

    meaning = meaning_of(classes.names, {}, reduce_zero_label=reduce_zero_label)
    return ValueReader(meaning, others_are_ignored=False, told=told)
