"""What is found, against the definitions pixel by pixel, and against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdseg import IGNORE_INDEX

PREFIXES = ("", "against_")


def assert_row(ours, theirs):
    """Mean IoUs, which are of no pixel, are not among theirs."""
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, rel=1e-9, abs=1e-11)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    images=st.integers(1, 2),
    classes=st.integers(2, 5),
    height=st.integers(1, 4),
    width=st.integers(1, 5),
    samples=st.integers(2, 4),
    seeds=st.integers(1, 3),
    arms=st.integers(1, 2),
    reference=st.booleans(),
    correction=st.sampled_from(["scaled", "jackknife", "none"]),
    radius=st.integers(0, 2),
    ignored=st.sampled_from([0.0, 0.3, 0.8]),
    seed=st.integers(0, 2**31),
)
def test_it_equals_the_definitions_pixel_by_pixel(
    by_hand, found, draw, images, classes, height, width, samples, seeds, arms, reference, correction, radius, ignored,
    seed,
):  # fmt: skip
    """One trial after the other, in sums, it finds what all of them at once show."""
    trials = samples * seeds
    logits, target = draw(images, classes, height, width, reference + arms * trials, seed=seed, ignored=ignored)
    target[0, 0, 0] = 0
    findings = found(logits, target, arms=arms, seeds=seeds, reference=reference, correction=correction, radius=radius)
    whole = torch.stack(logits).numpy()
    for arm in range(arms):
        mine = whole[reference + arm * trials :][:trials]
        soft = whole[0] if reference else None
        rows, ious = by_hand.of_images(mine, target.numpy(), seeds, radius, IGNORE_INDEX, correction, soft)
        prefix = PREFIXES[arm]
        assert_row(
            {name: findings.scalars["pixels" if name == "pixels" else prefix + name] for name in rows["all"]},
            rows["all"],
        )
        assert {name: findings.scalars[prefix + name] for name in ious} == pytest.approx(ious)
        for table, names in (("class", [f"class-{i}" for i in range(classes)]), ("region", ["interior", "boundary"])):
            assert list(findings.tables[prefix + table]) == names
            for name in names:
                row = findings.tables[prefix + table][name]
                if name in rows:
                    assert row.keys() == rows[name].keys()
                    assert_row(row, rows[name])
                else:
                    assert row["pixels"] == 0
                    assert all(math.isnan(value) for column, value in row.items() if column != "pixels")


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("correction", ["scaled", "jackknife", "none"])
def test_bias_and_variance_sum_to_the_mean_error_of_the_trials(found, draw, correction, seeds):
    """The error is torch's own, the Brier score that of one-hot labels."""
    logits, target = draw(2, 11, 20, 30, trials=4)
    findings = found(logits, target, correction=correction, seeds=seeds)
    valid = target != IGNORE_INDEX
    labels = target[valid].long()
    one_hot = torch.nn.functional.one_hot(labels, 11).double()
    chosen = [trial.movedim(1, -1)[valid].double() for trial in logits]
    nll = sum(torch.nn.functional.cross_entropy(trial, labels).item() for trial in chosen) / 4
    brier = sum((trial.softmax(-1) - one_hot).square().sum(-1).mean().item() for trial in chosen) / 4
    error = sum((trial.argmax(-1) != labels).double().mean().item() for trial in chosen) / 4
    assert findings.scalars["nll"] == pytest.approx(nll, rel=1e-12)
    assert findings.scalars["brier"] == pytest.approx(brier, rel=1e-12)
    assert findings.scalars["error"] == pytest.approx(error, rel=1e-12)
    for row in (findings.scalars, *findings.tables["class"].values(), *findings.tables["region"].values()):
        for name in ("nll", "brier", "error"):
            assert row[f"{name}_bias"] + row[f"{name}_variance"] == pytest.approx(row[name], abs=1e-10)
            if seeds > 1 and name != "error":
                parts = row[f"{name}_variance_data"] + row[f"{name}_variance_seed"]
                assert parts == pytest.approx(row[f"{name}_variance"], abs=1e-10)
        net = row["error_variance_unbiased"] - row["error_variance_biased"]
        assert net == pytest.approx(row["error_variance"], abs=1e-10)


def test_the_plug_in_bias_is_the_divergence_of_the_centre_to_1e_10(found, draw):
    """Heskes' identity: mean -log p_y = -log centre_y + mean KL(centre‖p), each computed on its own."""
    logits, target = draw(1, 7, 9, 11, trials=5, ignored=0)
    scalars = found(logits, target, correction="none").scalars
    log_p = torch.stack(logits).double().log_softmax(2)
    centre = log_p.mean(0).log_softmax(1)
    bias = torch.nn.functional.nll_loss(centre, target.long())
    variance = (centre.exp() * (centre - log_p)).sum(2).mean()
    assert scalars["nll_bias"] == pytest.approx(bias.item(), abs=1e-10)
    assert scalars["nll_variance"] == pytest.approx(variance.item(), abs=1e-10)


@pytest.mark.parametrize("scale", [1, 100])
@pytest.mark.parametrize("correction", ["scaled", "jackknife", "none"])
def test_identical_trials_have_no_variance(found, draw, scale, correction):
    logits, target = draw(2, 19, 8, 9, trials=1)
    findings = found([scale * logits[0]] * 6, target, correction=correction, seeds=2)
    for name, value in findings.scalars.items():
        if "variance" in name:
            assert value == pytest.approx(0, abs=1e-12), name
    assert findings.scalars["nll_bias"] == pytest.approx(findings.scalars["nll"], rel=1e-11)
    assert findings.scalars["miou"] == findings.scalars["miou_vote"] == findings.scalars["miou_geometric"]


def test_two_trials_have_the_distance_between_them(found):
    """Of p and q: half the squared distance; and twice the Bhattacharyya distance, -2 log sum sqrt(pq)."""
    p, q = np.array([0.7, 0.2, 0.1]), np.array([0.3, 0.3, 0.4])
    logits = [torch.tensor(one).log().reshape(1, 3, 1, 1) for one in (p, q)]
    row = found(logits, torch.zeros(1, 1, 1, dtype=torch.uint8)).scalars
    assert row["brier_variance"] == pytest.approx(((p - q) ** 2).sum() / 2)
    assert row["nll_variance"] == pytest.approx(-2 * math.log(np.sqrt(p * q).sum()))
    assert row["brier"] == pytest.approx((0.09 + 0.04 + 0.01 + 0.49 + 0.09 + 0.16) / 2)
    assert row["nll"] == pytest.approx(-math.log(0.21) / 2)
    # they vote for 0 and 2: the first of both is the main prediction, and right
    assert (row["error"], row["error_bias"], row["error_variance_unbiased"]) == (0.5, 0, 0.5)


@pytest.mark.parametrize(
    ("votes", "label", "wanted"),
    [
        ([0, 0, 0, 1, 2], 0, (0.4, 0, 0.4, 0.0)),
        ([0, 0, 0, 1, 2], 1, (0.8, 1, 0.0, 0.2)),
        ([2, 2, 1, 1, 0], 1, (0.6, 0, 0.6, 0.0)),  # a tie of 1 and 2
        ([2, 2, 1, 1, 0], 2, (0.6, 1, 0.0, 0.4)),
        ([2, 2, 2, 2, 2], 0, (1.0, 1, 0.0, 0.0)),
    ],
)
def test_trials_that_are_sure_are_told_apart_by_their_votes(found, votes, label, wanted):
    """All Brier mass is on the predicted class: its variance is that of the votes, sum q(1-q) K/(K-1)."""
    logits = [1000 * torch.nn.functional.one_hot(torch.tensor(v), 3).double().reshape(1, 3, 1, 1) for v in votes]
    row = found(logits, torch.full((1, 1, 1), label, dtype=torch.uint8)).scalars
    names = ("error", "error_bias", "error_variance_unbiased", "error_variance_biased")
    assert tuple(row[name] for name in names) == pytest.approx(wanted)
    shares = np.bincount(votes, minlength=3) / 5
    assert row["brier_variance"] == pytest.approx((shares * (1 - shares)).sum() * 5 / 4)
    assert row["brier"] == pytest.approx(2 * wanted[0])


def test_variance_does_not_depend_on_the_labels(found, draw):
    """A hundred pixels with the same logits, each with another label: the classes differ in bias alone."""
    logits, _ = draw(1, 5, 1, 1, trials=3)
    rows = found([trial.expand(1, 5, 10, 10) for trial in logits], torch.arange(100).reshape(1, 10, 10) % 5)
    table = rows.tables["class"]
    for variance in ("nll_variance", "brier_variance"):
        assert [row[variance] for row in table.values()] == pytest.approx([table["class-0"][variance]] * 5, rel=1e-12)
    assert len({round(row["nll_bias"], 6) for row in table.values()}) == 5


def test_a_sure_reference_is_a_label(found, draw):
    logits, target = draw(1, 4, 6, 7, trials=3, ignored=0)
    sure = 600 * torch.nn.functional.one_hot(target.long(), 4).movedim(-1, 1).double()
    scalars = found([sure, *logits], target, reference=True).scalars
    assert scalars["reference_noise"] == pytest.approx(0, abs=1e-12)
    for name in ("nll", "nll_bias", "brier", "brier_bias"):
        assert scalars[f"reference_{name}"] == pytest.approx(scalars[name], rel=1e-9)


def test_the_difference_is_the_second_arm_less_the_first(found, draw):
    logits, target = draw(2, 4, 8, 9, trials=6)
    findings = found(logits, target, arms=2)
    first, second = (found(arm, target).scalars for arm in (logits[:3], logits[3:]))
    for name in ("nll", "nll_bias", "nll_variance", "brier_variance", "error", "error_bias", "miou"):
        assert findings.scalars[name] == pytest.approx(first[name])
        assert findings.scalars[f"against_{name}"] == pytest.approx(second[name])
        apart = second[name] - first[name]
        assert findings.scalars[f"difference_{name}"] == pytest.approx(apart)
        assert findings.tables["difference"][name]["value"] == pytest.approx(apart)
    for name in ("nll_bias", "nll_variance", "error"):
        for label, row in findings.tables[f"difference_{name}"].items():
            ours, theirs = (findings.tables[table][label][name] for table in ("against_class", "class"))
            assert row["value"] == pytest.approx(ours - theirs)


def test_trials_of_one_training_set_vary_by_their_seed(found, accumulator, draw):
    """They are trials like any: what they are called is all that differs."""
    logits, target = draw(2, 4, 5, 6, trials=4)
    work = accumulator(4, 4, seeds=4)
    work.update(logits, target, range(2))
    one_set = work.compute()
    assert one_set.scalars == pytest.approx(found(logits, target).scalars)
    assert any("variance is that of the seed alone" in note for note in one_set.notes)


def test_images_are_spread_over_quantiles(found, draw):
    """Three images alone give the least, the median and the most."""
    logits, target = draw(3, 4, 6, 6, trials=3)
    table = found(logits, target).tables["images"]
    alone = [found([trial[i : i + 1] for trial in logits], target[i : i + 1]).scalars for i in range(3)]
    for name in ("nll_variance", "brier_bias", "error"):
        ranked = sorted(row[name] for row in alone)
        assert [table[row][name] for row in ("least", "median", "most")] == pytest.approx(ranked)
