"""Optimizers and schedules, torch's own by their own names."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import lr_scheduler

from kdseg.by_name import construct, lookup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from kdseg.recipe.schema import ByName

_REFUSED_OPTIMIZERS = {
    "Optimizer": "it is a base class",
    "LBFGS": "it evaluates the loss several times a step, which terms and turns do not allow",
    "SparseAdam": "it takes sparse gradients only; convolutions give dense ones",
    "Muon": "it trains matrices only; a network's convolutions, norms and biases are none",
}
_REFUSED_SCHEDULES = {
    "LRScheduler": "it is a base class",
    "ReduceLROnPlateau": "it waits for a metric; schedules here tick with their learner's steps",
    "LambdaLR": "it takes a function, which a recipe cannot hold",
    "MultiplicativeLR": "it takes a function, which a recipe cannot hold",
    "SequentialLR": "it takes other schedules, which a recipe cannot hold",
    "ChainedScheduler": "it takes other schedules, which a recipe cannot hold",
}
_LENGTHS = ("total_steps", "total_iters", "T_max")
"""What torch's schedules call their length: filled in with the learner's own steps unless the recipe states it."""


def build_optimizer(spec: ByName, parameters: Iterable[nn.Parameter] | list[dict[str, Any]]) -> Optimizer:
    """Make a `torch.optim` optimizer by its own name.

    Raises:
        kdseg.by_name.OptionError: for a name or an option that does not fit.
    """
    cls = lookup(torch.optim, spec.use, torch.optim.Optimizer, _REFUSED_OPTIMIZERS)
    optimizer: Optimizer = construct(cls, spec.options, parameters)
    return optimizer


def try_optimizer(spec: ByName) -> None:
    """Take a step on a convolution's weight, as some options fail at the first step alone.

    Raises:
        OptionError: for a name or an option that does not fit.
        Exception: whatever the step raises.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"  # some options work on one of them alone
    weight = torch.nn.Parameter(torch.zeros(2, 1, 3, 3, device=device))
    optimizer = build_optimizer(spec, [weight])
    weight.grad = torch.ones_like(weight)
    optimizer.step()


def build_schedule(spec: ByName, optimizer: Optimizer, steps: int) -> LRScheduler:
    """Make a learning-rate schedule that ticks `steps` times: poly, constant, or torch's own by name.

    Raises:
        kdseg.by_name.OptionError: for a name or an option that does not fit.
    """
    if spec.use in _OURS:
        schedule: LRScheduler = construct(_OURS[spec.use], spec.options, optimizer, steps)
        return schedule
    cls = lookup(lr_scheduler, spec.use, lr_scheduler.LRScheduler, _REFUSED_SCHEDULES, extra=tuple(_OURS))
    taken = inspect.signature(cls).parameters
    options: Mapping[str, Any] = spec.options
    if "epochs" not in options and "milestones" not in options:
        options = {name: max(steps, 1) for name in _LENGTHS if name in taken} | dict(options)
    return construct(cls, options, optimizer)


def poly(optimizer: Optimizer, steps: int, power: float = 0.9, warmup: float = 0.0) -> LRScheduler:
    """Fall from the optimizer's learning rate to 0 as (1 - step / steps) ** power, as DeepLab does (1606.00915).

    Args:
        optimizer: whose learning rates are scaled.
        steps: of the learner, in the whole run.
        power: 0 or more; 1 falls in a straight line.
        warmup: share of the steps, 0..1, over which the rate first rises in a straight line.
    """
    if power < 0 or not 0 <= warmup < 1:
        raise ValueError(
            f"power must be 0 or more and warmup from 0 up to, not including, 1; found {power} and {warmup}"
        )
    rising = round(warmup * steps)

    def factor(step: int) -> float:
        fall: float = max(0.0, 1 - step / max(steps, 1)) ** power
        return fall * (min(1.0, (step + 1) / rising) if rising else 1.0)

    return lr_scheduler.LambdaLR(optimizer, factor)


def constant(optimizer: Optimizer, steps: int) -> LRScheduler:  # noqa: ARG001 (called as every schedule of ours is)
    """Keep the optimizer's learning rate."""
    return lr_scheduler.LambdaLR(optimizer, lambda _step: 1.0)


_OURS = {"poly": poly, "constant": constant}
