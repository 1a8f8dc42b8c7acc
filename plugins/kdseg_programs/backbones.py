"""The backbones as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from attrs import field, frozen
from attrs.validators import and_, deep_iterable, ge, le, optional

from kdseg import Backbone, KdsegError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from attrs import Attribute
    from torch import nn

    from kdseg import BackboneContext
    from kdseg_programs.opened import Opened

_SIDE = and_(ge(32), le(4096))


def _height_and_width(_: Any, __: Attribute[tuple[int, ...]], value: tuple[int, ...]) -> None:
    if len(value) not in (0, 2):
        raise ValueError(f"has {len(value)} numbers; write the height and the width: [512, 1024]")


def _channels(least: float) -> Any:
    """Make the validator of a number for each channel, at most 1."""
    return optional(deep_iterable(and_(ge(least), le(1.0))))


@frozen(kw_only=True)
class Program(Backbone):
    """What all programs share."""

    program: ClassVar[bool] = True

    images: Annotated[
        Literal["normalised", "unit", "bytes"],
        "what the program takes: RGB values normalised by mean and std; in 0..1; or in 0..255",
    ] = "normalised"
    mean: Annotated[
        tuple[float, float, float] | None, "taken off RGB values in 0..1, where they are normalised; default: data.mean"
    ] = field(default=None, validator=_channels(0.0))
    std: Annotated[tuple[float, float, float] | None, "what they are divided by then; default: data.std"] = field(
        default=None, validator=_channels(0.001)
    )
    bgr: Annotated[bool, "it takes the channels as BGR; mean and std stay those of R, G and B"] = False
    size: Annotated[
        tuple[int, ...],
        "height and width at which it sees every image; default: the image's, or the only ones that it takes",
    ] = field(default=(), validator=[_height_and_width, deep_iterable(_SIDE)])
    output: Annotated[
        str, "which of several outputs: its name, or its number from 0; default: logits, out, or the only one"
    ] = ""
    scores: Annotated[
        Literal["logits", "probabilities"], "what it gives; of probabilities, as after a softmax, logits are made"
    ] = "logits"

    def __attrs_post_init__(self) -> None:
        """Refuse a normalisation of images that are not normalised."""
        if self.images != "normalised" and (self.mean, self.std) != (None, None):
            raise ValueError(f'mean and std are of images = "normalised"; here it is "{self.images}"')

    def build(self, ctx: BackboneContext) -> nn.Module:
        """Make what will run the program; it runs nothing before `open`."""
        from kdseg_programs.network import ProgramNetwork

        return ProgramNetwork(self, ctx)

    def open(self, module: nn.Module, file: Path) -> None:
        """Open the program.

        Raises:
            KdsegError: the file is none, is damaged, or its program takes something else than images.
        """
        from kdseg_programs.network import ProgramNetwork

        assert isinstance(module, ProgramNetwork)
        module.take(file, self._opened(file, module.where))

    def _opened(self, file: Path, device: str) -> Opened:
        raise NotImplementedError


@frozen(kw_only=True)
class Exported(Program):
    """A frozen network that torch.export.save wrote, a `.pt2`: `weights = { file = "teacher.pt2" }`.

    Any module of the network whose output is N×C×H×W is a tap by its path there; not so where the file takes batches of
    one size alone. It cannot learn.
    """

    name: ClassVar[str] = "exported"

    trust_code: Annotated[bool, "say true where you trust whoever made the file: opening it can run code of theirs"] = (
        False
    )

    def _opened(self, file: Path, device: str) -> Opened:
        from kdseg_programs.exported import open_exported

        if not self.trust_code:
            raise KdsegError(_distrust(file, "opening it", self.name))
        return open_exported(file, device)

    def taps(self, module: nn.Module) -> Mapping[str, nn.Module]:
        """Give all modules of the network as it was written, by their paths."""
        from kdseg_programs.exported import ExportedModule

        program = getattr(module, "program", None)
        return program.stages() if isinstance(program, ExportedModule) else {}


@frozen(kw_only=True)
class TorchScript(Program):
    """A frozen network that torch.jit.save wrote: `weights = { file = "teacher.ts" }`.

    It has no taps, and it cannot learn.
    """

    name: ClassVar[str] = "torchscript"

    trust_code: Annotated[bool, "say true where you trust whoever made the file: it is code, which runs here"] = False

    def _opened(self, file: Path, device: str) -> Opened:
        from kdseg_programs.torchscript import open_torchscript

        if not self.trust_code:
            raise KdsegError(_distrust(file, "running it", self.name))
        return open_torchscript(file, device)


@frozen(kw_only=True)
class Onnx(Program):
    """A frozen network in an ONNX file, which ONNX Runtime runs: `weights = { file = "teacher.onnx" }`.

    It has no taps, and it cannot learn.
    """

    name: ClassVar[str] = "onnx"
    requires: ClassVar[tuple[str, ...]] = ("onnxruntime>=1.20",)

    def _opened(self, file: Path, device: str) -> Opened:
        from kdseg_programs.onnx_session import open_onnx

        return open_onnx(file, device)


def _distrust(file: Path, how: str, name: str) -> str:
    return (
        f"{file}: {how} can run code of its maker's with all that you may do; where you trust them, say "
        f'backbone = {{ use = "{name}", trust_code = true }}; an ONNX file needs no trust'
    )
