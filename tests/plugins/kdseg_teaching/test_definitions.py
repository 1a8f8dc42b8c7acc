"""What is found, against the definitions pixel by pixel and against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from kdseg.data.samples import IGNORE_INDEX

BEST = {"best_temperature", "best_temperature_at_border", "best_temperature_nll"}


def logits_of(p: list[list[float]], width: int) -> torch.Tensor:
    """Give logits 1×C×1×W whose softmax runs through the given distributions, each for `width` pixels."""
    return torch.tensor(p, dtype=torch.float64).log().repeat_interleave(width, 0).T[None, :, None]


def labels(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.uint8)[None, None]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    images=st.integers(1, 2),
    classes=st.integers(2, 6),
    height=st.integers(1, 5),
    width=st.integers(1, 6),
    trials=st.integers(1, 3),
    radius=st.integers(0, 2),
    most=st.integers(1, 40),
    ignored=st.sampled_from([0.0, 0.3, 0.8]),
    ties=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_it_equals_the_definitions_pixel_by_pixel(
    by_hand, found, draw, images, classes, height, width, trials, radius, most, ignored, ties, seed
):
    logits, target = draw(images, classes, height, width, trials, seed=seed, ignored=ignored)
    target[0, 0, 0] = 0
    if ties:
        logits = [trial.round() for trial in logits]
    findings = found(logits, target, radius=radius, pixels=most, temperatures=(1.0, 3.0))
    pixels = by_hand.pixels_of(logits, target, radius, most)
    wanted = by_hand.scalars(pixels, classes)
    assert {key: findings.scalars[key] for key in findings.scalars.keys() - BEST} == pytest.approx(
        wanted, rel=1e-9, abs=1e-11, nan_ok=True
    )
    for temperature in (1.0, 3.0):
        row = findings.tables["temperature"][f"T={temperature:g}"]
        assert row == pytest.approx(
            by_hand.at_temperature(pixels, classes, temperature), rel=1e-9, abs=1e-11, nan_ok=True
        )
    for label in range(classes):
        own = [pixel for pixel in pixels if pixel["label"] == label]
        row = {
            "pixels": len(own),
            "accuracy": by_hand.mean([pixel["logits"][0].argmax() == label for pixel in own]),
            "nll": by_hand.mean(by_hand.nll(own, 1.0)),
            "rank_agreement": by_hand.mean([r for p in own if p["sampled"] for r in by_hand.correlations(p)]),
        }
        got = findings.tables["class"][f"class-{label}"]
        assert {key: got[key] for key in row} == pytest.approx(row, rel=1e-9, abs=1e-11, nan_ok=True)
        average, information = by_hand.non_target(pixels, label, 3.0)
        for table, value in (("non_target_entropy", average), ("non_target_information", information)):
            got = findings.tables[f"class_{table}"][f"class-{label}"]["T=3"]
            assert got == pytest.approx(value, rel=1e-9, abs=1e-11, nan_ok=True)


def test_uniform_predictions_hold_all_entropy_and_tell_nothing(found, draw):
    logits, target = draw(2, 5, 6, 7)
    findings = found([torch.zeros_like(logits[0])], target)
    for row in findings.tables["temperature"].values():
        assert row["entropy"] == pytest.approx(1, rel=1e-12)
        assert row["non_target_entropy"] == pytest.approx(math.log(4), rel=1e-12)
        assert row["non_target_information"] == pytest.approx(0, abs=1e-12)
    assert findings.scalars["nll"] == pytest.approx(math.log(5), rel=1e-12)
    assert findings.scalars["brier"] == pytest.approx(0.8, rel=1e-12)


@pytest.mark.parametrize("scale", [50.0, 1e4])
def test_one_hot_predictions_of_the_truth_hold_none(found, draw, scale):
    """The other classes are equal among themselves, however little they have."""
    _, target = draw(1, 4, 6, 6)
    hot = torch.nn.functional.one_hot(target.clamp(max=3).long(), 4).movedim(-1, 1) * scale
    findings = found([hot], target, temperatures=(1.0,))
    row = findings.tables["temperature"]["T=1"]
    assert row["entropy"] == pytest.approx(0, abs=1e-9)
    assert row["non_target_entropy"] == pytest.approx(math.log(3), rel=1e-9)
    assert row["non_target_information"] == pytest.approx(0, abs=1e-9)
    assert math.isnan(row["entropy_wrong"])
    expected = {"accuracy": 1, "nll": 0, "brier": 0, "ece": 0, "class_wise_ece": 0}
    assert {key: findings.scalars[key] for key in expected} == pytest.approx(expected, abs=1e-9)
    assert findings.scalars["best_temperature_at_border"] == 1
    assert findings.scalars["best_temperature"] == pytest.approx(0.1)


def test_two_sorts_of_images_of_a_class_are_one_bit_apart(found):
    """Half of the pixels put the rest on one other class, half on another: ln 2 nats, and none within each half."""
    p = [[0.9, 0.1 - 1e-300, 1e-300], [0.9, 1e-300, 0.1 - 1e-300]]
    row = found([logits_of(p, 8)], labels(*[0] * 16), temperatures=(1.0,)).tables["temperature"]["T=1"]
    assert row["non_target_information"] == pytest.approx(math.log(2), rel=1e-12)
    assert row["non_target_entropy"] == pytest.approx(0, abs=1e-12)


def test_smoothing_drives_the_information_to_nothing(found):
    p = np.array([[0.8, 0.15, 0.05], [0.8, 0.05, 0.15]])
    told = []
    for smoothing in (0, 0.5, 0.9, 0.999):
        mixed = [list((1 - smoothing) * row + smoothing / 3) for row in p]
        findings = found([logits_of(mixed, 4)], labels(*[0] * 8), temperatures=(1.0,))
        told.append(findings.tables["temperature"]["T=1"]["non_target_information"])
    assert told == sorted(told, reverse=True)
    assert told[0] == pytest.approx(math.log(2) + 0.75 * math.log(0.75) + 0.25 * math.log(0.25), rel=1e-12)
    assert told[-1] < 1e-6


def test_calibration_of_a_known_mixture(found):
    """Ten pixels at 0.7, of which five are right, and ten at 0.9, all right: 0.2 and 0.1 off."""
    p = [[0.7, 0.3], [0.9, 0.1]]
    truth = labels(*[0] * 5, *[1] * 5, *[0] * 10)
    scalars = found([logits_of(p, 10)], truth).scalars
    assert scalars["ece"] == pytest.approx(0.15, rel=1e-12)
    assert scalars["class_wise_ece"] == pytest.approx(0.15, rel=1e-12)
    assert scalars["nll"] == pytest.approx(-(5 * math.log(0.7) + 5 * math.log(0.3) + 10 * math.log(0.9)) / 20)


def test_a_boundary_is_as_wide_as_the_radius_and_ignored_pixels_make_none(found):
    target = torch.zeros(1, 9, 20, dtype=torch.uint8)
    target[..., 10:] = 1
    target[..., 3] = IGNORE_INDEX
    logits = torch.zeros(1, 2, 9, 20)
    logits[:, 0, :, 8:12] = 3.0  # an entropy of its own within two columns of the edge
    rows = found([logits], target, radius=2, temperatures=(1.0,)).tables["temperature"]["T=1"]
    assert rows["entropy_interior"] == pytest.approx(1, rel=1e-12)
    p = 1 / (1 + math.exp(-3))
    assert rows["entropy_boundary"] == pytest.approx(-(p * math.log2(p) + (1 - p) * math.log2(1 - p)), rel=1e-12)


@pytest.mark.parametrize("hidden", [0.3, 1.0, 2.7, 9.0])
def test_the_best_temperature_is_that_of_the_labels(found, hidden):
    """Labels drawn from softmax(z): logits hidden·z want the temperature `hidden`."""
    torch.manual_seed(1)
    logits = 2 * torch.randn(1, 6, 150, 150, dtype=torch.float64)
    target = torch.multinomial(logits.softmax(1)[0].flatten(1).T, 1).view(1, 150, 150).byte()
    scalars = found([hidden * logits], target, pixels=150 * 150).scalars

    def nll(log_t: float) -> float:
        return torch.nn.functional.cross_entropy(hidden * logits / math.exp(log_t), target.long()).item()

    best = minimize_scalar(nll, bounds=(math.log(0.1), math.log(20)), method="bounded", options={"xatol": 1e-6})
    assert scalars["best_temperature"] == pytest.approx(math.exp(best.x), rel=0.01)
    assert scalars["best_temperature"] == pytest.approx(hidden, rel=0.05)
    assert scalars["best_temperature_nll"] == pytest.approx(best.fun, rel=1e-3)
    assert scalars["best_temperature_at_border"] == 0


def test_a_model_agrees_with_itself_and_not_with_its_reverse(found, draw):
    logits, target = draw(1, 7, 5, 5)
    for other, wanted in ((logits[0], 1), (-logits[0], -1), (3 * logits[0] + 5, 1)):
        assert found([*logits, other], target).scalars["rank_agreement"] == pytest.approx(wanted, rel=1e-12)
    assert found([*logits, logits[0], -logits[0]], target).scalars["rank_agreement"] == pytest.approx(0, abs=1e-12)
    assert math.isnan(found(logits, target).scalars["rank_agreement"])
    assert math.isnan(found([*logits, torch.zeros_like(logits[0])], target).scalars["rank_agreement"])


def test_what_stands_on_the_right_class_does_not_count_for_the_agreement(found, draw):
    logits, target = draw(1, 5, 4, 4, ignored=0.0)
    hot = torch.nn.functional.one_hot(target.long(), 5).movedim(-1, 1)
    assert found([*logits, logits[0] - 100 * hot], target).scalars["rank_agreement"] == pytest.approx(1, rel=1e-12)


def test_the_sample_is_about_as_large_as_asked_for(found, draw):
    logits, target = draw(3, 3, 60, 90, ignored=0.0)
    for most in (1, 50, 500, 60 * 90):
        sampled = found(logits, target, pixels=most).scalars["sampled_pixels"] / 3
        assert 0.5 * most < sampled <= 1.2 * most
