"""TorchScript programs."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from kdseg import KdsegError
from kdseg_programs.archives import refuse_other
from kdseg_programs.opened import Opened, refuse_inputs

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


def open_torchscript(file: Path, device: str) -> Opened:
    """Open what torch.jit.save wrote.

    Raises:
        KdsegError: it cannot be opened, or takes more than images.
    """
    refuse_other(file, "torchscript")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecation, which whoever has such a file cannot mend
        try:
            module = torch.jit.load(str(file), map_location=device).eval()  # type: ignore[no-untyped-call] # of torch
        except (RuntimeError, ValueError) as error:
            told = " ".join(str(error).split())[:300]
            raise KdsegError(f"{file}: torch {torch.__version__} cannot open it: {told}") from error
    _, *inputs = module.forward.schema.arguments
    needed = [one.name for one in inputs if not one.has_default_value()]
    refuse_inputs(file, needed or [one.name for one in inputs])
    floats = [tensor.dtype for tensor in module.state_dict().values() if tensor.is_floating_point()]
    return Opened(run=_Unprofiled(module), dtype=floats[0] if floats else torch.float32)


class _Unprofiled(torch.nn.Module):
    """A program that calculates alike at every call.

    The executor would watch the first calls and fuse operations in later ones; a resumed run would not come to the
    same bits then.
    """

    def __init__(self, module: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Any:
        with torch.jit.optimized_execution(should_optimize=False):  # type: ignore[attr-defined] # of torch
            return self.module(images)
