"""What every diagnostic keeps: batches, processes, ignored pixels and memory change nothing."""

from __future__ import annotations

import gc
import math
import weakref
from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kdseg_biasvar
from kdseg import IGNORE_INDEX, Arm, ClassTable, DiagnosticContext, KdsegError
from kdseg.testing import heavy_imports
from kdseg_biasvar import reading
from kdseg_biasvar.components import BiasVariance


def assert_same_findings(ours, theirs):
    assert ours.scalars == pytest.approx(theirs.scalars, rel=1e-10, abs=1e-12, nan_ok=True)
    assert ours.tables.keys() == theirs.tables.keys()
    for name, table in ours.tables.items():
        assert table.keys() == theirs.tables[name].keys()
        for label, row in table.items():
            assert row == pytest.approx(theirs.tables[name][label], rel=1e-9, abs=1e-11, nan_ok=True)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.sets(st.integers(1, 5)), parts=st.integers(1, 3), seeds=st.sampled_from([1, 2]))
def test_batches_and_processes_change_nothing(accumulator, found, draw, cuts, parts, seeds):
    """Six images in batches, dealt to processes of which some may get none."""
    words = {"arms": 2, "seeds": seeds, "reference": True, "resamples": 200}
    logits, target = draw(6, 5, 4, 9, trials=13)
    processes = [accumulator(5, 6, images=6, **words) for _ in range(parts)]
    bounds = [0, *sorted(cuts), 6]
    for number, (begin, end) in enumerate(pairwise(bounds)):
        processes[number % parts].update([trial[begin:end] for trial in logits], target[begin:end], range(begin, end))
    whole = found(logits, target, **words)
    totals = [sum(same) for same in zip(*(process.tensors() for process in processes), strict=True)]
    for process in processes:
        for tensor, total in zip(process.tensors(), totals, strict=True):
            tensor.copy_(total)
        assert_same_findings(process.compute(), whole)


def test_the_order_of_the_images_changes_nothing(accumulator, found, draw):
    logits, target = draw(3, 4, 5, 6, trials=3)
    work = accumulator(4, 3, images=3, resamples=200)
    for index in (2, 0, 1):
        work.update([trial[index : index + 1] for trial in logits], target[index : index + 1], [index])
    assert_same_findings(work.compute(), found(logits, target))


@pytest.mark.parametrize("seeds", [1, 2])
def test_chunks_change_nothing(found, draw, monkeypatch, seeds):
    logits, target = draw(2, 5, 8, 9, trials=6)
    whole = found(logits, target, seeds=seeds)
    monkeypatch.setattr(reading, "CHUNK", 7)
    assert_same_findings(found(logits, target, seeds=seeds), whole)


@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), 1e30])
def test_what_is_predicted_at_ignored_pixels_does_not_count(found, draw, rubbish):
    logits, target = draw(2, 4, 6, 7, trials=5, ignored=0.5)
    words = {"arms": 2, "reference": True}
    hidden = (target == IGNORE_INDEX).unsqueeze(1)
    clean = found(logits, target, **words)
    assert_same_findings(found([trial.masked_fill(hidden, rubbish) for trial in logits], target, **words), clean)
    assert clean.scalars["pixels"] == (target != IGNORE_INDEX).sum()


def test_only_sums_are_kept(accumulator, draw):
    work = accumulator(5, 3, images=6)
    before = [(tensor.shape, tensor.dtype) for tensor in work.tensors()]
    logits, target = draw(6, 5, 4, 3, trials=3)
    for _ in range(3):
        work.update(logits, target, range(6))
    assert [(tensor.shape, tensor.dtype) for tensor in work.tensors()] == before
    assert {dtype for _, dtype in before} == {torch.int64, torch.float64}
    assert work.compute().scalars["pixels"] == 3 * (target != IGNORE_INDEX).sum()


class Lazily:
    """Trials that are made when they are asked for; each then must be alone."""

    def __init__(self, count):
        self.count, self.readings = count, 0

    def __iter__(self):
        self.readings += 1
        before = []
        for number in range(self.count):
            gc.collect()
            assert all(ref() is None for ref in before)
            torch.manual_seed(number)
            before.append(weakref.ref(logits := torch.randn(1, 3, 4, 4)))
            held = [logits]
            del logits
            yield held.pop()


@pytest.mark.parametrize(("trials", "seeds", "readings"), [(2, 1, 1), (4, 2, 1), (4, 4, 2), (6, 2, 2), (5, 1, 2)])
def test_trials_are_asked_for_one_at_a_time_and_twice_at_most(accumulator, trials, seeds, readings):
    lazily = Lazily(trials)
    accumulator(3, trials, seeds=seeds, images=1).update(lazily, torch.zeros(1, 4, 4, dtype=torch.uint8), range(1))
    assert lazily.readings == readings


def allocated(accumulator, trials, **words):
    """Give the most bytes of tensors that an update adds, as torch's own allocator counts them."""
    shape = (1, 6, 120, 160)
    work = accumulator(6, trials, images=1, **words)
    target = torch.zeros(1, 120, 160, dtype=torch.uint8)

    class Trials:
        def __iter__(self):
            for number in range(trials):
                yield torch.full(shape, float(number))

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work.update(Trials(), target, range(1))
    held = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


@pytest.mark.parametrize("seeds", [1, 2])
def test_memory_does_not_grow_with_the_trials(accumulator, seeds):
    few, many = (allocated(accumulator, trials, seeds=seeds) for trials in (6, 24))
    assert few > 120 * 160 * 6 * 8  # something was measured
    assert many < 1.02 * few


def test_half_precision_logits_are_added_up_in_double(found, draw):
    logits, target = draw(1, 5, 8, 8, trials=3)
    halves = [trial.bfloat16() for trial in logits]
    assert_same_findings(found(halves, target), found([trial.double() for trial in halves], target))


def test_nothing_labelled_gives_nan(found, draw):
    logits, target = draw(2, 3, 4, 4, trials=6)
    findings = found(logits, torch.full_like(target, IGNORE_INDEX), arms=2)
    assert findings.scalars["pixels"] == 0
    assert all(math.isnan(value) for name, value in findings.scalars.items() if name != "pixels")
    assert not any("rose" in note or "fell" in note for note in findings.notes)


@pytest.mark.parametrize("trials", [0, 1])
def test_fewer_than_two_trials_are_refused(trials):
    table = ClassTable(names=("a", "b"), colours=((0, 0, 0),) * 2)
    with pytest.raises(KdsegError, match=rf"2 trials or more.*found {trials}"):
        BiasVariance().build(DiagnosticContext(classes=table, trials=trials, images=1))


def test_training_sets_of_unequal_trainings_are_refused():
    table = ClassTable(names=("a", "b"), colours=((0, 0, 0),) * 2)
    arms = (Arm(name="mine", samples=(0, 0, 1), description=""),)
    with pytest.raises(KdsegError, match=r"mine: .*as many trainings as the others; found 2 of set 0, 1 of set 1"):
        BiasVariance().build(DiagnosticContext(classes=table, trials=3, arms=arms, images=1))


def test_trials_of_one_set_that_are_apart_are_refused():
    table = ClassTable(names=("a", "b"), colours=((0, 0, 0),) * 2)
    arms = (Arm(name="mine", samples=(0, 1, 0, 1), description=""),)
    with pytest.raises(ValueError, match="come one after the other"):
        BiasVariance().build(DiagnosticContext(classes=table, trials=4, arms=arms, images=1))


@pytest.mark.parametrize(("given_", "promised"), [(2, 3), (3, 2), (0, 2)])
def test_another_number_of_trials_than_promised_is_refused(accumulator, draw, given_, promised):
    work = accumulator(3, promised, images=1)
    logits, target = draw(1, 3, 4, 4, trials=given_)
    with pytest.raises(ValueError, match=f"{given_} trials came; {promised} were promised"):
        work.update(logits, target, range(1))
    assert work.compute().scalars["pixels"] == 0


@pytest.mark.parametrize("index", [-1, 2])
def test_an_image_that_is_none_is_refused(accumulator, draw, index):
    logits, target = draw(1, 3, 4, 4, trials=2)
    with pytest.raises(ValueError, match="they go from 0 to 1"):
        accumulator(3, 2, images=2).update(logits, target, [index])


@pytest.mark.parametrize("classes", [1, 4])
def test_a_trial_with_other_classes_is_refused(accumulator, draw, classes):
    logits, target = draw(1, 3, 4, 4, trials=1)
    odd = [*logits, torch.randn(1, classes, 4, 4)]
    with pytest.raises(KdsegError, match=f"trial 2 of 2 predicts {classes} classes; the images have 3"):
        accumulator(3, 2).update(odd, target, range(1))


def test_a_label_that_is_no_class_is_refused(found, draw):
    logits, target = draw(1, 3, 4, 4, trials=2)
    target[0, 1, 1] = 17
    with pytest.raises(KdsegError, match="holds the label 17; labels go from 0 to 2, and 255 is ignored"):
        found(logits, target)


def test_the_hook_hands_over_the_diagnostic_and_loads_no_torch():
    assert list(kdseg_biasvar.kdseg_diagnostics()) == [BiasVariance]
    assert not heavy_imports("import kdseg_biasvar; kdseg_biasvar.kdseg_diagnostics()")
