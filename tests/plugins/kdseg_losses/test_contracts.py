"""What `kdseg.losses` asks of every loss, over all that are registered: a new one is covered by being there."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_trials import BUNDLED, Scene, call, cases, changed, tensors, with_tensors

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import valid_cells
from kdseg_losses.supervised import CrossEntropyLoss

LOSSES = {
    *("cross_entropy", "focal", "ohem_cross_entropy", "dice", "jaccard", "lovasz_softmax"),
    *("max_entropy", "confidence_penalty"),
    *("pixel_kl", "curriculum_kl", "boundary_kl", "gated_kl", "dkd", "dist", "wsl", "optimal_transport"),
    *("fitnet", "attention_transfer", "cwd", "mgd", "pkd", "ifvd"),
    *("pairwise_similarity", "cirkd", "holistic"),
}
"""All that are bundled."""

EXEMPT: dict[str, set[str]] = {
    "wsl": {"finite differences"},
    "mgd": {"identical predictions", "repeated batch", "repeated resolution", "micro-batches"},
    "holistic": {"repeated resolution", "micro-batches"},
}
"""Every exemption that a bundled loss declares: adding one is a decision, taken here too."""

scenes = st.builds(
    Scene,
    classes=st.one_of(st.integers(2, 8), st.integers(2, 150)),
    images=st.integers(1, 3),
    rows=st.integers(2, 4),
    columns=st.integers(2, 4),
    ignored=st.sampled_from(["none", "scattered", "most", "columns", "images"]),
    seed=st.integers(0, 1000),
)
over_scenes = given(scene=scenes)
few = settings(max_examples=6)


def over(contract="", chosen=lambda _: True):
    """Run over every loss that does not declare that it cannot keep the contract."""
    every = [case for case in cases() if contract not in case.values[0].cls.exempt]
    return pytest.mark.parametrize("case", [case for case in every if chosen(case.values[0].cls)])


def sums(cls):
    return cls.per != "batch"


def test_every_loss_is_registered():
    assert {entry.name for entry in BUNDLED} == LOSSES


def test_exemptions_are_known():
    assert {entry.name: set(entry.cls.exempt) for entry in BUNDLED if entry.cls.exempt} == EXEMPT


@over("ignored pixels")
@given(scene=scenes, poison=st.sampled_from([float("nan"), float("inf"), 1e30]))
@few
def test_ignored_pixels_change_neither_value_nor_gradient(case, poison, scene):
    """Nor do the cells of taps of which less than half of the pixels are valid."""
    trial, target = case.of(scene), scene.labels()
    results = []
    for poisoned in (False, True):
        learner, source = trial.predictions()
        hidden = [~valid_cells(target, values.shape[-2:]).unsqueeze(1) for values in tensors(learner)]
        if poisoned:
            with torch.no_grad():
                for values in (*tensors(learner), *tensors(source)):
                    values.masked_fill_(~valid_cells(target, values.shape[-2:]).unsqueeze(1), poison)
        loss = trial.module()(learner, source, target, call(scene.images))
        if loss.requires_grad:
            loss.backward()
        gradients = [values.grad for values in tensors(learner)]
        for gradient, place in zip(gradients, hidden, strict=True):
            assert gradient is None or (gradient.masked_select(place) == 0).all()
        results.append([loss.detach(), *(gradient for gradient in gradients if gradient is not None)])
    for one, other in zip(*results, strict=True):
        assert torch.isfinite(other).all()
        assert torch.equal(one, other)


@over("all ignored")
@over_scenes
@few
def test_an_all_ignored_batch_gives_0(case, scene):
    trial, target = case.of(scene), torch.full_like(scene.labels(), IGNORE_INDEX)
    learner, source = trial.predictions()
    module = trial.module()
    loss = module(learner, source, target, call(scene.images))
    assert loss.item() == 0
    if loss.requires_grad:
        loss.backward()
    assert all((values.grad == 0).all() for values in tensors(learner) if values.grad is not None)
    if case.cls.per != "batch":
        assert module.count(target).item() == 0


@over("identical predictions", lambda cls: cls.role == "distillation")
@given(scene=scenes, kind=st.sampled_from([(torch.float64, 2.0), (torch.float32, 1e4), (torch.bfloat16, 1e4)]))
@few
def test_identical_predictions_give_0(case, scene, kind):
    dtype, scale = kind
    trial = evolve(case, source="learner").of(scene)
    learner, source = trial.predictions(dtype=dtype, scale=scale, alike=True)
    module = trial.module(torch.float32 if dtype is torch.bfloat16 else dtype)
    loss = module(learner, source, scene.labels(), call(scene.images))
    assert loss.item() == 0
    if loss.requires_grad:
        loss.backward()
    assert all(torch.isfinite(values.grad).all() for values in tensors(learner) if values.grad is not None)


@over()
@given(scene=scenes, dtype=st.sampled_from([torch.float32, torch.bfloat16]))
@few
def test_extreme_logits_stay_finite(case, dtype, scene):
    trial = case.of(scene)
    learner, source = trial.predictions(dtype=dtype, scale=1e4)
    loss = trial.module(torch.float32)(learner, source, scene.labels(), call(scene.images))
    assert torch.isfinite(loss)
    if loss.requires_grad:
        loss.backward()
    assert all(torch.isfinite(values.grad).all() for values in tensors(learner) if values.grad is not None)


@over("learner alone")
def test_gradient_reaches_the_learner_alone(case):
    scene = Scene(classes=5, images=3, rows=4, columns=4, ignored="scattered", seed=0)
    trial = case.of(scene)
    learner, source = trial.predictions()
    trial.module()(learner, source, scene.labels(), call(scene.images)).backward()
    assert all(values.grad is None for values in tensors(source))
    assert any(values.grad is not None and values.grad.abs().sum() > 0 for values in tensors(learner))


@over("micro-batches", chosen=sums)
@over_scenes
@few
def test_micro_batches_sum_to_the_whole(case, scene):
    trial, target = case.of(evolve(scene, images=3)), evolve(scene, images=3).labels()
    learner, source = trial.predictions()
    module = trial.module()

    def part(first, end):
        own = [changed(one, lambda values: values[first:end]) for one in (learner, source)]
        return module(*own, target[first:end], call(end - first)), module.count(target[first:end])

    parts = [part(0, 1), part(1, 3)]
    whole = module(learner, source, target, call(3))
    assert torch.allclose(sum(loss for loss, _ in parts), whole, rtol=1e-9, atol=1e-12)
    assert torch.allclose(sum(count for _, count in parts).double(), module.count(target).double(), rtol=1e-12)


@over("repeated batch")
@over_scenes
@few
def test_repeating_the_batch_changes_nothing(case, scene):
    trial, target = case.of(scene), scene.labels()
    pair = trial.predictions()
    twice = [changed(one, lambda values: torch.cat([values, values])) for one in pair]
    once, again = trial.mean(*pair, target), trial.mean(*twice, torch.cat([target, target]))
    assert torch.allclose(once, again, rtol=1e-9, atol=1e-12)


@over("repeated resolution")
@over_scenes
@few
def test_repeating_every_pixel_changes_nothing(case, scene):
    """The resolution by nearest neighbour: a loss does not depend on how finely the same picture is drawn."""
    trial, target = case.of(scene), scene.labels()
    if any(trial.taps()):  # a cell is valid, and of a class, by its pixels together: they are alike in each
        target = target[:, ::4, ::4].repeat_interleave(4, -2).repeat_interleave(4, -1)
    pair = trial.predictions()

    def finer(values):
        return values.repeat_interleave(2, -2).repeat_interleave(2, -1)

    fine = [changed(one, finer) for one in pair]
    once, again = trial.mean(*pair, target), evolve(trial, scale=2).mean(*fine, finer(target))
    assert torch.allclose(once, again, rtol=1e-9, atol=1e-12)


@over(chosen=sums)
@over_scenes
@few
def test_the_count_is_a_scalar_of_the_target_alone(case, scene):
    module, target = case.of(scene).module(), scene.labels()
    count = module.count(target)
    assert count.ndim == 0
    assert not count.requires_grad
    for dtype in (torch.int32, torch.int64):
        assert module.count(target.to(dtype)) == count


@over(chosen=lambda cls: sums(cls) and cls.role != "supervised" and not cls.counts_by_label)
@over_scenes
@few
def test_the_count_follows_from_which_pixels_are_labelled(case, scene):
    """So that it is known for pixels whose class a source has yet to say; others declare `counts_by_label`."""
    module, target = case.of(scene).module(), scene.labels()
    others = torch.where(target == IGNORE_INDEX, target, (target + 1) % scene.classes)
    assert module.count(others) == module.count(target)


@over("finite differences")
@over_scenes
@few
def test_the_gradient_is_that_of_finite_differences(case, scene):
    scene = evolve(scene, images=1, classes=min(scene.classes, 12))
    trial, target = case.of(scene), scene.labels()
    learner, source = trial.predictions()
    module = trial.module()

    def value(*values):
        return module(with_tensors(learner, values), source, target, call(1))

    if value(*tensors(learner)).requires_grad:
        torch.autograd.gradcheck(value, tensors(learner), fast_mode=True)


@over()
@over_scenes
@few
def test_half_precision_is_computed_in_float32(case, scene):
    trial, target = case.of(scene), scene.labels()
    pair = trial.predictions(dtype=torch.bfloat16)
    wide = [changed(one, lambda values: values.detach().float()) for one in pair]
    losses = [trial.module(torch.float32)(*those, target, call(scene.images)) for those in (pair, wide)]
    assert losses[0].dtype == torch.float32
    assert torch.equal(*losses)


@over()
@over_scenes
@few
def test_every_integer_type_of_target_serves(case, scene):
    trial, target = case.of(scene), scene.labels()
    pair = trial.predictions()
    values = [
        trial.module()(*pair, target.to(dtype), call(scene.images)).item()
        for dtype in (torch.uint8, torch.int32, torch.int64)
    ]
    assert values[0] == values[1] == values[2]


@over()
@given(scene=scenes, kind=st.sampled_from([(torch.float64, 1e-9), (torch.float32, 1e-5)]))
@few
@pytest.mark.parametrize("compiled", [False, True])
def test_what_it_offers_to_be_fused_as_is_its_equal(case, compiled, scene, kind):
    """Values and gradient of the weighted sum, alone and beside a cross-entropy."""
    dtype, tolerance = kind
    trial, target = case.of(scene), scene.labels()
    module, labels = trial.module(dtype), CrossEntropyLoss(None, 0.0)
    for others in ([], [labels]):
        fused = module.fuse(others, device=torch.device("cpu"), compiled=compiled)
        if fused is None:
            continue
        scales = torch.tensor([0.7, 1.3][: len(fused.modules)], dtype=torch.float64) / target.numel()
        learner, source = trial.predictions(dtype=dtype)
        values = torch.stack([one(learner, source, target, call(scene.images)) for one in fused.modules])
        (scales.to(dtype) @ values).backward()
        again, _ = trial.predictions(dtype=dtype)
        objective, found = fused(again, source, target, call(scene.images), scales)
        objective.backward()
        assert torch.allclose(found, values, rtol=tolerance, atol=tolerance * target.numel())
        assert torch.allclose(objective, scales.to(dtype) @ values, rtol=tolerance, atol=tolerance)
        assert torch.allclose(again.logits.grad, learner.logits.grad, rtol=tolerance, atol=tolerance / target.numel())
