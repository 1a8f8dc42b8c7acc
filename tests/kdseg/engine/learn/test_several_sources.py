"""Learners with several sources, and heads of one trunk that teach each other, against loops written by hand."""

from __future__ import annotations

import pytest
import torch

from kdseg.engine.check.phases import check
from kdseg.errors import ProblemsError

PEERS = {"anna": (6, 1e-2), "berta": (4, 2e-2), "carla": (5, 3e-2)}
RATES = {name: rate for name, (_, rate) in PEERS.items()}
THREE = "".join(
    f"""
[models.{name}]
backbone = {{ use = "tiny", norm = "batch", width = {width} }}
optimizer = {{ use = "AdamW", lr = {rate} }}
[terms.{name}-labels]
learner = "{name}"
loss = "cross_entropy"
"""
    for name, (width, rate) in PEERS.items()
)
PRECISE = """
[callbacks.precise]
use = "float64"
"""


def others(name):
    return [other for other in PEERS if other != name]


def mimic(name, sources, combine, temperature):
    return f"""
[terms.{name}-mimic]
learner = "{name}"
source = {sources!r}
combine = "{combine}"
loss = {{ use = "pixel_kl", temperature = {temperature} }}
""".replace("'", '"')


@pytest.fixture
def assert_steps_by_hand(load, train, by_hand, weights, assert_same, hands):
    """Hold a run of three peers against a loop: `wanted(name, logits, target)` is what that one is to mimic."""

    def assert_steps_by_hand(recipe, wanted, temperature):
        hand = by_hand(load(recipe))
        peers = {name: hands.Hand(hand.network(name), rate, 8) for name, rate in RATES.items()}
        for images, target in hand.batches(8):
            logits = {name: peer.study(images) for name, peer in peers.items()}
            told = {name: one.detach() for name, one in logits.items()}
            for name, peer in peers.items():
                mine = hands.labels(logits[name], target)
                peer.learn(mine, hands.divergence(logits[name], wanted(name, told, target), target, temperature))
        run = train(recipe)
        for name, peer in peers.items():
            assert_same(weights(run, name), peer.network.state_dict(), 1e-10)

    return assert_steps_by_hand


def test_each_of_three_peers_learns_from_the_mean_of_the_others(assert_steps_by_hand):
    recipe = THREE + PRECISE + "".join(mimic(name, others(name), "probabilities", 1.0) for name in PEERS)

    def mean_of_others(name, told, _target):
        return torch.stack([told[other].softmax(1) for other in others(name)]).mean(0).log()

    assert_steps_by_hand(recipe, mean_of_others, 1.0)


def test_deep_mutual_learning_of_three_is_a_term_for_each_pair(load, train, by_hand, weights, assert_same, hands):
    """The mean over peers of the divergences to each (1706.00384, equation 8): other than one to their mean."""
    recipe = THREE + PRECISE
    for name in PEERS:
        for other in others(name):
            recipe += f"""
[terms.{name}-from-{other}]
learner = "{name}"
source = "{other}"
loss = "pixel_kl"
weight = 0.5
""".replace('"pixel_kl"', '{ use = "pixel_kl", temperature = 1.0 }')
    hand = by_hand(load(recipe))
    peers = {name: hands.Hand(hand.network(name), rate, 8) for name, rate in RATES.items()}
    for images, target in hand.batches(8):
        logits = {name: peer.study(images) for name, peer in peers.items()}
        for name, peer in peers.items():
            pulls = [hands.divergence(logits[name], logits[other], target) for other in others(name)]
            peer.learn(hands.labels(logits[name], target), sum(pulls) / 2)
    run = train(recipe)
    for name, peer in peers.items():
        assert_same(weights(run, name), peer.network.state_dict(), 1e-10)


def test_kdcl_by_the_least_logits_with_the_learner_among_its_sources(assert_steps_by_hand):
    recipe = THREE + PRECISE + "".join(mimic(name, [*PEERS], "min_logit", 3.0) for name in PEERS)

    def least(_name, told, target):
        at = target.masked_fill(target == 255, 0).unsqueeze(1)
        return torch.stack([logits - logits.gather(1, at) for logits in told.values()]).amin(0)

    assert_steps_by_hand(recipe, least, 3.0)


def test_kdcl_naive_takes_the_best_at_each_pixel(assert_steps_by_hand):
    recipe = THREE + PRECISE + "".join(mimic(name, [*PEERS], "least_loss", 2.0) for name in PEERS)

    def best(_name, told, target):
        at = target.masked_fill(target == 255, 0).unsqueeze(1)
        every = torch.stack([*told.values()])
        losses = torch.stack([-logits.log_softmax(1).gather(1, at) for logits in every])
        chosen = losses.argmin(0)
        return sum(logits * (chosen == number) for number, logits in enumerate(every))

    assert_steps_by_hand(recipe, best, 2.0)


BRANCHES = """
[models.student]
backbone = { use = "tiny", norm = "batch", branch = true }
optimizer = { use = "AdamW", lr = 1e-2 }
[terms.labels]
learner = "student"
loss = "cross_entropy"
[terms.branch-labels]
learner = "student.branch"
loss = "cross_entropy"
[terms.both-labels]
learner = "student.both"
loss = "cross_entropy"
[terms.mimic]
learner = "student"
source = "student.both"
loss = { use = "pixel_kl", temperature = 3.0 }
[terms.branch-mimic]
learner = "student.branch"
source = "student.both"
loss = { use = "pixel_kl", temperature = 3.0 }
"""


def test_branches_of_one_trunk_learn_from_what_is_made_of_them(load, train, by_hand, weights, assert_same, hands):
    """ONE (1806.04606), equation 7: cross-entropies of branches and gate, T² KL of each branch to the gate."""
    recipe = BRANCHES + PRECISE
    hand = by_hand(load(recipe))
    student = hands.Hand(hand.network("student"), 1e-2, 8)
    for images, target in hand.batches(8):
        heads = student.study(images)
        both, branches = heads.pop("both"), heads.values()
        pulls = [hands.divergence(branch, both, target, 3.0) for branch in branches]
        student.learn(*(hands.labels(logits, target) for logits in (*branches, both)), *pulls)
    assert_same(weights(train(recipe), "student"), student.network.state_dict(), 1e-10)


def test_losses_of_one_head_are_fused_and_those_of_two_are_not(train, caplog):
    with caplog.at_level("INFO", "kdseg"):
        train(BRANCHES)
    fused = [line.partition(":")[0] for line in caplog.messages if ": computed" in line]
    assert fused == ["terms.mimic and terms.labels", "terms.branch-mimic and terms.branch-labels"]


@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_change_nothing(train, weights, assert_same, parts):
    recipe = BRANCHES.replace('norm = "batch"', 'norm = "group"') + PRECISE
    whole, parted = (weights(train(recipe, f"train.micro_batches={number}"), "student") for number in (1, parts))
    assert_same(parted, whole, 1e-10)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("learner", "student.brunch", "student has no further head 'brunch'; did you mean 'branch'?"),
        ("source", "student.edge", "the head 'edge' of student gives (4, 1, 16, 16); (4, 3, 32, 32) is right"),
    ],
)
def test_a_head_that_cannot_be_meant_is_told(load, key, value, told):
    recipe = BRANCHES.replace("branch = true", "branch = true, edge = true")
    with pytest.raises(ProblemsError) as error:
        check(load(recipe, f"terms.mimic.{key}={value}"))
    assert str(error.value) == f"--set: terms.mimic.{key}: {told}"


def test_features_of_several_sources_are_refused(load):
    recipe = THREE + mimic("anna", others("anna"), "logits", 1.0).replace(
        '{ use = "pixel_kl", temperature = 1.0 }', '"feature_mimic"'
    )
    with pytest.raises(ProblemsError, match="the term has several sources, whose features are not combined"):
        check(load(recipe))
