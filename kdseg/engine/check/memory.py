"""How much memory a step will take: an estimate, from shapes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kdseg.recipe.schema import Learner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from kdseg.engine.learn.participants import Participant

_COPIES_OF_A_LEARNER = 4
"""Weights, gradients and the two moments of an Adam-like optimizer."""


def step_memory(participants: Mapping[str, Participant], batch: int, size: tuple[int, int]) -> int:
    """Estimate the bytes that a step takes, at most, with all participants on the meta device.

    Weights and optimizer state, and the outputs of all layers of the learners, which backward needs, in float32.
    Losses, workspaces and other precisions are left out.

    Args:
        participants: all of the run's.
        batch: images of one micro-batch in one process.
        size: height and width of an image.
    """
    total = 0
    for participant in participants.values():
        learns = isinstance(participant.spec, Learner)
        weights = sum(tensor.nbytes for tensor in participant.module.state_dict().values())
        total += weights * (_COPIES_OF_A_LEARNER if learns else 1)
        if learns:
            total += _activations(participant.module, batch, participant.seen_size(size))
    return total


def _activations(module: nn.Module, batch: int, size: tuple[int, int]) -> int:
    total = 0

    def add(_module: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal total
        if isinstance(output, torch.Tensor):
            total += output.nbytes

    leaves = [leaf for leaf in module.modules() if not any(leaf.children())]
    handles = [leaf.register_forward_hook(add) for leaf in leaves]
    module.train()
    module(torch.empty(batch, 3, *size, device="meta"))
    for handle in handles:
        handle.remove()
    return total
