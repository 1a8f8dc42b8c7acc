"""Optimizers and schedules, torch's own by their own names."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve
from torch.optim import lr_scheduler

from kdseg.by_name import construct, lookup
from kdseg.engine.machine.gpus import gpu_is_here
from kdseg.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from kdseg.recipe.schema_train import ByName

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
_FUSED = {"Adam", "AdamW", "SGD"}
"""Those that torch has fused for GPUs."""
_OTHER_WAYS = {"fused", "foreach", "capturable", "differentiable"}
_TRIAL_STEPS = 100
_TRIAL_WEIGHT = 0.1
_FARTHEST = 1e5
"""How far a weight may go in them: with a learning rate of 10 and a momentum of 0.9 it goes 10,000."""
_TRIAL_TICKS = 10_000
_LARGEST_RATE = 1e4
_IDLE = 1e-6
_LENGTHS = ("total_steps", "total_iters", "T_max")
"""What torch's schedules call their length: filled in with the learner's own steps unless the recipe states it."""


def build_optimizer(
    spec: ByName, parameters: Iterable[nn.Parameter] | list[dict[str, Any]], device: torch.device | None = None
) -> Optimizer:
    """Make a `torch.optim` optimizer by its own name.

    Args:
        spec: its name and options.
        parameters: what it trains.
        device: where they are. On a GPU torch's fused implementation is taken, one kernel for all weights, where there
            is one and the options choose no other.

    Raises:
        kdseg.errors.OptionError: for a name or an option that does not fit.
    """
    cls = lookup(torch.optim, spec.use, torch.optim.Optimizer, _REFUSED_OPTIMIZERS)
    options = spec.options
    if device is not None and device.type == "cuda" and spec.use in _FUSED and not _OTHER_WAYS & options.keys():
        options = options | {"fused": True}
    optimizer: Optimizer = construct(cls, options, parameters)
    return optimizer


def try_optimizer(spec: ByName) -> None:
    """Take steps down a slope, as some options fail at a step alone, and others make no step lead down.

    On the CPU, whatever the run will take: a check opens no GPU.

    Raises:
        OptionError: for a name or an option that does not fit, or options that cannot train anything.
        Exception: whatever a step raises.
    """
    if gpu_is_here() and "capturable" in spec.options:  # which no CPU can try
        spec = evolve(spec, options={name: value for name, value in spec.options.items() if name != "capturable"})
    weight = torch.nn.Parameter(torch.full((2, 1, 3, 3), _TRIAL_WEIGHT))
    optimizer = build_optimizer(spec, [weight])
    if not 0 <= optimizer.defaults.get("momentum", 0) < 1:
        raise OptionError([("momentum", f"must be from 0 to below 1; found {optimizer.defaults['momentum']}")])
    slope = torch.ones_like(weight)
    slope[0] = 0  # a dead channel: some options divide 0 by 0 there
    gone = []
    for _ in range(_TRIAL_STEPS):
        weight.grad = slope.clone()
        optimizer.step()
        gone.append((weight[1] - weight[0]).mean().item())
    idle = weight[0].mean().item()
    after = f"after {_TRIAL_STEPS} steps down a slope"
    if not math.isfinite(gone[-1]) or abs(gone[-1]) > _FARTHEST:
        raise OptionError([("", f"these options drive weights to infinity: {after}, to {gone[-1]:g}")])
    if not gone[-1] < gone[len(gone) // 2] < 0 and spec.options.get("lr") != 0:  # 0 says that nothing shall move
        raise OptionError([("", f"these options train nothing: {after} a weight is no lower, or has stopped to fall")])
    if not abs(idle) > _TRIAL_WEIGHT / 1000:
        raise OptionError(
            [("", f"these options let weights decay to nothing: {after} {idle:g} is left of {_TRIAL_WEIGHT}")]
        )


def build_schedule(spec: ByName, optimizer: Optimizer, steps: int) -> LRScheduler:
    """Make a learning-rate schedule that ticks `steps` times: poly, constant, or torch's own by name.

    Raises:
        kdseg.errors.OptionError: for a name or an option that does not fit.
    """
    if spec.use in _OURS:
        schedule: LRScheduler = construct(_OURS[spec.use], spec.options, optimizer, steps)
        return schedule
    cls = lookup(lr_scheduler, spec.use, lr_scheduler.LRScheduler, _REFUSED_SCHEDULES, extra=tuple(_OURS))
    taken = inspect.signature(cls).parameters
    options: Mapping[str, Any] = spec.options
    if short := [
        (name, f"must be 1 or more; found {options[name]}")
        for name in (*_LENGTHS, "step_size")
        if options.get(name, 1) < 1
    ]:
        raise OptionError(short)
    if "epochs" not in options and "milestones" not in options:
        options = {name: max(steps, 1) for name in _LENGTHS if name in taken} | dict(options)
    return construct(cls, options, optimizer)


def try_schedule(spec: ByName, optimizer: ByName, steps: int) -> None:
    """Let a schedule tick as often as its learner will, up to some thousand times, and look at its rates.

    Raises:
        kdseg.errors.OptionError: it ends too early, or its rates cannot train.
        Exception: whatever a tick raises.
    """
    made = build_optimizer(optimizer, [torch.nn.Parameter(torch.zeros(1))])
    schedule = build_schedule(spec, made, steps)
    length = getattr(schedule, "total_steps", steps)
    if length < steps:
        raise OptionError([("", f"is {length} steps long, and its learner takes {steps}; leave the length out")])
    rates = []
    for _ in range(min(steps, _TRIAL_TICKS)):
        rates.append(float(made.param_groups[0]["lr"]))
        made.step()  # without gradients it does nothing, but torch warns of ticks without steps
        schedule.step()
    if wrong := [rate for rate in rates if not 0 <= rate <= _LARGEST_RATE]:
        raise OptionError([("", f"gives the learning rate {wrong[0]:g}; from 0 to {_LARGEST_RATE:g} they can train")])
    idle = sum(rate <= max(rates) * _IDLE for rate in rates)
    if max(rates) and idle * 2 > len(rates):
        raise OptionError(
            [("", f"leaves the learning rate below {_IDLE:g} of its largest at {idle} of {len(rates)} steps")]
        )


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
