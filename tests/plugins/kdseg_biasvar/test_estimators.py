"""Estimates and their intervals, against predictors whose bias and variance are known."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

ALL = ("nll", "nll_bias", "nll_variance", "brier", "brier_bias", "brier_variance")


@pytest.mark.parametrize("trials", [2, 3, 5, 20])
@pytest.mark.parametrize("concentration", [2, 10, 50])
def test_brier_is_unbiased_from_two_trials(synthetic, found, trials, concentration):
    """Off by less than four standard errors; these are known from 40 images alike."""
    kinds = synthetic.spread_kinds(1, 50, 4, concentration)
    p = kinds.draw(np.random.default_rng(trials), trials, 40)
    target = synthetic.as_labels(kinds.labels, 40)
    findings = found([synthetic.as_logits(one) for one in p], target)
    truth = kinds.truth(votes=1000)
    alone = [
        found([synthetic.as_logits(one[i : i + 1]) for one in p], target[i : i + 1], resamples=200).scalars
        for i in range(0, 40, 4)
    ]
    for name in ("brier", "brier_bias", "brier_variance", "nll"):
        error = np.std([row[name] for row in alone], ddof=1) / math.sqrt(40)
        assert abs(findings.scalars[name] - truth[name]) < 4 * error, name


@pytest.mark.parametrize(("correction", "most"), [("none", 0.55), ("scaled", 0.09), ("jackknife", 0.09)])
def test_the_kl_variance_approaches_the_truth(synthetic, found, correction, most):
    """From above or below, and the corrected ones quickly; the plug-in by about one part in K. README has the table."""
    kinds = synthetic.spread_kinds(2, 50, 4, 6)
    truth = kinds.truth(votes=1000)["nll_variance"]
    rng = np.random.default_rng(0)
    off = []
    for trials in (2, 5, 20):
        p = kinds.draw(rng, trials, 40)
        logits = [synthetic.as_logits(one) for one in p]
        value = found(logits, synthetic.as_labels(kinds.labels, 40), correction=correction).scalars["nll_variance"]
        off.append(abs(value / truth - 1))
    assert off[0] < most
    assert off[1] < (0.25 if correction == "none" else 0.04)
    assert off[2] < (0.06 if correction == "none" else 0.02)


def test_bias_and_variance_of_wrong_pixels_approach_the_truth(synthetic, found):
    """Slowly, where two classes get nearly as many votes. README has the table."""
    kinds = synthetic.spread_kinds(3, 80, 4, 10)
    truth = kinds.truth()
    rng = np.random.default_rng(0)
    off = []
    for trials in (3, 9, 101):
        p = kinds.draw(rng, trials, 20)
        scalars = found([synthetic.as_logits(one) for one in p], synthetic.as_labels(kinds.labels, 20)).scalars
        assert scalars["error"] == pytest.approx(truth["error"], abs=0.02)
        off.append(scalars["error_bias"] - truth["error_bias"])
    assert abs(off[0]) > abs(off[1]) > abs(off[2])
    assert abs(off[2]) < 0.02


@pytest.mark.parametrize(("samples", "seeds"), [(2, 2), (5, 2), (4, 4)])
def test_the_parts_of_data_and_seeds_are_unbiased(synthetic, found, samples, seeds):
    """A sample draws p from one Dirichlet, its seeds around that: the law of total variance gives both parts."""
    rng = np.random.default_rng(samples)
    mean, images = np.array([0.5, 0.3, 0.2]), 40
    ours = []
    for _ in range(10):
        middles = rng.dirichlet(mean * 9, (samples, 1, images, 50))
        gamma = rng.standard_gamma(np.maximum(middles, 1e-6) * 19 * np.ones((1, seeds, 1, 1, 1)))
        p = np.maximum(gamma / gamma.sum(-1, keepdims=True), 1e-300).reshape(-1, images, 50, 3)
        logits = [synthetic.as_logits(one) for one in p]
        ours.append(found(logits, synthetic.as_labels(np.zeros(50, int), images), seeds=seeds).scalars)
    data = (1 - (mean**2).sum()) / 10
    seed = (1 - (mean**2).sum() - data) / 20
    for name, truth in (("_data", data), ("_seed", seed), ("", data + seed)):
        values = [row[f"brier_variance{name}"] for row in ours]
        assert abs(np.mean(values) - truth) < 4 * np.std(values, ddof=1) / math.sqrt(10)
        in_nats = np.mean([row[f"nll_variance{name}"] for row in ours])
        assert in_nats > 0


def covered(findings, truth, over, table="intervals"):
    """Tell of each number whether its interval holds the truth."""
    rows = findings.tables[table]
    return {name: rows[name][f"{over}_low"] <= value <= rows[name][f"{over}_high"] for name, value in truth.items()}


def shares(counts, repeats):
    return {name: count / repeats for name, count in counts.items()}


def over_trials(synthetic, found, trials, kinds, concentration, repeats, seed):
    """Give how often the intervals over trials hold the truth: all pixels of a kind share each trial's draw."""
    rng = np.random.default_rng(seed)
    world = synthetic.spread_kinds(5, kinds, 4, concentration)
    truth = {name: value for name, value in world.truth().items() if name in ALL}
    counts = Counter(dict.fromkeys(truth, 0))
    for _ in range(repeats):
        p = np.repeat(world.draw(rng, trials, 1), 3, axis=2)
        findings = found([synthetic.as_logits(one) for one in p], synthetic.as_labels(np.repeat(world.labels, 3)))
        counts.update(covered(findings, truth, "trials"))
    return shares(counts, repeats)


def over_images(synthetic, found, trials, images, neighbours, drawn_as, repeats, seed):
    """Give how often the intervals over images hold the truth: an image shows one of four scenes of twelve pixels.

    Args:
        synthetic: the module.
        found: the fixture.
        trials: K.
        images: how many.
        neighbours: how many after one another are the same.
        drawn_as: how many are drawn as one.
        repeats: of the whole.
        seed: of all draws.
    """
    rng = np.random.default_rng(seed)
    world = synthetic.scenes(6, 4)
    truth = {name: value for name, value in world.truth(1000).items() if name in ALL}
    counts = Counter(dict.fromkeys(truth, 0))
    for _ in range(repeats):
        kinds = 12 * rng.integers(4, size=(images // neighbours, 1)) + np.arange(12)
        shown = synthetic.Dirichlet(world.alpha[kinds], world.labels[kinds])
        p = shown.draw(rng, trials).repeat(neighbours, 1)
        target = synthetic.torch.from_numpy(shown.labels.repeat(neighbours, 0).astype(np.uint8))[:, None]
        findings = found([synthetic.as_logits(one) for one in p], target, neighbours=drawn_as, resamples=400)
        counts.update(covered(findings, truth, "images"))
    return shares(counts, repeats)


def over_pairs(synthetic, found, trials, kinds, share, repeats, seed):
    """Give how often the intervals of the paired difference hold the truth: what the arms' trials share is `share`."""
    rng = np.random.default_rng(seed)
    centres, (first, second) = rng.normal(1.0, 1.5, kinds), (1.0, 0.7)
    labels = (rng.random(kinds) < 0.2).astype(int)
    truths = [
        [synthetic.gaussian_truth(centre, spread, label) for centre, label in zip(centres, labels, strict=True)]
        for spread in (first, second)
    ]
    truth = {name: np.mean([b[name] - a[name] for a, b in zip(*truths, strict=True)]) for name in ALL}
    counts = Counter(dict.fromkeys(truth, 0))
    for _ in range(repeats):
        both = rng.normal(size=(trials, kinds))
        logits = []
        for spread in (first, second):
            own = rng.normal(size=(trials, kinds))
            difference = centres + spread * (math.sqrt(share) * both + math.sqrt(1 - share) * own)
            p = 1 / (1 + np.exp(-difference))
            logits += [synthetic.as_logits(np.stack([one, 1 - one], -1)[None]) for one in p]
        findings = found(logits, synthetic.as_labels(labels), arms=2)
        counts.update(covered(findings, truth, "trials", "difference"))
    return shares(counts, repeats)


def assert_within_five_points(found):
    """Of 95 %. With ``-s`` it tells what was found."""
    print({name: round(share, 3) for name, share in found.items()})  # noqa: T201
    assert all(0.90 <= share <= 1.0 for share in found.values()), found


def test_intervals_over_trials_hold_the_truth(synthetic, found):
    assert_within_five_points(over_trials(synthetic, found, 5, 10, 8, repeats=200, seed=0))


def test_intervals_over_images_hold_the_truth(synthetic, found):
    assert_within_five_points(over_images(synthetic, found, 5, 20, 1, 1, repeats=100, seed=0))


def test_intervals_of_paired_differences_hold_the_truth(synthetic, found):
    assert_within_five_points(over_pairs(synthetic, found, 5, 12, 0.6, repeats=200, seed=0))


@pytest.mark.slow
@pytest.mark.parametrize("trials", [5, 20])
@pytest.mark.parametrize(("kinds", "concentration"), [(1, 8), (3, 2), (3, 40), (30, 8)])
def test_intervals_over_trials_hold_the_truth_of_every_spread(synthetic, found, trials, kinds, concentration):
    """One kind is the hardest: all pixels of a trial are wrong alike."""
    assert_within_five_points(over_trials(synthetic, found, trials, kinds, concentration, repeats=500, seed=7))


@pytest.mark.slow
@pytest.mark.parametrize("images", [10, 20, 60])
def test_intervals_over_images_hold_the_truth_of_few_and_many(synthetic, found, images):
    assert_within_five_points(over_images(synthetic, found, 5, images, 1, 1, repeats=400, seed=7))


@pytest.mark.slow
def test_intervals_over_images_hold_the_truth_where_neighbours_are_drawn_as_one(synthetic, found):
    """Of 20 scenes with four frames each; drawn one by one, the frames promise what they do not hold."""
    assert_within_five_points(over_images(synthetic, found, 5, 80, 4, 4, repeats=200, seed=1))
    apart = over_images(synthetic, found, 5, 80, 4, 1, repeats=200, seed=1)
    assert max(apart.values()) < 0.85


@pytest.mark.slow
@pytest.mark.parametrize("trials", [5, 20])
@pytest.mark.parametrize("kinds", [2, 12])
@pytest.mark.parametrize("share", [0.0, 0.9])
def test_intervals_of_paired_differences_hold_the_truth_of_every_bond(synthetic, found, trials, kinds, share):
    """Two kinds that err alike in both arms are the hardest."""
    assert_within_five_points(over_pairs(synthetic, found, trials, kinds, share, repeats=500, seed=7))
