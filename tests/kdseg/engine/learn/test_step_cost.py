"""What a step leaves alone: networks that need not run, learners that have no turn, participants that are frozen."""

from __future__ import annotations

import hashlib
import pickle

import pytest
import torch
from terms import term

from kdseg.errors import KdsegError
from kdseg.hooks import Hooks

LEARNERS = """
[models.anna]
backbone = { use = "tiny", norm = "batch", dropout = 0.2 }
[models.berta]
backbone = { use = "tiny", norm = "batch" }
"""
LABELS = term("anna-labels", "anna") + term("berta-labels", "berta")
MUTUAL = term("anna-from-berta", "anna", "pixel_kl", source="berta")
MUTUAL += term("berta-from-anna", "berta", "pixel_kl", source="anna")


class CountForwards(Hooks):
    """Notes, step by step, in which mode each participant ran forward."""

    def __init__(self):
        self.steps = [{}]

    def on_run_start(self, run):
        for name, network in run.participants.items():
            network.register_forward_hook(self.note(name))

    def note(self, name):
        def hook(network, _inputs, _output):
            mode = "train" if network.training else "eval"
            mode += "" if torch.is_grad_enabled() else ", no gradient"
            self.steps[-1].setdefault(name, []).append(mode)

        return hook

    def on_step_end(self, run):
        self.steps.append({})


@pytest.fixture
def forwards(train):
    """Give each step's forwards, without those of the evaluation at the end."""

    def forwards(text, *settings):
        watcher = CountForwards()
        train(text, *settings, watcher=watcher)
        return watcher.steps[:-1]

    return forwards


def test_learners_run_once_a_micro_batch_however_many_terms_ask(forwards):
    recipe = LEARNERS + LABELS + MUTUAL + '[terms.doubt]\nlearner = "anna"\nloss = "confidence_penalty"\n'
    assert forwards(recipe, "train.micro_batches=2") == [{"anna": ["train"] * 2, "berta": ["train"] * 2}] * 8


def test_a_source_runs_once_for_all_its_terms_and_only_in_their_turns(forwards):
    recipe = (
        LEARNERS
        + '[turns]\norder = ["teach", "study", "rest"]\n'
        + term("anna-labels", "anna", turn='["teach", "rest"]')
        + term("mimic", "berta", "pixel_kl", source="anna", turn="study")
        + term("mimic-features", "berta", "feature_mimic", source="anna", turn="study")
    )
    teach, study = {"anna": ["train"]}, {"anna": ["eval, no gradient"], "berta": ["train"]}
    assert forwards(recipe) == [teach, study, teach] * 2 + [teach, study]


def test_a_term_of_weight_0_runs_nobody(forwards):
    mimic = MUTUAL.partition("[terms.berta-from-anna]")[0]
    recipe = LEARNERS + LABELS.partition("[terms.berta-labels]")[0] + mimic
    recipe += "weight = { at = [0, 0.5, 0.625], value = [0, 0, 1] }\n"
    recipe += '[turns]\norder = ["a", "a", "a", "a", "a", "a", "a", "b"]\n'
    recipe += '[terms.berta-labels]\nturn = "b"\nlearner = "berta"\nloss = "cross_entropy"\n'
    alone, with_source = {"anna": ["train"]}, {"berta": ["eval, no gradient"], "anna": ["train"]}
    found = forwards(recipe)
    assert found[:5] == [alone] * 5
    assert found[5:7] == [with_source] * 2
    assert found[7] == {"anna": ["train"], "berta": ["train"]}


def test_learners_in_sequence_run_a_stepped_source_again(forwards):
    recipe = LEARNERS + LABELS + MUTUAL + '[turns]\norder = ["both"]\nsync = "sequential"\n'
    once = {"anna": ["train", "eval, no gradient"], "berta": ["eval, no gradient", "train"]}
    assert forwards(recipe) == [once] * 8


class WatchIdlers(Hooks):
    """Finds learners of which anything at all changes in a step in which no term of theirs counts."""

    def __init__(self):
        self.seen, self.idle = {}, []

    def digest(self, run, name):
        learner = run.stepper.learners[name]
        parts = [learner.participant.digest(), learner.steps, learner.schedule.state_dict()]
        for state in learner.optimizer.state_dict()["state"].values():
            parts += [(key, value.numpy().tobytes()) for key, value in state.items()]
        parts += [term.module.state_dict() for term in run.stepper.terms.values() if term.learner == name]
        return hashlib.sha256(pickle.dumps(parts)).hexdigest()

    def on_run_start(self, run):
        self.seen = {name: self.digest(run, name) for name in run.stepper.learners}

    def on_step_end(self, run):
        active = {term.learner for term in run.plan.active(run.step - 1, run.plan.turn(run.step - 1))}
        for name in run.stepper.learners:
            digest = self.digest(run, name)
            assert (digest == self.seen[name]) == (name not in active), (run.step, name)
            self.idle += [name] * (name not in active)
            self.seen[name] = digest


def test_a_learner_without_a_term_that_counts_stays_bit_for_bit(train):
    """Weights, running statistics, optimizer, schedule, clock, and its losses' parts; also where it is a source."""
    recipe = (
        LEARNERS
        + '[turns]\norder = ["first", "second", "second"]\n'
        + term("anna-labels", "anna", "learned_scale", turn="first")
        + term("berta-labels", "berta", turn="second")
        + term("mimic", "berta", "pixel_kl", source="anna", turn="second")
    )
    for mode in ("eval", "train"):
        watcher = WatchIdlers()
        train(recipe, f"models.anna.source_mode={mode}", watcher=watcher)
        assert watcher.idle == ["berta", "anna", "anna", "berta", "anna", "anna", "berta", "anna"]


TEACHER = """
[models.anna]
backbone = { use = "tiny", norm = "batch" }
[terms.labels]
learner = "anna"
loss = "cross_entropy"
"""
FROZEN = """
[models.anna]
frozen = true
backbone = { use = "tiny", norm = "batch" }
weights = { run = "runs/teacher" }
[models.berta]
backbone = { use = "tiny", norm = "batch" }
[terms.mimic]
learner = "berta"
source = "anna"
loss = "pixel_kl"
"""


class Tamper(Hooks):
    """Watches a frozen network; changes it where told."""

    def __init__(self, at=None):
        self.at, self.digests, self.modes = at, set(), set()

    def on_step_end(self, run):
        anna = run.stepper.participants["anna"]
        if run.step == self.at:
            anna.module.encoder[1].running_mean.add_(1)
        self.digests.add(anna.digest())
        self.modes.add(anna.module.training)
        assert not any(parameter.requires_grad for parameter in anna.module.parameters())


def test_a_frozen_participant_never_changes(train):
    train(TEACHER, name="teacher")
    watcher = Tamper()
    train(FROZEN, watcher=watcher)
    assert len(watcher.digests) == 1
    assert watcher.modes == {False}


def test_a_frozen_participant_that_somebody_changed_is_told(train):
    train(TEACHER, name="teacher")
    with pytest.raises(KdsegError, match=r"models\.anna: frozen, but its weights or buffers changed"):
        train(FROZEN, watcher=Tamper(at=5))
