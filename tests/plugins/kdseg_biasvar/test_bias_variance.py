"""The decompositions against their definitions, pixel by pixel, and against quadrature."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kdseg_biasvar
from kdseg.components import DiagnosticContext
from kdseg.data.samples import IGNORE_INDEX, ClassTable
from kdseg.errors import KdsegError
from kdseg_biasvar.components import BiasVariance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from torch import Tensor

    from kdseg.diagnostics import Accumulator, Findings

COLUMNS = {"pixels", "nll", "nll_bias", "nll_variance", "brier", "brier_bias", "brier_variance"}


def accumulator(classes: int, trials: int) -> Accumulator:
    names = tuple(f"class-{i}" for i in range(classes))
    table = ClassTable(names=names, colours=((0, 0, 0),) * classes)
    return BiasVariance().build(DiagnosticContext(classes=table, trials=trials))


def found(trials: Sequence[Tensor], target: Tensor) -> Findings:
    work = accumulator(trials[0].shape[1], len(trials))
    work.update(iter(trials), target, range(len(target)))
    return work.compute()


def draw(
    images: int, classes: int, height: int, width: int, trials: int, *, seed: int = 0, ignored: float = 0.2
) -> tuple[list[Tensor], Tensor]:
    """Give logits that share something, and labels of which some are ignored."""
    torch.manual_seed(seed)
    shared = 2 * torch.randn(images, classes, height, width)
    target = torch.randint(classes, (images, height, width), dtype=torch.uint8)
    target[torch.rand(images, height, width) < ignored] = IGNORE_INDEX
    return [shared + torch.randn(images, classes, height, width) for _ in range(trials)], target


def softmax(logits: Sequence[float]) -> list[float]:
    powers = [math.exp(logit - max(logits)) for logit in logits]
    return [power / sum(powers) for power in powers]


def kl(p: Sequence[float], q: Sequence[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def of_pixel(logits: Sequence[Sequence[float]], label: int) -> dict[str, float]:
    """Decompose one pixel's error over trials by the definitions of bias and variance, in Python's own floats."""
    count, classes = len(logits), len(logits[0])
    p = [softmax(row) for row in logits]
    truth = [float(c == label) for c in range(classes)]

    centre = softmax([sum(math.log(row[c]) for row in p) / count for c in range(classes)])
    nll_variance = sum(kl(centre, row) for row in p) / count
    extra = nll_variance * count / (count - 1) - nll_variance  # what the correction takes from the bias

    pairs = [(a, b) for i, a in enumerate(p) for b in p[:i]]
    brier_variance = sum(math.dist(a, b) ** 2 / 2 for a, b in pairs) / len(pairs)  # E‖a-b‖²/2 of independent a, b
    return {
        "pixels": 1.0,
        "nll": sum(-math.log(row[label]) for row in p) / count,
        "nll_bias": kl(truth, centre) - extra,
        "nll_variance": nll_variance + extra,
        "brier": sum(math.dist(truth, row) ** 2 for row in p) / count,
        "brier_bias": sum(math.dist(truth, row) ** 2 for row in p) / count - brier_variance,
        "brier_variance": brier_variance,
    }


def by_hand(trials: Sequence[Tensor], target: Tensor) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Give the means over all pixels and over those of each class that occurs."""
    pixels = defaultdict(list)
    for n, row, column in np.ndindex(*target.shape):
        if (label := int(target[n, row, column])) != IGNORE_INDEX:
            logits = [trial[n, :, row, column].double().tolist() for trial in trials]
            pixels[f"class-{label}"].append(of_pixel(logits, label))

    def mean(rows: list[dict[str, float]]) -> dict[str, float]:
        means = {name: math.fsum(row[name] for row in rows) / len(rows) for name in COLUMNS - {"pixels"}}
        return {"pixels": float(len(rows)), **means}

    return mean([row for rows in pixels.values() for row in rows]), {name: mean(rows) for name, rows in pixels.items()}


def assert_same(ours: Mapping[str, float], theirs: Mapping[str, float]) -> None:
    assert ours == pytest.approx(theirs, rel=1e-11, abs=1e-12, nan_ok=True)


def assert_same_findings(ours: Findings, theirs: Findings) -> None:
    assert_same(ours.scalars, theirs.scalars)
    assert ours.tables["class"].keys() == theirs.tables["class"].keys()
    for name, row in ours.tables["class"].items():
        assert_same(row, theirs.tables["class"][name])


@settings(max_examples=40)
@given(
    images=st.integers(1, 2),
    classes=st.integers(1, 6),
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    trials=st.integers(2, 5),
    seed=st.integers(0, 2**31),
)
def test_it_equals_the_definitions_pixel_by_pixel(
    images: int, classes: int, height: int, width: int, trials: int, seed: int
) -> None:
    logits, target = draw(images, classes, height, width, trials, seed=seed)
    target[0, 0, 0] = 0
    findings = found(logits, target)
    scalars, rows = by_hand(logits, target)
    assert_same(findings.scalars, scalars)
    assert len(findings.tables["class"]) == classes
    for name, row in findings.tables["class"].items():
        if name in rows:
            assert_same(row, rows[name])
        else:
            assert row["pixels"] == 0
            assert all(math.isnan(row[column]) for column in COLUMNS - {"pixels"})


def test_bias_and_variance_sum_to_the_mean_error_of_the_trials() -> None:
    """The error is torch's own, the Brier score that of one-hot labels."""
    logits, target = draw(2, 11, 20, 30, trials=4)
    findings = found(logits, target)
    valid = target != IGNORE_INDEX
    labels = target[valid].long()
    one_hot = torch.nn.functional.one_hot(labels, 11).double()
    chosen = [trial.movedim(1, -1)[valid].double() for trial in logits]
    nll = sum(torch.nn.functional.cross_entropy(trial, labels).item() for trial in chosen) / 4
    brier = sum((trial.softmax(-1) - one_hot).square().sum(-1).mean().item() for trial in chosen) / 4
    for row in (findings.scalars, *findings.tables["class"].values()):
        assert row["nll_bias"] + row["nll_variance"] == pytest.approx(row["nll"], rel=1e-12)
        assert row["brier_bias"] + row["brier_variance"] == pytest.approx(row["brier"], rel=1e-12)
    assert findings.scalars["nll"] == pytest.approx(nll, rel=1e-12)
    assert findings.scalars["brier"] == pytest.approx(brier, rel=1e-12)


@pytest.mark.parametrize("scale", [1, 100])
def test_identical_trials_have_no_variance(scale: float) -> None:
    logits, target = draw(2, 19, 8, 9, trials=1)
    scalars = found([scale * logits[0]] * 5, target).scalars
    assert scalars["nll_variance"] == pytest.approx(0, abs=1e-13)
    assert scalars["brier_variance"] == pytest.approx(0, abs=1e-13)
    assert scalars["nll_bias"] == pytest.approx(scalars["nll"], rel=1e-12)


def test_variance_does_not_depend_on_the_labels() -> None:
    """A hundred pixels with the same logits, each with another label: the classes differ in bias alone."""
    logits, _ = draw(1, 5, 1, 1, trials=3)
    rows = found([trial.expand(1, 5, 10, 10) for trial in logits], torch.arange(100).reshape(1, 10, 10) % 5)
    table = rows.tables["class"]
    for variance in ("nll_variance", "brier_variance"):
        assert [row[variance] for row in table.values()] == pytest.approx([table["class-0"][variance]] * 5, rel=1e-12)
    assert len({round(row["nll_bias"], 6) for row in table.values()}) == 5


@pytest.mark.parametrize(("centre", "spread"), [(1.0, 0.5), (2.0, 1.0), (-0.5, 1.5)])
def test_gaussian_logits_have_the_variance_that_quadrature_gives(centre: float, spread: float) -> None:
    """Two classes whose logits differ by a Gaussian: what infinitely many trials would show is an integral over it.

    With 40,000 pixels of three trials each, the corrected estimate comes far nearer to it than the plug-in does.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    weights = weights / weights.sum()
    difference = centre + spread * nodes
    log_p = -np.logaddexp(0, -difference), -np.logaddexp(0, difference)
    nll_variance = -np.logaddexp(*(weights @ log_q for log_q in log_p))
    p = np.exp(log_p[0])
    brier_variance = 2 * (weights @ p**2 - (weights @ p) ** 2)  # of both classes, whose p are 1 together
    nll = -(weights @ log_p[0])
    brier = 2 * (weights @ (1 - p) ** 2)

    torch.manual_seed(0)
    zeros = torch.zeros(1, 1, 200, 200, dtype=torch.float64)
    trials = [torch.cat([centre + spread * torch.randn_like(zeros), zeros], dim=1) for _ in range(3)]
    scalars = found(trials, torch.zeros(1, 200, 200, dtype=torch.uint8)).scalars

    corrected = scalars["nll_variance"]
    plug_in = corrected * 2 / 3
    assert abs(corrected - nll_variance) < 0.25 * abs(plug_in - nll_variance)
    assert scalars["brier_variance"] == pytest.approx(brier_variance, rel=0.02)
    assert scalars["nll"] == pytest.approx(nll, rel=0.02)
    assert scalars["nll_bias"] == pytest.approx(nll - nll_variance, rel=0.1)
    assert scalars["brier_bias"] == pytest.approx(brier - brier_variance, rel=0.02)


@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), 1e30])
def test_what_is_predicted_at_ignored_pixels_does_not_count(rubbish: float) -> None:
    logits, target = draw(2, 4, 6, 7, trials=3, ignored=0.5)
    clean = found(logits, target)
    hidden = (target == IGNORE_INDEX).unsqueeze(1)
    assert_same_findings(found([trial.masked_fill(hidden, rubbish) for trial in logits], target), clean)
    assert clean.scalars["pixels"] == (target != IGNORE_INDEX).sum()


@settings(max_examples=40)
@given(cuts=st.sets(st.integers(1, 5)), parts=st.integers(1, 3))
def test_batches_and_processes_change_nothing(cuts: set[int], parts: int) -> None:
    """Six images in batches, dealt to processes of which some may get none."""
    logits, target = draw(6, 5, 4, 3, trials=3)
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


def test_only_sums_are_kept() -> None:
    work = accumulator(5, 3)
    before = [(tensor.shape, tensor.dtype) for tensor in work.tensors()]
    logits, target = draw(6, 5, 4, 3, trials=3)
    for _ in range(3):
        work.update(logits, target, range(len(target)))
    assert [(tensor.shape, tensor.dtype) for tensor in work.tensors()] == before
    assert {dtype for _, dtype in before} == {torch.int64, torch.float64}
    assert work.compute().scalars["pixels"] == 3 * (target != IGNORE_INDEX).sum()


def test_trials_are_asked_for_one_at_a_time() -> None:
    """When a trial is asked for, all but the one before it are gone."""
    import gc
    import weakref

    before: list[weakref.ref[Tensor]] = []

    def lazily() -> Iterator[Tensor]:
        for _ in range(4):
            gc.collect()
            assert sum(ref() is not None for ref in before) <= 1
            logits = torch.randn(1, 3, 4, 4)
            before.append(weakref.ref(logits))
            yield logits
            del logits

    accumulator(3, 4).update(lazily(), torch.zeros(1, 4, 4, dtype=torch.uint8), range(1))
    assert len(before) == 4


def test_half_precision_logits_are_added_up_in_double() -> None:
    logits, target = draw(1, 5, 8, 8, trials=3)
    halves = [trial.bfloat16() for trial in logits]
    assert_same_findings(found(halves, target), found([trial.double() for trial in halves], target))


def test_nothing_labelled_gives_nan() -> None:
    logits, target = draw(1, 3, 4, 4, trials=2)
    findings = found(logits, torch.full_like(target, IGNORE_INDEX))
    assert findings.scalars["pixels"] == 0
    assert all(math.isnan(findings.scalars[column]) for column in COLUMNS - {"pixels"})


@pytest.mark.parametrize("trials", [0, 1])
def test_fewer_than_two_trials_are_refused(trials: int) -> None:
    with pytest.raises(KdsegError, match=rf"2 trials or more.*found {trials}"):
        accumulator(3, trials)


@pytest.mark.parametrize(("given_", "promised"), [(2, 3), (3, 2), (0, 2)])
def test_another_number_of_trials_than_promised_is_refused(given_: int, promised: int) -> None:
    work = accumulator(3, promised)
    logits, target = draw(1, 3, 4, 4, trials=given_)
    with pytest.raises(ValueError, match=f"{given_} trials came; {promised} were promised"):
        work.update(logits, target, range(len(target)))
    assert work.compute().scalars["pixels"] == 0


@pytest.mark.parametrize("classes", [1, 4])
def test_a_trial_with_other_classes_is_refused(classes: int) -> None:
    logits, target = draw(1, 3, 4, 4, trials=1)
    odd: Iterable[Tensor] = [*logits, torch.randn(1, classes, 4, 4)]
    with pytest.raises(KdsegError, match=f"trial 2 of 2 predicts {classes} classes; the images have 3"):
        accumulator(3, 2).update(odd, target, range(len(target)))


def test_a_label_that_is_no_class_is_refused() -> None:
    logits, target = draw(1, 3, 4, 4, trials=2)
    target[0, 1, 1] = 17
    with pytest.raises(KdsegError, match="holds the label 17; labels go from 0 to 2, and 255 is ignored"):
        found(logits, target)


def test_the_hook_hands_over_the_diagnostic() -> None:
    assert list(kdseg_biasvar.kdseg_diagnostics()) == [BiasVariance]
