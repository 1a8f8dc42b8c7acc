"""Datasets with classes of their own, which may be taken as those of Cityscapes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from attrs import field, frozen

from kdseg.components import Dataset
from kdseg.listing import Unpaired
from kdseg.roots import find_root
from kdseg_road.classes import CITYSCAPES, as_cityscapes

if TYPE_CHECKING:
    from attrs import Attribute

    from kdseg.components import DatasetContext
    from kdseg.data.samples import ClassTable, Samples
    from kdseg_road.vistas_labels import VistasLabels

Classes = Literal["own", "cityscapes19"]
_CLASSES = 'its own, or "cityscapes19": the 19 of Cityscapes, and what means none of them is ignored'


@frozen(kw_only=True)
class MapillaryVistas(Dataset):
    """Streets of six continents: the 65 classes that v1.2 evaluates, or the 116 of v2.0 (Neuhold et al., ICCV 2017).

    18,000 training, 2000 validation and 5000 test images of many sizes, the last without labels. The masks are palette
    PNGs whose indices are the labels of config_v1.2.json or config_v2.0.json; "Unlabeled" and what else is not
    evaluated is ignored. Layout and labels were checked against several public loaders, Mask2Former's for one.
    """

    name: ClassVar[str] = "mapillary_vistas"
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    root: Annotated[Path | None, "its folder; default: $KDSEG_DATA/mapillary_vistas, then $KDSEG_MAPILLARY_VISTAS"] = (
        None
    )
    labels: Annotated[Literal["v1.2", "v2.0"], "which of its two sets of masks to read"] = "v1.2"
    classes: Annotated[Classes, _CLASSES] = "own"
    unpaired: Unpaired = "refuse"

    def _labels(self) -> VistasLabels:
        if self.labels == "v1.2":
            from kdseg_road.vistas_labels import V1_2

            return V1_2
        from kdseg_road.vistas_v2_labels import V2_0

        return V2_0

    def class_table(self) -> ClassTable:
        """Give the classes of the version, or the 19 of Cityscapes."""
        return self._labels().table if self.classes == "own" else CITYSCAPES

    def build(self, ctx: DatasetContext) -> Samples:
        """List a split's files.

        Raises:
            KdsegError: a folder is missing or empty.
        """
        from kdseg.data.image_samples import ImageSamples
        from kdseg_road.labels import Labels
        from kdseg_road.layouts import vistas_listing

        layout = (
            "mapillary_vistas is the zip of www.mapillary.com/dataset/vistas, unpacked: {training,validation}/images/"
            f"*.jpg and {{training,validation}}/{self.labels}/labels/*.png (v1.2 without v2.0: labels/*.png), and "
            "testing/images/*.jpg"
        )
        root, said = find_root(self.name, self.root, layout), self._labels()
        indices = said.own if self.classes == "own" else as_cityscapes(said.names, said.as_cityscapes)
        told = f"those of {self.labels} go from 0 to {len(indices) - 1}; the other version's are other labels"
        listing = vistas_listing(root, ctx.split, self.labels, layout, self.unpaired)
        return ImageSamples.of(listing, Labels.of(indices, told, palette=True))


@frozen(kw_only=True)
class IDD(Dataset):
    """Roads of India (Varma et al. 2019, arXiv:1811.10200), parts I and II: the 26 classes that its benchmark scores.

    Its downloads hold polygons. The masks are made by preperation/createLabels.py of github.com/AutoNUE/public-code,
    whose tables say what they hold: `--id-type level3Id`, or `--id-type csTrainId` for the classes of Cityscapes, by
    the makers' own map, in which non-drivable ground is terrain. The test split has no labels.
    """

    name: ClassVar[str] = "idd"
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    root: Annotated[Path | None, "its folder; default: $KDSEG_DATA/idd, then $KDSEG_IDD"] = None
    classes: Annotated[Classes, _CLASSES] = "own"
    unpaired: Unpaired = "refuse"

    def class_table(self) -> ClassTable:
        """Give the 26 classes, or the 19 of Cityscapes."""
        from kdseg_road.idd_labels import IDD as TABLE

        return TABLE if self.classes == "own" else CITYSCAPES

    def build(self, ctx: DatasetContext) -> Samples:
        """List a split's files.

        Raises:
            KdsegError: a folder is missing, or the masks have not been made.
        """
        from kdseg.data.image_samples import ImageSamples
        from kdseg_road.labels import Labels
        from kdseg_road.layouts import idd_listing

        kind = "level3Id" if self.classes == "own" else "csTrainId"
        layout = (
            "idd is IDD Segmentation of idd.insaan.iiit.ac.in, unpacked: leftImg8bit/SPLIT/DRIVE/*_leftImg8bit.png or "
            f".jpg, and gtFine/SPLIT/DRIVE/*_gtFine_label{kind}s.png, which preperation/createLabels.py of "
            f"github.com/AutoNUE/public-code makes from the polygons: --id-type {kind}"
        )
        root = find_root(self.name, self.root, layout)
        count = len(self.class_table())
        labels = Labels.of(range(count), f"{kind}s go from 0 to {count - 1}, and 255 is ignored")
        return ImageSamples.of(idd_listing(root, ctx.split, f"{kind}s", layout, self.unpaired), labels)


def _apart(dataset: A2D2, _: Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    for scene in value:
        if scene in dataset.val_scenes:
            raise ValueError(f"{scene!r} is among val_scenes too; each scene is in one split")


@frozen(kw_only=True)
class A2D2(Dataset):
    """Roads of southern Germany, six cameras, 1920x1208, 38 classes (Geyer et al. 2020, arXiv:2004.06320).

    41,277 labelled frames in 23 scenes, without official splits: frames of a scene are nearly alike, so scenes are kept
    apart whole. Masks hold the colours of class_list.json, several for a class. Layout by the README of the semantic
    segmentation dataset.
    """

    name: ClassVar[str] = "a2d2"
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    root: Annotated[Path | None, "the folder camera_lidar_semantic; default: $KDSEG_DATA/a2d2, then $KDSEG_A2D2"] = None
    classes: Annotated[Classes, _CLASSES] = "own"
    val_scenes: Annotated[tuple[str, ...], "the scenes to judge by"] = ("20181108_084007",)
    test_scenes: Annotated[tuple[str, ...], "the scenes of the test split"] = field(
        default=("20181204_135952",), validator=_apart
    )
    others: Annotated[
        Literal["refuse", "ignore"], "a colour that no class has: refuse the mask, or ignore the pixels"
    ] = "refuse"
    unpaired: Unpaired = "refuse"

    def class_table(self) -> ClassTable:
        """Give the 38 classes, or the 19 of Cityscapes."""
        from kdseg_road.a2d2_labels import A2D2 as TABLE

        return TABLE if self.classes == "own" else CITYSCAPES

    def build(self, ctx: DatasetContext) -> Samples:
        """List a split's files.

        Raises:
            KdsegError: a folder or a scene is missing.
        """
        from kdseg.data.image_samples import ImageSamples
        from kdseg_road.a2d2_labels import A2D2 as TABLE
        from kdseg_road.a2d2_labels import A2D2_AS_CITYSCAPES, A2D2_CODES
        from kdseg_road.colour_labels import ColourLabels
        from kdseg_road.layouts import a2d2_listing, a2d2_scenes

        layout = (
            "a2d2 is camera_lidar_semantic.tar of www.a2d2.audi, unpacked: SCENE/camera/CAMERA/*_camera_*.png and "
            "SCENE/label/CAMERA/*_label_*.png"
        )
        root = find_root(self.name, self.root, layout)
        scenes = a2d2_scenes(root, ctx.split, {"val": self.val_scenes, "test": self.test_scenes}, layout)
        indices = range(len(TABLE)) if self.classes == "own" else as_cityscapes(TABLE.names, A2D2_AS_CITYSCAPES)
        told = 'masks hold the colours of class_list.json alone; others = "ignore" leaves such pixels out'
        codes = tuple((code, indices[number]) for code, number in A2D2_CODES.items())
        labels = ColourLabels(codes, told, self.others == "ignore")
        return ImageSamples.of(a2d2_listing(root, scenes, layout, self.unpaired), labels)
