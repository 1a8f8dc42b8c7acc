"""Losses with an opponent, or with a view of other processes' images, against loops written by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from kdseg.engine.check.phases import check
from kdseg.errors import ProblemsError

DUEL = """
[models.teacher]
backbone = { use = "tiny", width = 6 }
optimizer = { use = "SGD", lr = 0.0 }
[models.student]
backbone = "tiny"
optimizer = { use = "SGD", lr = 0.1 }
schedule = "constant"
[terms.teacher]
learner = "teacher"
loss = "cross_entropy"
[terms.duel]
learner = "student"
source = "teacher"
loss = "duel"
weight = 0.5
critic = { use = "Adam", lr = 0.05 }
[callbacks.precise]
use = "float64"
[callbacks.witness]
use = "witness"
"""


def judged(critic, logits):
    return critic(logits.softmax(1).mean(dim=(2, 3)))


def test_it_is_the_loop_that_one_writes_for_an_opponent(load, train, by_hand, witness, weights, assert_same, lines):
    """The critic learns at each step from the same predictions, after the learner, and never through its loss."""
    run = train(DUEL)
    hand = by_hand(load(DUEL))
    teacher, student = hand.network("teacher"), hand.network("student")
    critic = hand.loss("duel", 4, 6).critic
    critic.requires_grad_(requires_grad=True)
    learns = torch.optim.SGD(student.parameters(), lr=0.1)
    follows = torch.optim.Adam(critic.parameters(), lr=0.05)
    told = []
    for images, _ in hand.batches(8):
        with torch.no_grad():
            wanted = teacher(images)
        found = student(images)
        loss = (judged(critic, wanted) - judged(critic, found)).mean()
        gradients = torch.autograd.grad(0.5 * loss, list(student.parameters()), allow_unused=True)
        other = (F.softplus(judged(critic, found.detach())) + F.softplus(-judged(critic, wanted))).mean()
        for parameter, gradient in zip(student.parameters(), gradients, strict=True):
            parameter.grad = gradient
        learns.step()
        follows.zero_grad()
        other.backward()
        follows.step()
        told.append((loss.item(), other.item()))
    assert_same(weights(run, "student"), student.state_dict(), 1e-6)  # saved in float32
    end = {name: value for name, value in witness(run).items() if name.startswith("/losses/duel/")}
    assert_same(end, {f"/losses/duel/critic.{name}": value for name, value in critic.state_dict().items()}, 1e-10)
    steps = lines(run, "step")
    assert [(line["loss/duel"], line["critic/duel"]) for line in steps] == [
        pytest.approx(one, rel=1e-5) for one in told
    ]


def test_an_optimizer_for_a_critic_that_is_not_there_is_refused(load):
    wrong = DUEL.replace('loss = "duel"', 'loss = "pixel_kl"')
    with pytest.raises(ProblemsError, match=r"terms\.duel\.critic: the loss 'pixel_kl' has no critic"):
        check(load(wrong))


def test_an_optimizer_that_cannot_train_the_critic_is_refused(load):
    with pytest.raises(ProblemsError, match=r"terms\.duel\.critic: .*LBFGS.* evaluates the loss several times"):
        check(load(DUEL.replace('{ use = "Adam", lr = 0.05 }', '"LBFGS"')))


PAIRS = """
[train]
batch_size = 8
[models.student]
backbone = "tiny"
optimizer = { use = "SGD", lr = 0.05 }
[terms.alike]
learner = "student"
loss = "alike"
[terms.labels]
learner = "student"
loss = "cross_entropy"
[callbacks.precise]
use = "float64"
[callbacks.witness]
use = "witness"
"""


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_loss_over_pairs_of_images_sees_those_of_all_processes(
    processes, train, witness, assert_same, assert_ranks_agree
):
    """Both processes together give the gradient that one gives, through their own images and through each other's."""
    shared, alone = processes(2, PAIRS), train(PAIRS, name="alone")
    assert_ranks_agree(shared, 2)
    assert_same(witness(shared), witness(alone), 1e-10)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_queue_that_all_fill_is_the_same_in_all(processes, train, witness, assert_same, assert_ranks_agree):
    recipe = PAIRS.replace("alike", "queue")
    shared, alone = processes(2, recipe), train(recipe, name="alone")
    assert_ranks_agree(shared, 2)
    for run in (shared, alone):
        assert witness(run)["/losses/queue/next"] == 8
        assert (witness(run)["/losses/queue/queue"] != 0).all()
