"""A program as a network: images as the recipe normalises them in, logits at their size out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from kdseg import KdsegError
from kdseg_programs.outputs import chosen_output

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from kdseg import BackboneContext
    from kdseg_programs.backbones import Program
    from kdseg_programs.opened import Opened

_LEAST = 1e-8
"""The least probability: its logarithm is finite."""
_BYTE = 255
_PLAIN = {"unit": ((0.0,) * 3, (1.0,) * 3), "bytes": ((0.0,) * 3, (1 / _BYTE,) * 3)}
"""Mean and std of images that are not normalised."""


class ProgramNetwork(nn.Module):
    """A program, which stays what its file holds: in the mode in which it was written, and never compiled."""

    scale: Tensor
    shift: Tensor
    size: tuple[int, ...]
    """Height and width at which it sees images; empty: at theirs."""

    def __init__(self, options: Program, ctx: BackboneContext) -> None:
        super().__init__()
        self.options, self.ctx = options, ctx
        mean, std = _PLAIN.get(options.images, (options.mean or ctx.mean, options.std or ctx.std))
        # (x * std + mean - wanted mean) / wanted std, for x as the recipe normalises it
        given, wanted = torch.tensor([ctx.mean, ctx.std]), torch.tensor([mean, std])
        self.register_buffer("scale", (given[1] / wanted[1]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", ((given[0] - wanted[0]) / wanted[1]).view(1, 3, 1, 1), persistent=False)
        self.opened: Opened | None = None
        self.size = options.size

    @property
    def where(self) -> str:
        """The device on which the program must come to lie; where there are shapes alone, it still has numbers."""
        return "cpu" if self.scale.is_meta else str(self.scale.device)

    def take(self, file: Path, opened: Opened) -> None:
        """Run this program from now on.

        Raises:
            KdsegError: it takes other images than the options say.
        """
        if self.size and opened.size and self.size != opened.size:
            raise KdsegError(f"{file}: takes images of {_told(opened.size)} alone; here size is {_told(self.size)}")
        if not opened.dtype.is_floating_point and (opened.dtype, self.options.images) != (torch.uint8, "bytes"):
            mend = '; say images = "bytes"' if opened.dtype == torch.uint8 else ", which images are not"
            raise KdsegError(f"{file}: takes {str(opened.dtype).removeprefix('torch.')}{mend}")
        self.file, self.opened, self.program = file, opened, opened.run
        self.size = opened.size or self.size

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits at the images' size.

        Raises:
            KdsegError: the program does not take them, or gives something else than logits of all classes.
        """
        if images.is_meta:  # shapes are asked for, which the program shows by running
            logits = self._logits(torch.zeros(1, *images.shape[1:], device="cpu"))
            return images.new_empty((len(images), *logits.shape[1:]))
        return self._logits(images * self.scale + self.shift)

    def train(self, mode: bool = True) -> ProgramNetwork:
        """Note the mode alone: the program has none, or has its own."""
        self.training = mode
        return self

    def compile(self, *_: Any, **__: Any) -> None:
        """Do nothing: the program is compiled as far as it can be."""

    def __deepcopy__(self, _: Any) -> ProgramNetwork:
        """Copy all but the program, which never changes and need not be copyable."""
        other = ProgramNetwork(self.options, self.ctx).to(self.scale.device).train(self.training)
        if self.opened is not None:
            other.take(self.file, self.opened)
        return other

    def _logits(self, pixels: Tensor) -> Tensor:
        if self.opened is None:
            raise KdsegError('no program is open; weights = { file = "…" } names its file')
        size = pixels.shape[2:]
        if self.size:
            pixels = F.interpolate(pixels, self.size, mode="bilinear", align_corners=False)
        if self.options.bgr:
            pixels = pixels.flip(1)
        if self.opened.dtype == torch.uint8:
            pixels = pixels.round().clamp(0, _BYTE)
        scores = self._in_batches(pixels.to(self.opened.dtype).contiguous(), self.opened.batch).float()
        if scores.shape[1] != self.ctx.num_classes:
            raise KdsegError(
                f"{self.file}: gives scores of {scores.shape[1]} classes; {self.ctx.num_classes} are needed. "
                "`class_map` and `classes` say what its classes are, where they are others than the dataset's"
            )
        if scores.shape[2:] != size:
            scores = F.interpolate(scores, size, mode="bilinear", align_corners=False)
        return scores if self.options.scores == "logits" else scores.clamp_min(_LEAST).log()

    def _in_batches(self, pixels: Tensor, batch: int | None) -> Tensor:
        """Show so many images at a time as the program takes, the last one again where some are missing."""
        if batch is None:
            return self._run(pixels)
        parts = []
        for part in torch.split(pixels, batch):
            missing = part[-1:].expand(batch - len(part), -1, -1, -1)
            parts.append(self._run(torch.cat([part, missing]))[: len(part)])
        return torch.cat(parts)

    def _run(self, pixels: Tensor) -> Tensor:
        try:
            output = self.program(pixels)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # of whatever the program is made of
            mend = "" if self.size else "; size = [height, width] shows it every image at a size that it takes"
            raise KdsegError(
                f"{self.file}: does not take {len(pixels)} images of {_told(pixels.shape[2:])}: {_reason(error)}{mend}"
            ) from error
        return chosen_output(self.file, output, self.options.output)


def _told(size: tuple[int, ...]) -> str:
    return "x".join(map(str, size))


def _reason(error: Exception) -> str:
    """Give the line that says most: TorchScript tells its calls first, others the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("RuntimeError:", "torch.jit.Error:"))]
    return (told[-1] if told else lines[0] if lines else type(error).__name__)[:300]
