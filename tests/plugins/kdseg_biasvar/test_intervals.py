"""What the intervals are made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from kdseg import Arm, ClassTable, DiagnosticContext
from kdseg_biasvar.components import BiasVariance

T_975 = {2: 4.302653, 3: 3.182446, 4: 2.776445}
"""Student's, by degrees of freedom, as tables print it."""
LOGS = ("nll", "nll_variance", "brier", "brier_variance")
PLAIN = ("nll_bias", "brier_bias", "error", "miou")


def jackknife(left):
    count = len(left)
    error = math.sqrt((count - 1) / count * sum((value - np.mean(left)) ** 2 for value in left))
    return T_975[count - 1] * error


def without(logits, sample, seeds):
    return [trial for number, trial in enumerate(logits) if number // seeds != sample]


def ends(row, over):
    return row[f"{over}_low"], row[f"{over}_high"]


@pytest.mark.parametrize(("samples", "seeds"), [(3, 1), (5, 1), (4, 2)])
def test_intervals_over_trials_are_those_of_leaving_out_each_training_set(found, draw, samples, seeds):
    """What is left is a diagnosis of its own."""
    logits, target = draw(2, 4, 6, 7, trials=samples * seeds)
    findings = found(logits, target, seeds=seeds)
    others = [found(without(logits, sample, seeds), target, seeds=seeds).scalars for sample in range(samples)]
    for name in (*LOGS, *PLAIN):
        value, row = findings.scalars[name], findings.tables["intervals"][name]
        left = [other[name] for other in others]
        if name in LOGS:
            half = jackknife([math.log(one) for one in left])
            wanted = value * math.exp(-half), value * math.exp(half)
        else:
            wanted = value - jackknife(left), value + jackknife(left)
        assert ends(row, "trials") == pytest.approx(wanted), name
        assert row["value"] == value


def test_differences_leave_out_a_training_set_of_both_arms(found, draw):
    logits, target = draw(2, 4, 6, 7, trials=8)
    findings = found(logits, target, arms=2)
    first, second = logits[:4], logits[4:]
    others = [
        [found(without(arm, sample, 1), target) for arm in (first, second)] for sample in range(4)
    ]  # fmt: skip
    for name in (*LOGS, *PLAIN):
        row = findings.tables["difference"][name]
        left = [(one.scalars[name], two.scalars[name]) for one, two in others]
        assert ends(row, "trials") == pytest.approx(of_pairs(row["value"], left, name, findings.scalars)), name
    for name in ("nll_bias", "nll_variance"):
        for label, row in findings.tables[f"difference_{name}"].items():
            left = [(one.tables["class"][label][name], two.tables["class"][label][name]) for one, two in others]
            values = {f"{arm}{name}": findings.tables[f"{arm}class"][label][name] for arm in ("", "against_")}
            assert ends(row, "trials") == pytest.approx(of_pairs(row["value"], left, name, values)), name


def of_pairs(difference, left, name, values):
    """Give the interval of a paired difference; where numbers are taken in logarithms, as Zou (2007) puts two together.

    Args:
        difference: the second number less the first.
        left: both numbers without each training set.
        name: theirs.
        values: both by name, the second with ``against_`` before it.
    """
    if name not in LOGS:
        half = jackknife([two - one for one, two in left])
        return difference - half, difference + half
    (down_1, up_1), (down_2, up_2) = (
        (value - value / factor, value * factor - value)
        for value, factor in (
            (values[name], math.exp(jackknife([math.log(one) for one, _ in left]))),
            (values[f"against_{name}"], math.exp(jackknife([math.log(two) for _, two in left]))),
        )
    )
    r = np.corrcoef(np.transpose(left))[0, 1]
    down = math.sqrt(down_2**2 + up_1**2 - 2 * r * down_2 * up_1)
    return difference - down, difference + math.sqrt(up_2**2 + down_1**2 - 2 * r * up_2 * down_1)


def arms_apart(numbers):
    table = ClassTable(names=("a", "b", "c"), colours=((0, 0, 0),) * 3)
    arms = tuple(Arm(name=f"arm-{i}", samples=one, description="") for i, one in enumerate(numbers))
    return BiasVariance(resamples=200).build(DiagnosticContext(classes=table, trials=6, arms=arms, images=2))


def test_arms_of_other_training_sets_are_not_paired(found, draw):
    """Their chances add up as squares do."""
    logits, target = draw(2, 3, 6, 7, trials=6)
    work = arms_apart([(0, 1, 2), (3, 4, 5)])
    work.update(logits, target, range(2))
    findings = work.compute()
    left = [
        [found(without(arm, sample, 1), target).scalars["brier_bias"] for sample in range(3)]
        for arm in (logits[:3], logits[3:])
    ]
    row = findings.tables["difference"]["brier_bias"]
    assert row["trials_high"] - row["value"] == pytest.approx(math.hypot(*map(jackknife, left)))
    assert any("nothing is paired" in note for note in findings.notes)


def test_two_training_sets_have_no_interval_over_trials(found, draw):
    logits, target = draw(3, 4, 6, 7, trials=4)
    findings = found(logits, target, seeds=2)
    assert all(math.isnan(end) for row in findings.tables["intervals"].values() for end in ends(row, "trials"))
    assert any("needs 3 training sets" in note for note in findings.notes)


def test_the_vote_of_few_trials_has_no_interval_over_trials(found, draw):
    logits, target = draw(3, 4, 6, 7, trials=5)
    rows = found(logits, target).tables["intervals"]
    for name in ("error_bias", "error_variance", "error_variance_unbiased", "error_variance_biased"):
        assert all(math.isnan(end) for end in ends(rows[name], "trials"))
        assert not any(math.isnan(end) for end in ends(rows[name], "images"))


def test_intervals_over_many_images_are_those_of_a_mean(found):
    """Of 150 images of one size, each alike inside: the mean's, give or take 1.96 standard errors."""
    rng = np.random.default_rng(0)
    spread = rng.normal(1.0, 0.5, 150)
    logits = [torch.zeros(150, 2, 1, 2, dtype=torch.float64) for _ in range(2)]
    for sign, trial in zip((1, -1), logits, strict=True):
        trial[:, 0] = torch.from_numpy(1 + sign * spread)[:, None, None]
    target = torch.zeros(150, 1, 2, dtype=torch.uint8)
    row = found(logits, target, resamples=4000).tables["intervals"]["brier_variance"]
    p = 1 / (1 + np.exp(-np.stack([1 + spread, 1 - spread])))
    variances = (p[0] - p[1]) ** 2  # of two classes, whose p are 1 together
    half = 1.96 * variances.std(ddof=1) / math.sqrt(150)
    assert row["value"] == pytest.approx(variances.mean())
    wanted = (row["value"] - half, row["value"] + half)
    assert ends(row, "images") == pytest.approx(wanted, abs=0.1 * half)


def test_neighbours_are_drawn_as_one(found, draw):
    """Twice the same image, drawn as one, says no more than once."""
    logits, target = draw(7, 4, 5, 6, trials=3)
    once = found(logits, target)
    twice = [trial.repeat_interleave(2, 0) for trial in logits], target.repeat_interleave(2, 0)
    together, apart = (found(*twice, neighbours=neighbours) for neighbours in (2, 1))
    for name in ("nll_bias", "nll_variance", "error"):
        wanted = ends(once.tables["intervals"][name], "images")
        assert ends(together.tables["intervals"][name], "images") == pytest.approx(wanted)
        low, high = ends(apart.tables["intervals"][name], "images")
        assert high - low < wanted[1] - wanted[0]


def test_one_image_has_no_interval_over_images(found, draw):
    logits, target = draw(1, 4, 6, 7, trials=3)
    findings = found(logits, target)
    assert all(math.isnan(end) for row in findings.tables["intervals"].values() for end in ends(row, "images"))
