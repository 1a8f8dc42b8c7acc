"""Norms of gradients, against loops written out."""

from __future__ import annotations

import pytest

from kdseg.hooks import Hooks
from kdseg_watch.gradients import parts_of

RECIPE = """
[models.teacher]
backbone = { use = "tiny", norm = "batch" }
clip = 0.7
[models.student]
backbone = "tiny"
[terms.teacher-labels]
turn = "teach"
learner = "teacher"
loss = "cross_entropy"
[terms.labels]
turn = "study"
learner = "student"
loss = "cross_entropy"
[turns]
order = ["teach", "study"]
[callbacks.norms]
use = "gradient_norms"
by_stage = true
updates = true
"""


class Loop(Hooks):
    """Adds squares up, one weight after another."""

    def __init__(self):
        self.norms, self.parts, self.before, self.updates = {}, {}, {}, {}

    def on_gradients(self, run, learner):
        total, parts = 0.0, {}
        for name, parameter in run.participants[learner].named_parameters():
            square = float((parameter.grad.double() ** 2).sum())
            total += square
            part = name.split(".")[0]
            parts[part] = parts.get(part, 0.0) + square
        self.norms.setdefault(learner, []).append((run.step + 1, total**0.5))
        self.parts.setdefault(learner, []).append({part: square**0.5 for part, square in parts.items()})
        self.before[learner] = [one.detach().clone() for one in run.participants[learner].parameters()]

    def on_step_end(self, run):
        for learner, before in self.before.items():
            after = [one.detach() for one in run.participants[learner].parameters()]
            moved = sum(float(((new - old) ** 2).sum()) for new, old in zip(after, before, strict=True)) ** 0.5
            weights = sum(float((new**2).sum()) for new in after) ** 0.5
            self.updates[learner, run.step] = (weights, moved / weights)
        self.before = {}


def written(lines, name):
    return [(line["step"], line[name]) for line in lines if name in line]


@pytest.mark.parametrize("every", [1, 3])
def test_they_are_what_a_loop_gives_at_every_so_many_steps_of_each_learner(train, lines, every):
    loop = Loop()
    found = lines(train(RECIPE + f"every = {every}", watcher=loop), "callback")
    for learner in ("teacher", "student"):
        wanted = loop.norms[learner][::every]
        assert [step for step, _ in written(found, f"norms/{learner}")] == [step for step, _ in wanted]
        for (step, norm), (_, value) in zip(written(found, f"norms/{learner}"), wanted, strict=True):
            assert norm == pytest.approx(value, rel=1e-5), step
        for part in ("encoder", "decoder", "head"):
            values = [value for _, value in written(found, f"norms/{learner}/{part}")]
            assert values == pytest.approx([one[part] for one in loop.parts[learner][::every]], rel=1e-5)
        for place, name in enumerate(("weights", "update")):
            for step, value in written(found, f"norms/{learner}/{name}"):
                assert value == pytest.approx(loop.updates[learner, step][place], rel=1e-4)


def test_the_share_of_clipped_steps_is_counted_where_the_recipe_clips(train, lines):
    loop = Loop()
    found = lines(train(RECIPE + "every = 1", watcher=loop), "callback")
    norms = [norm for _, norm in loop.norms["teacher"]]
    wanted = [sum(norm > 0.7 for norm in norms[: n + 1]) / (n + 1) for n in range(len(norms))]
    assert [share for _, share in written(found, "norms/teacher/clipped")] == pytest.approx(wanted)
    assert wanted[-1] > 0
    assert written(found, "norms/student/clipped") == []


def test_watching_changes_nothing(train, weights, assert_same):
    watched = train(RECIPE + "every = 1", name="watched")
    alone = train(RECIPE.partition("[callbacks")[0], name="alone")
    assert_same(weights(watched, "student"), weights(alone, "student"))


def test_parts_of_a_list_or_a_dictionary_come_one_by_one():
    from torch import nn

    network = nn.Module()
    network.stages = nn.ModuleDict({"1": nn.Linear(2, 2), "2": nn.Linear(2, 2, bias=False)})
    network.blocks = nn.ModuleList([nn.Linear(2, 2)])
    network.head = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    network.scale = nn.Parameter(nn.Linear(1, 1).weight.detach())
    found = parts_of(network)
    assert {name: len(those) for name, those in found.items()} == {
        "scale": 1,
        "stages.1": 2,
        "stages.2": 1,
        "blocks.0": 2,
        "head": 4,
    }
    every = [id(one) for those in found.values() for one in those]
    assert sorted(every) == sorted(id(one) for one in network.parameters())
