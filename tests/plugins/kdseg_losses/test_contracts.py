"""What `kdseg.losses` asks of every loss, over all that are registered: a new one is covered by being there."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve, frozen

from kdseg.components import ClassShares, Loss, LossContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg.plugins import load_plugins

CLASSES = 5
SIZE = (16, 20)
LEARNER_TAPS = {"encoder.1": (4, 8, 10), "bottleneck": (6, 4, 5)}
SOURCE_TAPS = {"encoder.1": (8, 8, 10), "bottleneck": (12, 4, 5)}

REQUIRED: dict[str, dict[str, object]] = {}
"""Options that a loss cannot do without."""

VARIANTS = {
    "cross_entropy": [
        {"weights": (1.0, 0.5, 2.0, 0.0, 3.0), "label_smoothing": 0.1},
        {"class_weights": "median_frequency"},
        {"label_smoothing": 1.0},
    ],
    "focal": [{"gamma": 0.0}, {"gamma": 0.5, "weights": (1.0, 0.5, 2.0, 0.0, 3.0)}, {"class_weights": "enet"}],
    "ohem_cross_entropy": [
        {"threshold": 1.0},
        {"threshold": 0.01, "keep": 0.3, "weights": (1.0, 0.5, 2.0, 0.0, 3.0)},
        {"keep": 0.0},
        {"keep": 1.0, "class_weights": "effective_number"},
    ],
    "pixel_kl": [{"temperature": 4.0}, {"temperature": 0.5}],
    "cirkd": [
        {"between": ("encoder.1",), "batch": 0.5, "temperature": 0.5},
    ],
    "holistic": [{"objective": "hinge", "width": 4}],
    "pairwise_similarity": [{"between": ("encoder.1",), "nodes": (3, 4)}, {"between": ("all",)}],
}
"""Options under which the contracts are tried beside the defaults."""

EXEMPT: dict[str, set[str]] = {"holistic": {"repeated resolution", "micro-batches"}}
"""Every exemption that a bundled loss declares: adding one is a decision, taken here too."""

BUNDLED = [entry for entry in load_plugins().registry.of_kind("loss") if entry.distribution == "kdseg"]


@frozen
class Case:
    component: Loss
    source_taps: dict[str, tuple[int, int, int]]

    def module(self, dtype=torch.float64):
        names = self.component.taps(list(LEARNER_TAPS), list(self.source_taps))
        shares = ClassShares(
            pixels=(900, 50, 40, 9, 1), pixels_where_present=(1000, 800, 600, 100, 50), images=(10, 8, 6, 1, 1)
        )
        ctx = LossContext(
            num_classes=CLASSES,
            class_shares=lambda: shares,
            learner_taps={name: LEARNER_TAPS[name] for name in names[0]},
            source_taps={name: self.source_taps[name] for name in names[1]},
        )
        torch.manual_seed(0)
        return self.component.build(ctx).to(dtype)

    def predictions(self, *, batch=4, dtype=torch.float64, scale=2.0, alike=False):
        """A learner's prediction, and a source's where the loss has one."""
        names = self.component.taps(list(LEARNER_TAPS), list(self.source_taps))
        learner = prediction(batch, {name: LEARNER_TAPS[name] for name in names[0]}, dtype, scale, seed=1)
        if self.component.role != "distillation":
            return learner, None
        if alike:
            return learner, copied(learner)
        return learner, prediction(batch, {name: self.source_taps[name] for name in names[1]}, dtype, scale, seed=2)

    def skip_if_exempt(self, contract):
        if contract in self.component.exempt:
            pytest.skip(self.component.exempt[contract])


def prediction(batch, taps, dtype, scale, seed):
    numbers = torch.Generator().manual_seed(seed)
    sizes = {"": (CLASSES, *SIZE), **taps}
    made = {
        name: (scale * torch.randn(batch, *size, generator=numbers, dtype=torch.float64)).to(dtype).requires_grad_()
        for name, size in sizes.items()
    }
    return Prediction(logits=made.pop(""), taps=made)


def copied(one):
    return Prediction(
        logits=one.logits.detach().clone().requires_grad_(),
        taps={name: tap.detach().clone().requires_grad_() for name, tap in one.taps.items()},
    )


def tensors(one):
    return [] if one is None else [one.logits, *one.taps.values()]


def with_tensors(one, values):
    return None if one is None else evolve(one, logits=values[0], taps=dict(zip(one.taps, values[1:], strict=True)))


def call(images=4):
    return LossCall(progress=0.5, images=torch.zeros(images, 3, *SIZE), generator=torch.Generator().manual_seed(0))


def labels(batch=4, ignored_columns=0, scattered=0.2):
    """Labels with ignored pixels: whole columns, which hide whole cells of every tap, and some scattered ones."""
    numbers = torch.Generator().manual_seed(3)
    target = torch.randint(0, CLASSES, (batch, *SIZE), generator=numbers, dtype=torch.uint8)
    target[torch.rand(target.shape, generator=numbers) < scattered] = IGNORE_INDEX
    target[:, :, :ignored_columns] = IGNORE_INDEX
    return target


def cases():
    for entry in BUNDLED:
        for options in ({}, *VARIANTS.get(entry.name, [])):
            component = entry.cls(**REQUIRED.get(entry.name, {}) | options)
            yield pytest.param(Case(component, SOURCE_TAPS), id=f"{entry.name}-{options}" if options else entry.name)


over_losses = pytest.mark.parametrize("case", list(cases()))
over_distillation = pytest.mark.parametrize(
    "case", [case for case in cases() if case.values[0].component.role == "distillation"]
)


def test_the_first_losses_are_registered():
    assert {"cross_entropy", "pixel_kl", "confidence_penalty"} <= {entry.name for entry in BUNDLED}


def test_exemptions_are_known():
    assert {entry.name: set(entry.cls.exempt) for entry in BUNDLED if entry.cls.exempt} == EXEMPT


@over_losses
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e30])
def test_ignored_pixels_change_neither_value_nor_gradient(case, poison):
    case.skip_if_exempt("ignored pixels")
    target = labels(ignored_columns=8)
    hidden = (target == IGNORE_INDEX)[:, None]
    results = []
    for poisoned in (False, True):
        learner, source = case.predictions()
        for one in (learner, source):
            for values in tensors(one):
                cells = values.shape[-1] * 8 // SIZE[1]
                place = hidden if values.shape[-2:] == SIZE else torch.arange(values.shape[-1]) < cells
                if poisoned:
                    with torch.no_grad():
                        values.masked_fill_(place, poison)
        loss = case.module()(learner, source, target, call())
        loss.backward()
        results.append([loss.detach(), *(values.grad for values in tensors(learner))])
        assert (learner.logits.grad.masked_select(hidden) == 0).all()
    for one, other in zip(*results, strict=True):
        assert torch.isfinite(other).all()
        assert torch.equal(one, other)


@over_losses
def test_an_all_ignored_batch_gives_0(case):
    case.skip_if_exempt("all ignored")
    learner, source = case.predictions()
    module, target = case.module(), torch.full((4, *SIZE), IGNORE_INDEX, dtype=torch.uint8)
    loss = module(learner, source, target, call())
    loss.backward()
    assert loss.item() == 0
    assert all((values.grad == 0).all() for values in tensors(learner) if values.grad is not None)
    if case.component.per == "pixel":
        assert module.count(target).item() == 0


@over_distillation
@pytest.mark.parametrize(("dtype", "scale"), [(torch.float64, 2.0), (torch.float32, 1e4), (torch.bfloat16, 1e4)])
def test_identical_predictions_give_0(case, dtype, scale):
    case.skip_if_exempt("identical predictions")
    case = evolve(case, source_taps=LEARNER_TAPS)
    learner, source = case.predictions(dtype=dtype, scale=scale, alike=True)
    loss = case.module(torch.float32 if dtype is torch.bfloat16 else dtype)(learner, source, labels(), call())
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(learner.logits.grad).all()


@over_losses
def test_extreme_logits_stay_finite(case):
    learner, source = case.predictions(dtype=torch.float32, scale=1e4)
    loss = case.module(torch.float32)(learner, source, labels(), call())
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(values.grad).all() for values in tensors(learner) if values.grad is not None)


@over_losses
def test_gradient_reaches_the_learner_alone(case):
    case.skip_if_exempt("learner alone")
    learner, source = case.predictions()
    case.module()(learner, source, labels(), call()).backward()
    assert all(values.grad is None for values in tensors(source))
    assert any(values.grad is not None and values.grad.abs().sum() > 0 for values in tensors(learner))


@over_losses
def test_micro_batches_sum_to_the_whole(case):
    case.skip_if_exempt("micro-batches")
    if case.component.per == "batch":
        pytest.skip("it is a mean of its micro-batch")
    learner, source = case.predictions()
    target, module = labels(ignored_columns=3), case.module()
    parts = [
        (
            module(
                with_tensors(learner, [values[cut] for values in tensors(learner)]),
                with_tensors(source, [values[cut] for values in tensors(source)]),
                target[cut],
                call(2),
            ),
            module.count(target[cut]),
        )
        for cut in (slice(0, 1), slice(1, 4))
    ]
    whole = module(learner, source, target, call())
    assert torch.allclose(sum(loss for loss, _ in parts), whole, rtol=1e-12)
    assert torch.allclose(sum(count for _, count in parts).double(), module.count(target).double(), rtol=1e-12)


@over_losses
def test_the_count_is_a_scalar_of_the_target_alone(case):
    if case.component.per == "batch":
        pytest.skip("it needs none")
    module, target = case.module(), labels()
    count = module.count(target)
    assert count.ndim == 0
    assert not count.requires_grad
    for dtype in (torch.int32, torch.int64):
        assert module.count(target.to(dtype)) == count


@over_losses
def test_the_gradient_is_that_of_finite_differences(case):
    learner, source = case.predictions(batch=1)
    target, module = labels(batch=1), case.module()

    def value(*values):
        return module(with_tensors(learner, values), source, target, call(1))

    torch.autograd.gradcheck(value, tensors(learner), fast_mode=True)


@over_losses
def test_half_precision_is_computed_in_float32(case):
    learner, source = case.predictions(dtype=torch.bfloat16)
    wide = [with_tensors(one, [values.detach().float() for values in tensors(one)]) for one in (learner, source)]
    module = case.module(torch.float32)
    loss = module(learner, source, labels(), call())
    assert loss.dtype == torch.float32
    assert torch.equal(loss, module(*wide, labels(), call()))


@over_losses
def test_every_integer_type_of_target_serves(case):
    learner, source = case.predictions()
    module, target = case.module(), labels()
    values = [module(learner, source, target.to(dtype), call()) for dtype in (torch.uint8, torch.int32, torch.int64)]
    assert values[0] == values[1] == values[2]
