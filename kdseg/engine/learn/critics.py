"""The opponents that losses train against their learners."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import define

from kdseg.engine.learn.optim import build_optimizer
from kdseg.recipe.schema_train import ADAMW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn
    from torch.optim import Optimizer

    from kdseg.engine.learn.terms import Term
    from kdseg.engine.machine.processes import Processes
    from kdseg.recipe.schema import Recipe


@define(eq=False)
class CriticState:
    """A loss's critic with its own optimizer and scaler; it steps whenever its term counts, after the learner."""

    module: nn.Module
    optimizer: Optimizer
    scaler: torch.amp.GradScaler

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All that the optimizer trains."""
        return list(self.module.parameters())

    def step(self, processes: Processes) -> None:
        """Add up gradients over processes, and step."""
        processes.sum_gradients(self.parameters)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)


def build_critics(recipe: Recipe, terms: Mapping[str, Term], precision: str) -> dict[str, CriticState]:
    """Give each critic its optimizer, by the name of its term.

    Raises:
        kdseg.errors.OptionError: for an optimizer that does not fit.
    """
    critics = {}
    for name, term in terms.items():
        critic = term.module.critic
        if critic is None:
            continue
        critic.requires_grad_(requires_grad=False)  # but while it learns
        parameters = list(critic.parameters())
        critics[name] = CriticState(
            module=critic,
            optimizer=build_optimizer(recipe.terms[name].critic or ADAMW, parameters, parameters[0].device),
            scaler=torch.amp.GradScaler(parameters[0].device.type, enabled=precision == "fp16"),
        )
    return critics
