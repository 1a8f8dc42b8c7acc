"""Networks, and the files in which they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from kdseg.components.base import Component

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from typing import Any

    from torch import Tensor, nn

    from kdseg.exports import Runner


@frozen(kw_only=True)
class BackboneContext:
    """What a backbone is built for."""

    in_channels: int
    num_classes: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """What was taken from the RGB values in 0..1 of the images that it will see: for networks that want another."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """What they were divided by then."""


class Backbone(Component):
    """A segmentation network.

    Its module takes float images N×3×H×W, normalised, and gives logits N×C×H×W at the input's size, for any
    H and W of 32 or more; or a dict with those under ``"logits"`` and further heads under names of their own.
    """

    program: ClassVar[bool] = False
    """Whether it runs a file that holds a whole network: `weights` names it, `open` is given it, and it cannot learn.
    """

    def build(self, ctx: BackboneContext) -> nn.Module:
        """Make the network, its first weights drawn from torch's global generator."""
        raise NotImplementedError

    def open(self, module: nn.Module, file: Path) -> None:
        """Of a program: let a module that `build` made run what a file holds.

        The module may lie on the meta device. It must still open the file, and give the right shapes for images there.

        Raises:
            KdsegError: the file holds no such program, naming it and the mend.
        """
        raise NotImplementedError

    def taps(self, module: nn.Module) -> Mapping[str, nn.Module]:  # noqa: ARG002 (a default for networks without stages)
        """Give stable stage names (``encoder.1`` … ``bottleneck`` … ``decoder.1``) to submodules of `module`.

        No later layer may change what they give in its place, as ``nn.ReLU(inplace=True)`` does: losses read it.
        """
        return {}

    def prune(self, wide: nn.Module, narrow: nn.Module) -> None:  # noqa: ARG002 (a default for networks of one width)
        """Fill `narrow`, a network of this component, with the channels of a wider one that matter most.

        Args:
            wide: trained; of any component.
            narrow: both may live on the meta device, where nothing but shapes is looked at.

        Raises:
            KdsegError: it cannot be made of the wider one.
        """
        from kdseg.errors import KdsegError

        raise KdsegError(f"{self.name!r} cannot be made of the channels of a wider network")

    @classmethod
    def variants(cls) -> Iterable[Backbone]:
        """Give networks of its family, small and large, among which ``kdseg fit-student`` searches."""
        return ()

    def class_names(self) -> tuple[str, ...] | None:
        """Give what its logits mean, in their order, where files of its own say it: for a recipe's `class_map`."""
        return None


@frozen(kw_only=True)
class ExportContext:
    """What an exporter writes."""

    file: Path
    """Where; it ends in `Exporter.suffix`, in a folder that holds nothing else."""
    module: nn.Module
    """What the file must say: images N×3×H×W in, uint8 or, for logits, floats in 0..1; classes uint8 N×H×W or logits
    N×C×H×W out. In eval mode, in float32, on the CPU, batch normalisation folded. The exporter may change it."""
    network: nn.Module
    """The network within `module`, which gives it what its weights are made of: cast it for another precision."""
    example: Tensor
    """Images as `module` takes them, for tracing; of `size` where that is set, else of odd sizes."""
    size: tuple[int, int] | None
    """Height and width, where the file is to take one image of this size alone; None: any number of any size."""
    precision: str
    """One of `Exporter.precisions`."""
    calibration: Callable[[], Iterable[Tensor]]
    """Gives images of the training split, one at a time as `module` takes them: for int8."""
    card: Mapping[str, Any]
    """What the file must carry, as plain data: `Exporter.read` gives it back."""


@frozen(kw_only=True)
class RunnerContext:
    """How a file is to be run."""

    card: Mapping[str, Any]
    """What `Exporter.read` gave."""
    threads: int
    """Of the processor."""


class Exporter(Component):
    """A format in which a trained network leaves for programs without PyTorch; kdseg runs its files, too.

    `build` writes one. A component of this kind has its options' defaults alone.
    """

    suffix: ClassVar[str]
    """With which its files end: ``.onnx``."""
    beside: ClassVar[tuple[str, ...]] = ()
    """With which further files end that it writes beside, of the same stem: ``(".bin",)``."""
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    """Of fp32, bf16 and int8 those that it writes."""
    cannot: ClassVar[Mapping[str, str]] = {}
    """Why not, for others of the three."""
    writes_with: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Requirement strings of what writing in a precision needs beyond `requires`, with which files are run."""
    runs_code: ClassVar[bool] = False
    """Whether opening a file can run code of its maker's: it is then opened only where a person trusts it."""

    def build(self, ctx: ExportContext) -> None:
        """Write `ctx.file`.

        Raises:
            KdsegError: the network cannot be written so; the text says why, and the mend.
        """
        raise NotImplementedError

    def read(self, file: Path) -> Mapping[str, Any] | None:
        """Give the card that `build` wrote, without running anything in the file; None where it carries none.

        Raises:
            KdsegError: it is damaged, or no such file at all.
        """
        raise NotImplementedError

    def open(self, file: Path, ctx: RunnerContext) -> Runner:
        """Make what runs a file that `build` wrote.

        Raises:
            KdsegError: it is damaged, or cannot be run here.
        """
        raise NotImplementedError
