"""The backbones that recipes name, with their options."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from attrs import field, frozen
from attrs.validators import and_, ge, in_, le, lt

from kdseg.components import Backbone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import nn

    from kdseg.components import BackboneContext

Block = Literal["plain", "depthwise"]
StemStride = Literal[1, 2, 4]
Upsampling = Literal["transposed", "bilinear"]
Norm = Literal["batch", "group"]
Activation = Literal["relu", "leaky_relu", "silu"]

_CHANNELS = and_(ge(1), le(1024))
_PROBABILITY = and_(ge(0.0), lt(1.0))
_BASES = (4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64)
_STAGE = re.compile(r"encoder\.\d+|bottleneck|decoder\.\d+")


class _Family(Backbone):
    """What all UNets share: the names of their stages."""

    def taps(self, module: nn.Module) -> Mapping[str, nn.Module]:
        """Give the stages, in the order in which they run.

        With N down-samplings: ``encoder.1`` … ``encoder.N``, ``bottleneck``, ``decoder.N`` … ``decoder.1``. For images
        H×W behind a stem of stride s, ``encoder.i`` and ``decoder.i`` are base·2^(i-1) channels of ⌈H/(s·2^(i-1))⌉ by
        ⌈W/(s·2^(i-1))⌉ cells, the bottleneck base·2^N of ⌈H/(s·2^N)⌉ by ⌈W/(s·2^N)⌉. Each is taken after its last
        activation and, for the bottleneck, before dropout.
        """
        return {name: stage for name, stage in module.named_modules() if _STAGE.fullmatch(name)}

    def prune(self, wide: nn.Module, narrow: nn.Module) -> None:
        """Fill a narrow UNet with those channels of a wide one whose filters are largest."""
        from kdseg_unet.pruning import take_channels

        take_channels(wide, narrow)


@frozen(kw_only=True)
class UNet(_Family):
    """A UNet (Ronneberger et al. 2015, arXiv:1505.04597) with normalisation; channels double at each down-sampling."""

    name: ClassVar[str] = "unet"

    base: Annotated[int, "channels of the first stage"] = field(default=32, validator=_CHANNELS)
    downsamplings: Annotated[int, "how often the encoder halves height and width, 1 to 8"] = field(
        default=4, validator=and_(ge(1), le(8))
    )
    block: Annotated[Block, "two 3x3 convolutions a stage, plain or depthwise-separable"] = field(
        default="plain", validator=in_(get_args(Block))
    )
    stem_stride: Annotated[StemStride, "by how much a first convolution shrinks the image; 1 for none"] = field(
        default=1, validator=in_(get_args(StemStride))
    )
    upsampling: Annotated[Upsampling, "how the decoder doubles height and width"] = field(
        default="transposed", validator=in_(get_args(Upsampling))
    )
    norm: Annotated[Norm, "batch normalisation, or group normalisation for batches of few images"] = field(
        default="batch", validator=in_(get_args(Norm))
    )
    dropout: Annotated[float, "chance that a channel of the bottleneck is dropped in training, 0 to below 1"] = field(
        default=0.0, validator=_PROBABILITY
    )
    activation: Annotated[Activation, "what follows each normalisation"] = field(
        default="relu", validator=in_(get_args(Activation))
    )

    @classmethod
    def variants(cls) -> Iterable[UNet]:
        """Give networks from some thousand parameters to hundreds of millions, with all stems, blocks and decoders."""
        shapes = product(_BASES, range(2, 7), get_args(StemStride), get_args(Block), get_args(Upsampling))
        for base, downsamplings, stem_stride, block, upsampling in shapes:
            yield cls(
                base=base, downsamplings=downsamplings, stem_stride=stem_stride, block=block, upsampling=upsampling
            )

    def build(self, ctx: BackboneContext) -> nn.Module:
        """Make the network, its first weights drawn from torch's global generator."""
        from kdseg_unet.model import UNetModule

        return UNetModule(self, in_channels=ctx.in_channels, num_classes=ctx.num_classes)


@frozen(kw_only=True)
class UNet70M(_Family):
    """A UNet of 70 million parameters with five down-samplings, for teachers."""

    name: ClassVar[str] = "unet70m"

    base: Annotated[int, "channels of the first stage"] = field(default=48, validator=_CHANNELS)
    dropout: Annotated[float, "chance that a channel of the bottleneck is dropped in training, 0 to below 1"] = field(
        default=0.0, validator=_PROBABILITY
    )

    def build(self, ctx: BackboneContext) -> nn.Module:
        """Make the network, its first weights drawn from torch's global generator."""
        return UNet(base=self.base, downsamplings=5, dropout=self.dropout).build(ctx)


@frozen(kw_only=True)
class UNet1M(_Family):
    """A UNet of 1.1 million parameters with four down-samplings, for real-time students."""

    name: ClassVar[str] = "unet1m"

    base: Annotated[int, "channels of the first stage"] = field(default=12, validator=_CHANNELS)
    dropout: Annotated[float, "chance that a channel of the bottleneck is dropped in training, 0 to below 1"] = field(
        default=0.0, validator=_PROBABILITY
    )

    def build(self, ctx: BackboneContext) -> nn.Module:
        """Make the network, its first weights drawn from torch's global generator."""
        return UNet(base=self.base, dropout=self.dropout).build(ctx)


@frozen(kw_only=True)
class UNet1MFast(_Family):
    """`unet1m` behind a stem of stride 2: as many parameters at a quarter of the work, with coarser edges."""

    name: ClassVar[str] = "unet1m_fast"

    base: Annotated[int, "channels of the first stage"] = field(default=12, validator=_CHANNELS)
    dropout: Annotated[float, "chance that a channel of the bottleneck is dropped in training, 0 to below 1"] = field(
        default=0.0, validator=_PROBABILITY
    )

    def build(self, ctx: BackboneContext) -> nn.Module:
        """Make the network, its first weights drawn from torch's global generator."""
        return UNet(base=self.base, stem_stride=2, dropout=self.dropout).build(ctx)


@frozen(kw_only=True)
class UNetBranches(UNet):
    """A UNet with several last stages on one trunk, which teach each other (ONE, 1806.04606).

    Heads: `branch2` … `branchN`, and `ensemble`, their sum with the first branch by a gate's shares. The first
    branch is what the network gives by itself; the further ones still run once it is trained.
    """

    name: ClassVar[str] = "unet_branches"

    branches: Annotated[int, "how many there are, the first included, 2 to 16"] = field(
        default=3, validator=and_(ge(2), le(16))
    )
    own_stages: Annotated[int, "how many of the last decoder stages each branch has for itself"] = field(
        default=1, validator=ge(1)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse more stages than the decoder has."""
        if self.own_stages > self.downsamplings:
            raise ValueError(f"own_stages must be <= downsamplings, {self.downsamplings}: {self.own_stages}")

    def build(self, ctx: BackboneContext) -> nn.Module:
        """Make the network, its first weights drawn from torch's global generator."""
        from kdseg_unet.branches import BranchesModule

        return BranchesModule(self, in_channels=ctx.in_channels, num_classes=ctx.num_classes)


@frozen(kw_only=True)
class UNetStudentFriendly(UNet):
    """A UNet for teachers that learn beside student-shaped branches on their features (SFTN, 2102.07650).

    Heads: `studentK` for each K of `students`, the student's decoder from stage K on. The other options hold for the
    branches too, but for their channels. Base and down-samplings are those of `unet70m`.
    """

    name: ClassVar[str] = "unet_student_friendly"

    base: Annotated[int, "channels of the first stage"] = field(default=48, validator=_CHANNELS)
    downsamplings: Annotated[int, "how often the encoder halves height and width, 1 to 8"] = field(
        default=5, validator=and_(ge(1), le(8))
    )
    student_base: Annotated[int, "channels of the student's first stage"] = field(default=12, validator=_CHANNELS)
    students: Annotated[tuple[int, ...], "the branches: from which stage of the student's decoder on each begins"] = (
        field(default=(2, 4))
    )

    def __attrs_post_init__(self) -> None:
        """Refuse branches that begin nowhere, or twice at one stage."""
        stages = f"1 to {self.downsamplings}, the stages of the decoder"
        if not self.students or not all(1 <= stage <= self.downsamplings for stage in self.students):
            raise ValueError(f"students must be among {stages}: {list(self.students)}")
        if len(set(self.students)) < len(self.students):
            raise ValueError(f"students must differ: {list(self.students)}")

    def build(self, ctx: BackboneContext) -> nn.Module:
        """Make the network, its first weights drawn from torch's global generator."""
        from kdseg_unet.branches import StudentFriendlyModule

        return StudentFriendlyModule(self, in_channels=ctx.in_channels, num_classes=ctx.num_classes)
