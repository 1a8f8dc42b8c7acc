"""A learner on its own, against loops written by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from kdseg.errors import KdsegError
from kdseg.hooks import Hooks

HEAD = """
[models.student]
backbone = { use = "tiny", norm = "batch" }
optimizer = { use = "AdamW", lr = 1e-2, weight_decay = 0.1 }
schedule = { use = "poly", power = 0.9, warmup = 0.25 }
clip = 0.5
[callbacks.precise]
use = "float64"
"""
LABELS = """
[terms.labels]
learner = "student"
loss = "cross_entropy"
"""


def rate(step, steps=8, warmup=2):
    return 1e-2 * (1 - step / steps) ** 0.9 * min(1, (step + 1) / warmup)


@pytest.fixture
def loop(load, by_hand):
    """Train the student of a recipe in plain torch: `objective(logits, target, step)` is what it minimises."""

    def loop(text, objective, optimizer=lambda weights: torch.optim.AdamW(weights, lr=1e-2, weight_decay=0.1)):
        hand = by_hand(load(text))
        network = hand.network("student").train()
        optimizer = optimizer(network.parameters())
        for step, (images, target) in enumerate(hand.batches(8)):
            for group in optimizer.param_groups:
                group["lr"] = rate(step)
            optimizer.zero_grad()
            objective(network(images), target, step).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
            optimizer.step()
        return network.state_dict()

    return loop


def cross_entropy(logits, target, _step=0, **options):
    return F.cross_entropy(logits, target, ignore_index=255, **options)


def entropy(logits, target):
    every = -(logits.softmax(1) * logits.log_softmax(1)).sum(1)
    return every[target != 255].mean()


def test_labels_adamw_poly_and_clipping(loop, train, weights, assert_same):
    assert_same(weights(train(HEAD + LABELS), "student"), loop(HEAD + LABELS, cross_entropy), 1e-10)


def test_class_weights_and_another_optimizer(loop, train, weights, assert_same):
    recipe = HEAD.replace('"AdamW", lr = 1e-2, weight_decay = 0.1', '"SGD", lr = 1e-2, momentum = 0.9')
    recipe += LABELS.replace('"cross_entropy"', '{ use = "cross_entropy", weights = [1.0, 0.25, 3.0] }')
    wanted = loop(
        recipe,
        lambda logits, target, _: cross_entropy(logits, target, weight=torch.tensor([1.0, 0.25, 3.0]).double()),
        lambda parameters: torch.optim.SGD(parameters, lr=1e-2, momentum=0.9),
    )
    assert_same(weights(train(recipe), "student"), wanted, 1e-10)


def test_terms_add_up_under_weights_that_change(loop, train, weights, assert_same):
    recipe = (
        HEAD
        + LABELS
        + """
weight = { curve = "cosine", from = 1.0, to = 0.2 }
[terms.doubt]
learner = "student"
loss = "confidence_penalty"
weight = { at = [0.25, 0.5], value = [0, 2] }
"""
    )

    def objective(logits, target, step):
        share = (1 - math.cos(math.pi * step / 8)) / 2
        doubt = min(max((step / 8 - 0.25) / 0.25, 0), 1) * 2
        return (1 - 0.8 * share) * cross_entropy(logits, target) - doubt * entropy(logits, target)

    assert_same(weights(train(recipe), "student"), loop(recipe, objective), 1e-10)


@pytest.mark.parametrize("micro_batches", [1, 4])
def test_the_metrics_file_tells_values_weights_rates_and_gradients(load, train, by_hand, lines, micro_batches):
    """Values are those before the step; a gradient's norm is the weighted term's at the logits, over the batch."""
    recipe = HEAD.replace('"batch"', '"group"') + LABELS + "weight = 0.5\n"
    run = train(recipe, f"train.micro_batches={micro_batches}")
    hand = by_hand(load(recipe))
    network = hand.network("student").train()
    images, target = next(hand.batches(1))
    logits = network(images).detach().requires_grad_()
    value = cross_entropy(logits, target)
    (0.5 * value).backward()

    steps = lines(run, "step")
    assert [line["step"] for line in steps] == [*range(1, 9)]
    assert steps[0]["loss/labels"] == pytest.approx(value.item(), rel=1e-6)
    assert steps[0]["grad/labels"] == pytest.approx(logits.grad.norm().item(), rel=1e-6)
    assert [line["weight/labels"] for line in steps] == [0.5] * 8
    assert [line["lr/student"] for line in steps] == pytest.approx([rate(step) for step in range(8)])
    assert [line["epoch"] for line in steps] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_a_loss_on_another_head_alone_is_looked_at_too(load, train, by_hand, lines):
    recipe = HEAD.replace('"batch"', '"batch", edge = true') + '[terms.edge]\nlearner = "student"\nloss = "edge"\n'
    steps = lines(train(recipe), "step")
    hand = by_hand(load(recipe))
    images, _ = next(hand.batches(1))
    edge = hand.network("student").train()(images)["edge"].detach().requires_grad_()
    edge.square().mean(dim=(1, 2, 3)).mean().backward()
    assert steps[0]["grad/edge"] == pytest.approx(edge.grad.norm().item(), rel=1e-6)


def test_a_batch_without_a_label_changes_nothing_but_decay_and_momentum(train, lines, folder, weights, assert_same):
    """All pixels ignored in every image: the loss is 0, no weight becomes nan, SGD without momentum stays put."""
    parts = (folder / "parts.py").read_text(encoding="utf-8")
    (folder / "parts.py").write_text(parts.replace("[: mask.size * (index % 5) // 4]", "[:]"), encoding="utf-8")
    recipe = HEAD.replace('"AdamW", lr = 1e-2, weight_decay = 0.1', '"SGD", lr = 1e-2') + LABELS
    before = weights(train(recipe, "train.steps=1"), "student")
    run = train(recipe)
    assert [line["loss/labels"] for line in lines(run, "step")] == [0.0] * 8
    after = weights(run, "student")
    learned = {name for name in before if "running" not in name and "num_batches" not in name}
    assert_same({name: after[name] for name in learned}, {name: before[name] for name in learned})


class Explode(Hooks):
    """Lets the weights grow beyond what float32 holds in a loss."""

    def on_step_end(self, run):
        for parameter in run.participants["student"].parameters():
            parameter.data.mul_(1e15)


def test_training_that_diverges_is_told(train):
    with pytest.raises(KdsegError, match=r"step \d: loss/labels is (nan|inf): training diverged"):
        train(HEAD + LABELS, watcher=Explode())
