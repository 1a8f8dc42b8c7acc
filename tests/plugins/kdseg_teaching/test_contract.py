"""What every diagnostic keeps: batches, processes, ignored pixels and memory change nothing."""

from __future__ import annotations

import gc
import math
import weakref
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kdseg_teaching
from kdseg.data.samples import IGNORE_INDEX
from kdseg.diagnostics import Example
from kdseg.errors import KdsegError
from kdseg_teaching import accumulator as module
from kdseg_teaching.components import Teachability


def assert_same_findings(ours, theirs):
    assert ours.scalars == pytest.approx(theirs.scalars, rel=1e-10, abs=1e-12, nan_ok=True)
    assert ours.tables.keys() == theirs.tables.keys()
    for name, table in ours.tables.items():
        assert table.keys() == theirs.tables[name].keys()
        for label, row in table.items():
            assert row == pytest.approx(theirs.tables[name][label], rel=1e-10, abs=1e-12, nan_ok=True)


@settings(max_examples=15)
@given(cuts=st.sets(st.integers(1, 5)), parts=st.integers(1, 3))
def test_batches_and_processes_change_nothing(accumulator, found, draw, cuts, parts):
    """Six images in batches, dealt to processes of which some may get none."""
    logits, target = draw(6, 5, 4, 9, trials=3)
    processes = [accumulator(5, 3) for _ in range(parts)]
    bounds = [0, *sorted(cuts), 6]
    for number, (begin, end) in enumerate(pairwise(bounds)):
        processes[number % parts].update([trial[begin:end] for trial in logits], target[begin:end], range(begin, end))
    whole = found(logits, target)
    totals = [sum(same) for same in zip(*(process.tensors() for process in processes), strict=True)]
    for process in processes:
        for tensor, total in zip(process.tensors(), totals, strict=True):
            tensor.copy_(total)
        assert_same_findings(process.compute(), whole)


def test_chunks_change_nothing(found, draw, monkeypatch):
    logits, target = draw(2, 5, 8, 9, trials=2)
    whole = found(logits, target)
    monkeypatch.setattr(module, "CHUNK", 7)
    assert_same_findings(found(logits, target), whole)


@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), 1e30])
def test_what_is_predicted_at_ignored_pixels_does_not_count(found, draw, rubbish):
    logits, target = draw(2, 4, 6, 7, trials=2, ignored=0.5)
    hidden = (target == IGNORE_INDEX).unsqueeze(1)
    clean = found(logits, target)
    assert_same_findings(found([trial.masked_fill(hidden, rubbish) for trial in logits], target), clean)
    assert clean.scalars["pixels"] == (target != IGNORE_INDEX).sum()


def test_only_sums_are_kept_whatever_the_images_and_trials(accumulator, draw):
    before = [(tensor.shape, tensor.dtype) for tensor in accumulator(5, 1).tensors()]
    work = accumulator(5, 3)
    logits, target = draw(6, 5, 4, 3, trials=3)
    for _ in range(3):
        work.update(logits, target, range(len(target)))
    assert [(tensor.shape, tensor.dtype) for tensor in work.tensors()] == before
    assert {dtype for _, dtype in before} == {torch.int64, torch.float64}
    assert work.compute().scalars["pixels"] == 3 * (target != IGNORE_INDEX).sum()


def test_trials_are_asked_for_one_at_a_time(accumulator):
    before = []

    def lazily():
        for _ in range(4):
            gc.collect()
            assert all(ref() is None for ref in before)
            before.append(weakref.ref(logits := torch.randn(1, 3, 4, 4)))
            held = [logits]
            del logits
            yield held.pop()

    accumulator(3, 4).update(lazily(), torch.zeros(1, 4, 4, dtype=torch.uint8), range(1))
    assert len(before) == 4


def test_half_precision_logits_are_added_up_in_double(found, draw):
    logits, target = draw(1, 5, 8, 8, trials=2)
    halves = [trial.bfloat16() for trial in logits]
    assert_same_findings(found(halves, target), found([trial.double() for trial in halves], target))


def test_nothing_labelled_gives_nan(found, draw):
    logits, target = draw(1, 3, 4, 4, trials=2)
    findings = found(logits, torch.full_like(target, IGNORE_INDEX))
    counted = {"pixels": 0, "sampled_pixels": 0, "best_temperature_at_border": 0}
    assert {name: findings.scalars[name] for name in counted} == counted
    assert all(math.isnan(value) for name, value in findings.scalars.items() if name not in counted)
    assert all(math.isnan(v) for row in findings.tables["temperature"].values() for v in row.values())


@pytest.mark.parametrize(("given_", "promised"), [(2, 3), (3, 2), (0, 1)])
def test_another_number_of_trials_than_promised_is_refused(accumulator, draw, given_, promised):
    work = accumulator(3, promised)
    logits, target = draw(1, 3, 4, 4, trials=given_)
    with pytest.raises(ValueError, match=f"{given_} trials came; {promised} were promised"):
        work.update(logits, target, range(len(target)))
    assert work.compute().scalars["pixels"] == 0


def test_a_trial_with_other_classes_is_refused(accumulator, draw):
    logits, target = draw(1, 3, 4, 4)
    with pytest.raises(KdsegError, match="trial 2 of 2 predicts 4 classes; the images have 3"):
        accumulator(3, 2).update([*logits, torch.randn(1, 4, 4, 4)], target, range(len(target)))


def test_a_label_that_is_no_class_is_refused(found, draw):
    logits, target = draw(1, 3, 4, 4)
    target[0, 1, 1] = 17
    with pytest.raises(KdsegError, match="holds the label 17; labels go from 0 to 2, and 255 is ignored"):
        found(logits, target)


def test_one_class_alone_is_refused(accumulator):
    with pytest.raises(KdsegError, match="needs images of 2 classes or more; these have 1"):
        accumulator(1)


@pytest.mark.parametrize("temperatures", [(), (1.0, 1.0), (0.0,), (-1.0,)])
def test_temperatures_that_make_no_sense_are_refused(temperatures):
    with pytest.raises(ValueError, match=r"different numbers from 0\.01 to 1000"):
        Teachability(temperatures=temperatures)


def test_pictures_show_the_images_as_they_are(accumulator, draw):
    """Two images of different size: the second row is fitted to the first; ignored pixels are grey in the map."""
    shown = []
    for size in ((40, 60), (30, 50)):
        logits, target = draw(1, 4, *size)
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        shown.append(Example(image=image, target=target[0].numpy(), id="", trials=iter(logits)))
    work = accumulator(4, 1, lambda: iter(shown))
    work.update(*draw(1, 4, 40, 60), range(1))
    pictures = work.compute().pictures
    assert set(pictures) == {"entropy_by_temperature", "non_target_by_temperature", "reliability", "entropy_maps"}
    assert all(picture.dtype == np.uint8 and picture.ndim == 3 for picture in pictures.values())
    factor = 4  # of small images in a sheet
    top, left = 22, 3 * (60 * factor + 4)
    np.testing.assert_array_equal(
        pictures["entropy_maps"][top : top + 40 * factor : factor, : 60 * factor : factor], shown[0].image
    )
    entropies = pictures["entropy_maps"][top : top + 40 * factor : factor, left : left + 60 * factor : factor]
    np.testing.assert_array_equal((entropies == 128).all(-1), shown[0].target == IGNORE_INDEX)


def test_without_images_there_are_charts_alone(found, draw):
    logits, target = draw(1, 4, 5, 5)
    assert "entropy_maps" not in found(logits, target).pictures
    assert "reliability" in found(logits, torch.full_like(target, IGNORE_INDEX)).pictures


def test_the_hook_hands_over_the_diagnostic():
    assert list(kdseg_teaching.kdseg_diagnostics()) == [Teachability]
