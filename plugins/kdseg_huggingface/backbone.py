"""The backbone as recipes see it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from attrs import field, frozen
from attrs.validators import and_, deep_iterable, ge, le

from kdseg import Backbone

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from attrs import Attribute
    from torch import nn

    from kdseg import BackboneContext

_SIDE = and_(ge(32), le(4096))


def _height_and_width(_: Any, __: Attribute[tuple[int, ...]], value: tuple[int, ...]) -> None:
    if len(value) not in (0, 2):
        raise ValueError(f"has {len(value)} numbers; write the height and the width: [640, 640]")


@frozen(kw_only=True)
class HFSegmentation(Backbone):
    """A segmentation network of transformers, built from its configuration with fresh weights.

    Its trained weights are a file like any other: `weights = { file = "segformer/model.safetensors" }`, or the
    `model.safetensors.index.json` of several. With another number of classes than the file's, a learner takes all but
    the head by `partial = true`, and a frozen one says by `class_map` what its classes are. Networks that predict
    masks, such as Mask2Former and EoMT, give the logarithm of each class's score at each pixel.
    """

    name: ClassVar[str] = "hf_segmentation"
    requires: ClassVar[tuple[str, ...]] = ("transformers>=5.24",)

    folder: Annotated[
        Path | None, "what save_pretrained wrote: config.json and, for how it normalises, preprocessor_config.json"
    ] = None
    model: Annotated[str | None, "or a model's name in the library's cache, such as nvidia/mit-b0"] = None
    download: Annotated[bool, "fetch the configuration of `model` where the cache lacks it"] = False
    size: Annotated[
        tuple[int, ...],
        "height and width at which the network sees every image; default: the image's, or the only ones that it takes",
    ] = field(default=(), validator=[_height_and_width, deep_iterable(_SIDE)])

    def __attrs_post_init__(self) -> None:
        """Refuse two configurations, or none."""
        if (self.folder is None) == (self.model is None):
            raise ValueError("folder or model must say where the configuration is: one of the two")
        if self.download and self.model is None:
            raise ValueError("download fetches what `model` names; a folder is here already")

    def build(self, ctx: BackboneContext) -> nn.Module:
        """Make the network, its first weights drawn from torch's global generator.

        Raises:
            KdsegError: its configuration is not here, or is no segmentation network's.
        """
        from kdseg_huggingface.configuration import find_configuration, find_normalisation
        from kdseg_huggingface.network import HFNetwork

        return HFNetwork(
            find_configuration(self, ctx),
            normalisation=find_normalisation(self),
            given=(ctx.mean, ctx.std),
            size=self.size,
        )

    def taps(self, module: nn.Module) -> Mapping[str, nn.Module]:
        """Give SegFormer's stages, ``encoder.1`` … ``encoder.4``, and ``decoder``, the features below its classifier.

        Stage i of SegFormer has 1/2^(i+1) of the image's height and width, its decoder a quarter. Other networks name
        no stages; any dotted path to a module whose output is N×C×H×W is a tap.
        """
        from kdseg_huggingface.network import HFNetwork

        assert isinstance(module, HFNetwork)
        return module.stages()

    def class_names(self) -> tuple[str, ...] | None:
        """Give the names that the configuration lists; None where two are the same.

        Raises:
            KdsegError: it is not here.
        """
        from kdseg_huggingface.configuration import read_configuration

        labels = read_configuration(self).id2label
        names = tuple(str(labels[number]) for number in sorted(labels))
        return names if len({*names}) == len(names) else None
