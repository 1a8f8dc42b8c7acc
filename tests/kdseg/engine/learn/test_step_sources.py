"""Learners with sources, against loops written by hand."""

from __future__ import annotations

import pytest
from terms import term

TWO = """
[models.{first}]
backbone = {{ use = "tiny", norm = "batch", width = 6 }}
optimizer = {{ use = "AdamW", lr = 1e-2 }}
[models.{second}]
backbone = {{ use = "tiny", norm = "batch" }}
optimizer = {{ use = "AdamW", lr = 2e-2 }}
[callbacks.precise]
use = "float64"
"""

ALTERNATING = (
    TWO.format(first="teacher", second="student")
    + '[turns]\norder = ["teach", "study", "study"]\n'
    + term("teacher-labels", "teacher", turn="teach")
    + term("labels", "student", turn="study")
    + term("mimic", "student", '{ use = "pixel_kl", temperature = 2.0 }', source="teacher", turn="study")
    + "weight = 0.5\n"
)

MUTUAL = (
    TWO.format(first="anna", second="berta")
    + '[turns]\norder = ["together"]\n'
    + term("anna-labels", "anna")
    + term("berta-labels", "berta")
    + term("anna-from-berta", "anna", "pixel_kl", source="berta")
    + term("berta-from-anna", "berta", "pixel_kl", source="anna")
)

SELF = """
[models.student]
backbone = { use = "tiny", norm = "batch" }
optimizer = { use = "AdamW", lr = 1e-2 }
[models.mean]
shadow_of = "student"
decay = 0.4
[terms.labels]
learner = "student"
loss = "cross_entropy"
[terms.mimic]
learner = "student"
source = "mean"
loss = "pixel_kl"
[callbacks.precise]
use = "float64"
"""


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_student_learns_from_a_teacher_that_learns_in_its_own_turns(
    load, train, by_hand, weights, assert_same, mode, hands
):
    """In mode "train" the source uses the batch's statistics; its running ones stay as its own turns left them."""
    hand = by_hand(load(ALTERNATING))
    teacher, student = hands.Hand(hand.network("teacher"), 1e-2, 3), hands.Hand(hand.network("student"), 2e-2, 5)
    for step, (images, target) in enumerate(hand.batches(8)):
        if step % 3 == 0:
            teacher.learn(hands.labels(teacher.study(images), target))
        else:
            wanted = teacher.tell(images) if mode == "eval" else teacher.tell_by_the_batch(images)
            logits = student.study(images)
            student.learn(hands.labels(logits, target), 0.5 * hands.divergence(logits, wanted, target, temperature=2.0))
    run = train(ALTERNATING, f"models.teacher.source_mode={mode}")
    assert_same(weights(run, "teacher"), teacher.network.state_dict(), 1e-10)
    assert_same(weights(run, "student"), student.network.state_dict(), 1e-10)


def test_peers_learn_from_each_other_as_they_were_before_the_step(load, train, by_hand, weights, assert_same, hands):
    """Deep mutual learning (1706.00384): each sees the other's prediction of this very batch, in training mode."""
    hand = by_hand(load(MUTUAL))
    anna, berta = hands.Hand(hand.network("anna"), 1e-2, 8), hands.Hand(hand.network("berta"), 2e-2, 8)
    for images, target in hand.batches(8):
        of_anna, of_berta = anna.study(images), berta.study(images)
        anna.learn(hands.labels(of_anna, target), hands.divergence(of_anna, of_berta, target))
        berta.learn(hands.labels(of_berta, target), hands.divergence(of_berta, of_anna, target))
    run = train(MUTUAL)
    assert_same(weights(run, "anna"), anna.network.state_dict(), 1e-10)
    assert_same(weights(run, "berta"), berta.network.state_dict(), 1e-10)


def test_in_sequence_the_later_peer_sees_the_earlier_one_after_its_step(
    load, train, by_hand, weights, assert_same, hands
):
    hand = by_hand(load(MUTUAL))
    anna, berta = hands.Hand(hand.network("anna"), 1e-2, 8), hands.Hand(hand.network("berta"), 2e-2, 8)
    for images, target in hand.batches(8):
        wanted = berta.tell(images)
        logits = anna.study(images)
        anna.learn(hands.labels(logits, target), hands.divergence(logits, wanted, target))
        wanted = anna.tell(images)
        logits = berta.study(images)
        berta.learn(hands.labels(logits, target), hands.divergence(logits, wanted, target))
    run = train(MUTUAL, "turns.sync=sequential")
    assert_same(weights(run, "anna"), anna.network.state_dict(), 1e-10)
    assert_same(weights(run, "berta"), berta.network.state_dict(), 1e-10)


def test_in_sequence_a_source_that_stepped_in_between_is_asked_again(load, train, by_hand, weights, assert_same, hands):
    """Anna learns from berta, berta steps, then carla learns from berta: from another berta."""
    recipe = TWO.format(first="anna", second="berta")
    recipe += '[models.carla]\nbackbone = { use = "tiny", norm = "batch" }\noptimizer = { use = "AdamW", lr = 3e-2 }\n'
    recipe += '[turns]\norder = ["all"]\nsync = "sequential"\n'
    recipe += '[terms.berta-labels]\nlearner = "berta"\nloss = "cross_entropy"\n'
    for name in ("anna", "carla"):
        recipe += f'[terms.{name}-from-berta]\nlearner = "{name}"\nsource = "berta"\nloss = "pixel_kl"\n'
    hand = by_hand(load(recipe))
    rates = {"anna": 1e-2, "berta": 2e-2, "carla": 3e-2}
    anna, berta, carla = (hands.Hand(hand.network(name), rate, 8) for name, rate in rates.items())
    for images, target in hand.batches(8):
        anna.learn(hands.divergence(anna.study(images), berta.tell(images), target))
        berta.learn(hands.labels(berta.study(images), target))
        carla.learn(hands.divergence(carla.study(images), berta.tell(images), target))
    run = train(recipe)
    for learner, name in ((anna, "anna"), (berta, "berta"), (carla, "carla")):
        assert_same(weights(run, name), learner.network.state_dict(), 1e-10)


def test_no_gradient_reaches_a_source_that_learns_at_the_same_step(load, train, by_hand, weights, assert_same, hands):
    """The loss leaves the source's features attached; the engine does not."""
    recipe = MUTUAL.partition("[terms.berta-from-anna]")[0].replace("pixel_kl", "feature_mimic")
    hand = by_hand(load(recipe))
    berta = hands.Hand(hand.network("berta"), 2e-2, 8)
    for images, target in hand.batches(8):
        berta.learn(hands.labels(berta.study(images), target))
    assert_same(weights(train(recipe), "berta"), berta.network.state_dict(), 1e-10)


@pytest.mark.parametrize("buffers", ["copy", "average"])
def test_a_learner_learns_from_its_own_moving_average(load, train, by_hand, weights, assert_same, buffers, hands):
    hand = by_hand(load(SELF))
    student, mean = hands.Hand(hand.network("student"), 1e-2, 8), hands.Hand(hand.network("student"), 0, 1)
    for images, target in hand.batches(8):
        logits = student.study(images)
        student.learn(hands.labels(logits, target), hands.divergence(logits, mean.tell(images), target))
        keep = min(0.4, (1 + student.taken) / (10 + student.taken))
        trained = {name for name, _ in student.network.named_parameters()}
        for name, value in mean.network.state_dict().items():
            theirs = student.network.state_dict()[name]
            averaged = name in trained or (buffers == "average" and value.is_floating_point())
            value.copy_(keep * value + (1 - keep) * theirs if averaged else theirs)
    run = train(SELF, f"models.mean.buffers={buffers}")
    assert_same(weights(run, "student"), student.network.state_dict(), 1e-10)
    assert_same(weights(run, "mean"), mean.network.state_dict(), 1e-10)


def test_a_projector_learns_with_the_learner_and_the_source_feels_nothing(
    load, train, by_hand, weights, assert_same, hands
):
    recipe = ALTERNATING.replace('{ use = "pixel_kl", temperature = 2.0 }', '"feature_mimic"')
    hand = by_hand(load(recipe))
    teacher, student = hands.Hand(hand.network("teacher"), 1e-2, 3), hands.Hand(hand.network("student"), 2e-2, 5)
    loss = hand.loss("mimic", learner=4, source=6)
    student.optimizer.add_param_group({"params": list(loss.projector.parameters())})
    features = {}
    for name, network in (("teacher", teacher.network), ("student", student.network)):
        network.encoder.register_forward_hook(lambda _m, _i, output, name=name: features.update({name: output}))
    for step, (images, target) in enumerate(hand.batches(8)):
        if step % 3 == 0:
            teacher.learn(hands.labels(teacher.study(images), target))
        else:
            student.optimizer.param_groups[1]["lr"] = 2e-2 * (1 - student.taken / 5) ** 0.9
            teacher.tell(images)
            logits = student.study(images)
            distance = (loss.projector(features["student"]) - features["teacher"]).square().mean()
            student.learn(hands.labels(logits, target), 0.5 * distance)
    run = train(recipe)
    assert_same(weights(run, "teacher"), teacher.network.state_dict(), 1e-10)
    assert_same(weights(run, "student"), student.network.state_dict(), 1e-10)
