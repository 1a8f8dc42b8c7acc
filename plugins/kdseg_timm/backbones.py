"""The backbones as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from attrs import field, frozen
from attrs.validators import ge, le

from kdseg import Backbone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from kdseg import BackboneContext


@frozen(kw_only=True)
class TimmUNet(Backbone):
    """An encoder of timm with fresh weights, and a UNet's decoder.

    The encoder's tensors are called as timm calls them, after `encoder.`, so that a file of timm's fits it:
    `weights = { file = "resnet18.safetensors", rename = { "" = "encoder." }, partial = true }`. Nothing is downloaded.
    """

    name: ClassVar[str] = "timm_unet"
    requires: ClassVar[tuple[str, ...]] = ("timm>=1.0.20",)

    encoder: Annotated[str, "timm's name of it, such as resnet18 or mobilenetv4_conv_small"] = "resnet18"
    width: Annotated[int, "channels of the decoder's finest stage; twice as many at each coarser one, 256 at most"] = (
        field(default=32, validator=[ge(1), le(256)])
    )

    def build(self, ctx: BackboneContext) -> nn.Module:
        """Make the network, its first weights drawn from torch's global generator.

        Raises:
            KdsegError: timm has no such encoder, or one that gives no features by stages.
        """
        from kdseg_timm.timm_unet import TimmUNetNetwork

        return TimmUNetNetwork(self.encoder, self.width, ctx)

    def taps(self, module: nn.Module) -> Mapping[str, nn.Module]:
        """Give the encoder's stages, ``encoder.1`` the finest, and ``decoder``, what the classifier reads."""
        from kdseg_timm.timm_unet import TimmUNetNetwork

        assert isinstance(module, TimmUNetNetwork)
        return {**module.stages.named(), "decoder": module.decoder[-1]}


@frozen(kw_only=True)
class SMP(Backbone):
    """A network of segmentation_models.pytorch with fresh weights.

    Its tensors are called as there, so that a file of its weights fits: `weights = { file = "unet.pth" }`. Nothing is
    downloaded.
    """

    name: ClassVar[str] = "smp"
    requires: ClassVar[tuple[str, ...]] = ("segmentation-models-pytorch>=0.5",)

    architecture: Annotated[str, "unet, unetplusplus, fpn, deeplabv3plus, segformer, … but not dpt"] = "unet"
    encoder: Annotated[str, "the library's name of it, such as resnet34 or mit_b0; timm's with tu- in front"] = (
        "resnet34"
    )

    def build(self, ctx: BackboneContext) -> nn.Module:
        """Make the network, its first weights drawn from torch's global generator.

        Raises:
            KdsegError: the library has no such architecture or encoder, or they do not go together.
        """
        from kdseg_timm.smp_network import SMPNetwork

        return SMPNetwork(self.architecture, self.encoder, ctx)

    def taps(self, module: nn.Module) -> Mapping[str, nn.Module]:
        """Give the encoder's stages, ``encoder.1`` the finest, and ``decoder``, what the classifier reads."""
        from kdseg_timm.smp_network import SMPNetwork

        assert isinstance(module, SMPNetwork)
        return {**module.stages.named(), "decoder": module.decoder}
