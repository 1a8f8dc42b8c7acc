"""Gates: the turn of a step follows from what the step before showed, in every process, and after a kill."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from kdseg.engine.check.phases import check
from kdseg.engine.run.start import run_recipe
from kdseg.errors import KdsegError, ProblemsError

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

SWITOKD = """
[models.teacher]
backbone = { use = "tiny", norm = "group", width = 6 }
optimizer = { use = "AdamW", lr = 1e-1 }
[models.student]
backbone = { use = "tiny", norm = "group" }
optimizer = { use = "AdamW", lr = 1e-3 }
[turns]
order = ["both", "study"]
gate = "switokd"
[terms.teacher-labels]
turn = "both"
learner = "teacher"
loss = "cross_entropy"
[terms.adapt]
turn = "both"
learner = "teacher"
source = "student"
loss = { use = "pixel_kl", temperature = 1.0 }
[terms.labels]
learner = "student"
loss = "cross_entropy"
[terms.mimic]
learner = "student"
source = "teacher"
loss = { use = "pixel_kl", temperature = 1.0 }
"""
PRECISE = """
[callbacks.precise]
use = "float64"
"""
STEPS = 40


def distance(one, other, target):
    """The L1 distance at each labelled pixel, and their mean."""
    return (one - other).abs().sum(1)[target != 255].mean().item()


def pauses(student, teacher, target):
    """The rule of SwitOKD (2209.04996) for the probabilities of one batch."""
    p_s, p_t = student.detach().softmax(1), teacher.detach().softmax(1)
    y = torch.zeros_like(p_s).scatter_(1, target.masked_fill(target == 255, 0).unsqueeze(1), 1)
    s, t = distance(p_s, y, target), distance(p_t, y, target)
    return distance(p_s, p_t, target) > s - math.exp(-t / (s + t)) * t and t < s


@pytest.mark.parametrize("parts", [1, 2])
def test_switokd_is_its_loop_by_hand(load, train, by_hand, weights, assert_same, lines, hands, parts):
    recipe = SWITOKD + PRECISE
    hand = by_hand(load(recipe, f"train.steps={STEPS}"))
    teacher, student = (
        hands.Hand(hand.network(name), rate, STEPS) for name, rate in (("teacher", 1e-1), ("student", 1e-3))
    )
    turns, paused = [], False
    for images, target in hand.batches(STEPS):
        turns.append("study" if paused else "both")
        of_teacher = teacher.tell(images) if paused else teacher.study(images)
        of_student = student.study(images)
        if not paused:
            pull = hands.divergence(of_teacher, of_student, target)
            teacher.learn(hands.labels(of_teacher, target), pull)
        pull = hands.divergence(of_student, of_teacher, target)
        student.learn(hands.labels(of_student, target), pull)
        paused = pauses(of_student, of_teacher, target)
    run = train(recipe, f"train.steps={STEPS}", f"train.micro_batches={parts}")
    found = [line["turn"] for line in lines(run, "step")]
    assert found == turns
    assert set(turns) == {"both", "study"}
    assert_same(weights(run, "teacher"), teacher.network.state_dict(), 1e-10)
    assert_same(weights(run, "student"), student.network.state_dict(), 1e-10)


def test_what_it_decided_by_is_in_the_metrics(train, lines):
    for line in lines(train(SWITOKD), "step"):
        facts = {key.partition("/")[2]: value for key, value in line.items() if key.startswith("gate/")}
        t, s = facts["teacher"], facts["student"]
        assert facts["threshold"] == pytest.approx(s - math.exp(-t / (s + t)) * t)


def test_it_goes_on_measuring_where_no_term_counts(train, lines):
    """Nobody learns at such a step, and so each measures what the one before did, on other images."""
    names = ("teacher-labels", "labels", "mimic", "adapt")
    weights = [f"terms.{name}.weight={{at=[0, 0.5], value=[0, 1]}}" for name in names]
    told = lines(train("", *weights, extends="stateful/gate_switch.toml"), "step")
    assert all(line["gate/gap"] > 0 for line in told)
    assert [key for key in told[0] if key.startswith("loss/")] == []


def test_a_plateau_goes_through_the_order_as_it_is_written(train, lines):
    """No value falls to a hundredth from a step to the next: of each turn, the first step sets it and two wait."""
    gate = "gate = { use = 'plateau', term = 'labels', patience = 2, least_gain = 0.99, memory = 1.0 }"
    recipe = SWITOKD.replace('order = ["both", "study"]', 'order = ["both", "study", "both"]')
    run = train(recipe.replace('gate = "switokd"', gate), "train.steps=10")
    assert [line["turn"] for line in lines(run, "step")] == ["both"] * 3 + ["study"] * 3 + ["both"] * 4


def test_parameters_outside_a_turn_stay_as_they_are(train):
    """To the bit, of a learner that has momentum and decay."""
    from kdseg.hooks import Hooks

    moved = []

    class Watch(Hooks):
        def on_run_start(self, run):
            self.before = self.all(run)

        def all(self, run):
            return {
                name: [p.detach().clone() for p in module.parameters()] for name, module in run.participants.items()
            }

        def on_step_end(self, run):
            now = self.all(run)
            moved.append(
                {
                    name
                    for name in now
                    if not all(torch.equal(one, other) for one, other in zip(now[name], self.before[name], strict=True))
                }
            )
            self.before = now

    run = train(SWITOKD, f"train.steps={STEPS}", watcher=Watch())
    lines = (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    turns = ["both" if '"turn": "both"' in line else "study" for line in lines if '"kind": "step"' in line]
    assert moved == [{"teacher", "student"} if turn == "both" else {"student"} for turn in turns]


@pytest.mark.parametrize("world", [2])
@pytest.mark.parametrize("recipe", ["stateful/gate_switch.toml", "stateful/gate_plateau.toml"])
def test_processes_choose_alike(processes, train, lines, assert_ranks_agree, recipe, world):
    """And as one process does: what they see is summed over all."""
    settings = ("train.steps=12", "models.teacher.backbone.norm=group", "models.student.backbone.norm=group")
    settings += ("models.teacher.backbone.dropout=0.0", "models.student.backbone.dropout=0.0")
    alone = train("", *settings, name="alone", extends=recipe)
    run = processes(world, '[callbacks.witness]\nuse = "witness"\n', *settings, extends=recipe)
    assert_ranks_agree(run, world)
    turns = [line["turn"] for line in lines(run, "step")]
    assert turns == [line["turn"] for line in lines(alone, "step")]
    assert len(set(turns)) == 2


OWN = """
[models.anna]
backbone = "tiny"
[models.berta]
backbone = "tiny"
[turns]
order = ["a", "b"]
unit = "{unit}"
gate = {{ use = "dice", seed = 5 }}
[terms.anna-labels]
turn = "a"
learner = "anna"
loss = "cross_entropy"
[terms.berta-labels]
turn = "b"
learner = "berta"
loss = "cross_entropy"
"""


def test_a_third_party_s_gate_chooses(train, lines):
    turns = [line["turn"] for line in lines(train(OWN.format(unit="step"), "train.steps=16"), "step")]
    assert turns == ["ab"[(number * 5 + 3) % 7 % 2] for number in range(16)]


def test_by_epoch_it_is_asked_where_an_epoch_begins(train, lines):
    turns = [line["turn"] for line in lines(train(OWN.format(unit="epoch"), "train.steps=16"), "step")]
    groups = [(turn, len([*same])) for turn, same in itertools.groupby(turns)]
    assert all(length % 4 == 0 for _, length in groups)  # 16 images in batches of 4
    assert [turns[first] for first in range(0, 16, 4)] == ["ab"[(number * 5 + 3) % 7 % 2] for number in range(0, 16, 4)]


def test_a_turn_that_is_not_there_ends_the_run(load):
    with pytest.raises(KdsegError, match=r"turns\.gate: chose the turn 'bb', which is not there; did you mean 'b'\?"):
        run_recipe(load(OWN.format(unit="step").replace("seed = 5", 'seed = 5, wrong = "bb"')))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            ["turns.gate.student=stuent"],
            "turns.gate: asks for the participant 'stuent', which is not there; did",
        ),
        (
            ["turns.order=['both']"],
            "turns.gate: switokd chooses between two turns, both learning and the",
        ),
        (["turns.order=['both', 'study', 'rest']"], "turns.gate: switokd chooses between two turns"),
        (
            ["turns.gate={use='plateau', term='lables'}"],
            "turns.gate: asks for the term 'lables', which is not there",
        ),
    ],
)
def test_a_gate_that_cannot_work_is_told(load, settings, told):
    with pytest.raises(ProblemsError) as error:
        check(load(SWITOKD, *settings))
    assert told in str(error.value)


def test_how_often_a_learner_steps_is_not_the_recipe_s_to_say(load):
    with pytest.raises(ProblemsError, match=r"train\.steps_of: who steps how often is the gate's to say"):
        load(SWITOKD.replace("[turns]", "[train]\nsteps_of = { student = 4 }\n[turns]"))
