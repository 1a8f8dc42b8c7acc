"""Programs of torch.export."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from kdseg import KdsegError
from kdseg_programs.archives import refuse_other
from kdseg_programs.opened import Opened, fixed_shape, refuse_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor
    from torch.export import ExportedProgram

_TRAINING = {"batch_norm": 5, "dropout": 2}
"""Operations that differ in train mode, and which of their arguments says so."""


def open_exported(file: Path, device: str) -> Opened:
    """Open what torch.export.save wrote, which can run code that the file carries.

    Raises:
        KdsegError: it cannot be opened, takes something else than images, or was exported in train mode.
    """
    refuse_other(file, "exported")
    with quiet():
        try:
            program = torch.export.load(str(file))
        except Exception as error:  # of many parts of torch
            raise KdsegError(f"{file}: torch {torch.__version__} cannot open it: {_told(error)}") from error
        _refuse_train_mode(file, program)
        names = program.graph_signature.user_inputs
        refuse_inputs(file, [str(name) for name in names])
        image = next(node.meta["val"] for node in program.graph.nodes if node.name == names[0])
        if not isinstance(image, torch.Tensor):
            raise KdsegError(f"{file}: its program takes a {type(image).__name__}; images N×3×H×W are needed")
        batch, size = fixed_shape(file, image.shape)
        whole = program.module()
        # With its modules in their places, their features can be heard; of batches in parts they would be parts.
        module = torch.export.unflatten(program) if batch is None else whole
    by_name = [*(program.example_inputs or ((), {}))[1]]
    run = ExportedModule(module, getattr(whole, "_guards_fn", None), by_name[0] if by_name else None)
    return Opened(run=run.to(device), dtype=image.dtype, batch=batch, size=size)


class ExportedModule(nn.Module):
    """An exported program that refuses images for which it was not traced."""

    def __init__(self, module: nn.Module, guards: Callable[[Tensor], None] | None, keyword: str | None) -> None:
        super().__init__()
        self.module, self.keyword = module, keyword
        self.guards = (guards,)  # no module of the network's

    def forward(self, images: Tensor) -> Any:
        """Give what the program gives."""
        if self.guards[0] is not None:  # without them, a branch that was traced for other sizes would give nonsense
            self.guards[0](images)
        return self.module(images) if self.keyword is None else self.module(**{self.keyword: images})

    def stages(self) -> dict[str, nn.Module]:
        """Give all modules of the network as it was written, by their paths; none where they cannot be heard."""
        if not isinstance(self.module, torch.export.UnflattenedModule):
            return {}
        return {name: module for name, module in self.module.named_modules() if name}


def _refuse_train_mode(file: Path, program: ExportedProgram) -> None:
    trains = bool(program.graph_signature.buffers_to_mutate)
    for node in program.graph.nodes:
        place = _TRAINING.get(getattr(node.target, "__name__", "").partition(".")[0])
        trains |= place is not None and len(node.args) > place and node.args[place] is True
    if trains:
        raise KdsegError(f"{file}: was exported in train mode; call eval() on the network before torch.export.export")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch from telling of its own deprecations, and of an error that is told anyway."""
    logger = logging.getLogger("torch.export")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
