"""The datasets as recipes see them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from attrs import field, frozen
from attrs.validators import and_, deep_iterable, ge, le, optional

from kdseg.components import Dataset
from kdseg_road.classes import CAMVID, CITYSCAPES
from kdseg_road.roots import find_root

if TYPE_CHECKING:
    from kdseg.components import DatasetContext
    from kdseg.data.samples import ClassTable, Samples


_IMAGES = {"train": 2000, "val": 100, "test": 100}


@frozen(kw_only=True)
class SynthRoad(Dataset):
    """Road scenes drawn on the fly, with the classes of Cityscapes: no disk, no download, no end.

    Each image is a pure function of the seed here, the split and its index. The recipe's own seed changes none, so runs
    of several seeds are judged on the same images. `docs/synthroad.md` lists the classes that occur.
    """

    name: ClassVar[str] = "synthroad"
    splits: ClassVar[tuple[str, ...]] = tuple(_IMAGES)
    size: Annotated[tuple[int, int], "height and width, 32..2048"] = field(
        default=(64, 128), validator=deep_iterable(and_(ge(32), le(2048)))
    )
    images: Annotated[int | None, "images of a split; default: 2000 to train on, 100 to judge by"] = field(
        default=None, validator=optional([ge(1), le(1_000_000)])
    )
    seed: Annotated[int, "draws other scenes"] = field(default=0, validator=ge(0))

    def class_table(self) -> ClassTable:
        """Give the 19 classes of Cityscapes."""
        return CITYSCAPES

    def build(self, ctx: DatasetContext) -> Samples:
        """Give a split's scenes."""
        from kdseg_road.synthroad.samples import SynthRoadSamples

        return SynthRoadSamples(self.seed, ctx.split, self.images or _IMAGES[ctx.split], self.size)


@frozen(kw_only=True)
class CamVid(Dataset):
    """Real road scenes from a car (Brostow et al. 2009), 480x360, 11 classes, in the SegNet authors' release.

    367 training, 101 validation and 233 test images. Neighbouring frames are nearly alike, and the validation split is
    one short clip: it ranks nothing.
    """

    name: ClassVar[str] = "camvid"
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    root: Annotated[Path | None, "its folder; default: $KDSEG_DATA/camvid, then $KDSEG_CAMVID"] = None

    def class_table(self) -> ClassTable:
        """Give the 11 classes."""
        return CAMVID

    def build(self, ctx: DatasetContext) -> Samples:
        """List a split's files.

        Raises:
            KdsegError: the folder is missing, or a file has no partner.
        """
        from kdseg_road.camvid import CamVidSamples

        layout = (
            "the 480x360, 11-class release of the SegNet tutorial: folders train, trainannot, val, valannot, test and "
            "testannot of PNG files"
        )
        return CamVidSamples.of(find_root(self.name, self.root, layout), ctx.split)
