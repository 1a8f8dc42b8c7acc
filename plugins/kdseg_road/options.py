"""The datasets as recipes see them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from attrs import frozen

from kdseg.components import Dataset
from kdseg_road.classes import CAMVID
from kdseg_road.roots import find_root

if TYPE_CHECKING:
    from kdseg.components import DatasetContext
    from kdseg.data.samples import ClassTable, Samples


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
