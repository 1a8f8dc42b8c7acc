"""Optimizers and schedules by torch's own names."""

from __future__ import annotations

import copy
import inspect
import io

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from kdseg.engine.learn.optim import build_optimizer, build_schedule
from kdseg.errors import OptionError
from kdseg.recipe.schema_train import ByName

OPTIMIZERS = sorted(
    name
    for name, value in vars(torch.optim).items()
    if inspect.isclass(value) and issubclass(value, torch.optim.Optimizer)
)
SCHEDULES = sorted(
    name
    for name, value in vars(lr_scheduler).items()
    if inspect.isclass(value) and issubclass(value, lr_scheduler.LRScheduler) and not name.startswith("_")
)
REFUSED_OPTIMIZERS = {"LBFGS", "Muon", "Optimizer", "SparseAdam"}
REFUSED_SCHEDULES = {
    "ChainedScheduler",
    "LRScheduler",
    "LambdaLR",
    "MultiplicativeLR",
    "ReduceLROnPlateau",
    "SequentialLR",
}
NEEDED = {
    "StepLR": {"step_size": 3},
    "MultiStepLR": {"milestones": [3, 6]},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingWarmRestarts": {"T_0": 4},
    "OneCycleLR": {"max_lr": 0.2},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.2},
}
"""Options that a schedule cannot do without."""


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


def backward(module):
    module.zero_grad()
    module(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))).square().mean().backward()


def sgd(lr=0.1, **options):
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9, **options)


def rates(schedule, optimizer, steps):
    """The rate of each step; the schedule ticks after each, the last one too."""
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in REFUSED_OPTIMIZERS])
def test_every_optimizer_that_is_not_refused_trains_a_network(name):
    """It steps on convolutions, norms and biases alike, and goes on from its state as if nothing had been."""
    module = network()
    before = copy.deepcopy(module.state_dict())
    optimizer = build_optimizer(ByName(use=name, options={"lr": 0.01}), module.parameters())
    backward(module)
    optimizer.step()
    assert all(
        parameter.isfinite().all() and not torch.equal(parameter, before[label])
        for label, parameter in module.named_parameters()
    )
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    other = copy.deepcopy(module)
    resumed = build_optimizer(ByName(use=name, options={"lr": 0.01}), other.parameters())
    resumed.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    for _ in range(2):
        for one, its_optimizer in ((module, optimizer), (other, resumed)):
            backward(one)
            its_optimizer.step()
    for mine, theirs in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("name", sorted(REFUSED_OPTIMIZERS))
def test_an_optimizer_that_cannot_train_a_network_is_refused_by_name(name):
    with pytest.raises(OptionError, match=rf"use: '{name}' cannot be used: it "):
        build_optimizer(ByName(use=name), network().parameters())


@pytest.mark.parametrize("name", sorted(REFUSED_SCHEDULES))
def test_a_schedule_that_a_recipe_cannot_hold_is_refused_by_name(name):
    with pytest.raises(OptionError, match=rf"use: '{name}' cannot be used: it "):
        build_schedule(ByName(use=name), sgd(), 10)


def test_misspelt_names_and_keys_are_told():
    with pytest.raises(OptionError, match="did you mean 'AdamW'"):
        build_optimizer(ByName(use="AdamWW"), network().parameters())
    with pytest.raises(OptionError, match="weight_decya: unknown key; did you mean 'weight_decay'"):
        build_optimizer(ByName(use="AdamW", options={"weight_decya": 0.1}), network().parameters())
    with pytest.raises(OptionError, match="did you mean 'poly'"):
        build_schedule(ByName(use="polly"), sgd(), 10)
    with pytest.raises(OptionError, match="warmpu: unknown key; did you mean 'warmup'"):
        build_schedule(ByName(use="poly", options={"warmpu": 0.1}), sgd(), 10)


@pytest.mark.parametrize(("power", "warmup"), [(0.9, 0.0), (1.0, 0.0), (2.0, 0.25), (0.0, 0.5), (0.9, 0.06)])
@pytest.mark.parametrize("steps", [1, 7, 40])
def test_poly_is_its_closed_form(power, warmup, steps):
    """DeepLab (1606.00915): lr (1 - s / S)^power; before, a straight rise that reaches 1 at the last step of warmup."""
    optimizer = sgd(0.1)
    schedule = build_schedule(ByName(use="poly", options={"power": power, "warmup": warmup}), optimizer, steps)
    rising = round(warmup * steps)
    wanted = [
        0.1 * (1 - step / steps) ** power * ((step + 1) / rising if step < rising else 1) for step in range(steps)
    ]
    assert rates(schedule, optimizer, steps) == pytest.approx(wanted, abs=1e-15)


@pytest.mark.parametrize("options", [{"power": -1.0}, {"warmup": 1.0}, {"warmup": -0.1}])
def test_poly_refuses_what_makes_no_curve(options):
    with pytest.raises(OptionError, match="power must be 0 or more and warmup from 0 up to"):
        build_schedule(ByName(use="poly", options=options), sgd(), 10)


def test_constant_stays():
    optimizer = sgd(0.1)
    assert rates(build_schedule(ByName(use="constant"), optimizer, 9), optimizer, 9) == [0.1] * 9


@pytest.mark.parametrize("name", ["poly", "constant", *(name for name in SCHEDULES if name not in REFUSED_SCHEDULES)])
def test_every_schedule_runs_its_learners_steps_and_goes_on_from_its_state(name):
    spec = ByName(use=name, options=NEEDED.get(name, {}))
    whole = sgd()
    expected = rates(build_schedule(spec, whole, 12), whole, 12)
    first = sgd()
    schedule = build_schedule(spec, first, 12)
    found = rates(schedule, first, 5)
    file = io.BytesIO()
    torch.save({"optimizer": first.state_dict(), "schedule": schedule.state_dict()}, file)
    state = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    second = sgd()
    resumed = build_schedule(spec, second, 12)
    second.load_state_dict(state["optimizer"])
    resumed.load_state_dict(state["schedule"])
    assert found + rates(resumed, second, 7) == expected


@pytest.mark.parametrize(
    ("name", "options", "wanted"),
    [
        ("CosineAnnealingLR", {}, lambda: lr_scheduler.CosineAnnealingLR(sgd(), T_max=12)),
        ("CosineAnnealingLR", {"T_max": 4}, lambda: lr_scheduler.CosineAnnealingLR(sgd(), T_max=4)),
        ("OneCycleLR", {"max_lr": 0.3}, lambda: lr_scheduler.OneCycleLR(sgd(), 0.3, total_steps=12)),
        (
            "OneCycleLR",
            {"max_lr": 0.3, "epochs": 3, "steps_per_epoch": 4},
            lambda: lr_scheduler.OneCycleLR(sgd(), 0.3, total_steps=12),
        ),
        ("LinearLR", {}, lambda: lr_scheduler.LinearLR(sgd(), total_iters=12)),
        ("PolynomialLR", {"power": 2.0}, lambda: lr_scheduler.PolynomialLR(sgd(), total_iters=12, power=2.0)),
        ("LinearLR", {"total_iters": 5}, lambda: lr_scheduler.LinearLR(sgd(), total_iters=5)),
    ],
)
def test_lengths_are_the_learners_steps_unless_the_recipe_says_otherwise(name, options, wanted):
    optimizer = sgd()
    schedule = build_schedule(ByName(use=name, options=options), optimizer, 12)
    torchs = wanted()
    assert rates(schedule, optimizer, 12) == rates(torchs, torchs.optimizer, 12)


def test_groups_keep_their_own_rates():
    """A learner's weights and its losses' parts are two groups, which a schedule scales alike."""
    optimizer = torch.optim.SGD(
        [{"params": [nn.Parameter(torch.zeros(1))]}, {"params": [nn.Parameter(torch.zeros(1))], "lr": 0.01}], lr=0.1
    )
    schedule = build_schedule(ByName(use="poly", options={"power": 1.0}), optimizer, 4)
    for share in (1, 0.75, 0.5, 0.25):
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1 * share, 0.01 * share])
        optimizer.step()
        schedule.step()


GPU = torch.device("cuda")


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD"])
def test_a_gpu_takes_the_fused_implementation(name):
    options = {"lr": 0.01, "weight_decay": 0.1}
    assert build_optimizer(ByName(use=name, options=options), network().parameters(), GPU).defaults["fused"]
    for way in ("foreach", "capturable"):
        if name != "SGD" or way == "foreach":
            chosen = ByName(use=name, options=options | {way: True})
            assert not build_optimizer(chosen, network().parameters(), GPU).defaults["fused"]
    assert not build_optimizer(ByName(use=name, options=options), network().parameters()).defaults["fused"]


def test_an_optimizer_without_one_is_as_it_was():
    assert "fused" not in build_optimizer(ByName(use="NAdam"), network().parameters(), GPU).defaults


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}])
@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD"])
def test_fused_steps_are_the_plain_ones(name, options):
    """torch's own kernels, here those for the CPU, to float64's rounding."""
    spec = ByName(use=name, options={"lr": 0.01, **options, **({"momentum": 0.9} if name == "SGD" else {})})
    ends = []
    for device in (None, GPU):
        torch.manual_seed(0)
        module = network().double()
        optimizer = build_optimizer(spec, module.parameters(), device)
        for _ in range(20):
            for parameter in module.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()
        ends.append(torch.cat([parameter.detach().flatten() for parameter in module.parameters()]))
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-12, atol=1e-12)
