"""One process with batch 8, two with 4 each and four micro-batches of 2 take the same 20 steps, whatever learns."""

from __future__ import annotations

import pytest

from kdseg.options import component_options
from kdseg.plugins import load_plugins

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

SIZE = ("train.steps=20", "train.batch_size=8", "data.dataset.images=26", "evaluate.every=20", "checkpoint.every=20")
WATCHED = ("callbacks.witness.use='witness'", "train.precision='fp32'")
EXACT = ("callbacks.precise.use='float64'",)
"""In float64, rounding hides nothing."""
PLAIN = (
    *(
        f"models.{name}.backbone.{option}"
        for name in ("teacher", "student")
        for option in ("norm='group'", "dropout=0")
    ),
    "terms.mimic.loss={use='feature_mimic', norm='group'}",
    "terms.labels.loss='cross_entropy'",  # in place of one that draws noise, which no two splits share
)
"""What sees a micro-batch or a process alone, batch normalisation and dropout, is left out."""
OPTIMIZERS = {
    "SGD": "{use='SGD', lr=0.01, momentum=0.9}",
    "AdamW": "{use='AdamW', lr=0.01}",
}
BUNDLED = [entry for entry in load_plugins().registry.of_kind("loss") if entry.distribution == "kdseg"]


@pytest.fixture
def assert_equal_steps(train, processes, witness, lines, assert_same, assert_ranks_agree):
    """Train by every split of a batch, and hold weights, buffers, logits and learning rates against each other."""

    def assert_equal_steps(text, *settings, tolerance, **named):
        whole = train(text, *settings, "train.micro_batches=1", name="whole", **named)
        parted = train(text, *settings, "train.micro_batches=4", name="parted", **named)
        shared = processes(2, text, *settings, "train.micro_batches=1", name="shared", **named)
        assert_ranks_agree(shared, 2)
        for run in (parted.folder, shared):
            assert_same(witness(run), witness(whole), tolerance)
            assert rates(lines(run, "step")) == rates(lines(whole, "step"))

    return assert_equal_steps


def rates(steps):
    return [{name: rate for name, rate in step.items() if name.startswith("lr/")} for step in steps]


def both_by(optimizer):
    return [f"models.{name}.optimizer={optimizer}" for name in ("teacher", "student")]


def test_in_float64_splits_are_equal(assert_equal_steps, stateful):
    """Turns, shadows, sequences, callbacks, a projector, an idle learner; ignored pixels are unevenly spread."""
    settings = both_by(OPTIMIZERS["SGD"])  # it shows a gradient at a wrong scale, which AdamW hides
    assert_equal_steps("", *SIZE, *WATCHED, *EXACT, *PLAIN, *settings, extends=stateful, tolerance=1e-10)


@pytest.mark.slow
def test_so_they_are_by_adamw(assert_equal_steps, stateful):
    settings = both_by(OPTIMIZERS["AdamW"])
    assert_equal_steps("", *SIZE, *WATCHED, *EXACT, *PLAIN, *settings, extends=stateful, tolerance=1e-10)


@pytest.mark.parametrize("recipe", ["fused", "sequence"])
def test_in_float32_the_difference_is_rounding(assert_equal_steps, recipe):
    settings = [*WATCHED, *PLAIN, *both_by("{use='SGD', lr=0.01}")]
    assert_equal_steps("", *SIZE, *settings, extends=f"stateful/{recipe}.toml", tolerance=1e-5)


@pytest.mark.slow
def test_so_it_is_whatever_learns(assert_equal_steps, stateful):
    settings = both_by("{use='SGD', lr=0.01}")
    assert_equal_steps("", *SIZE, *WATCHED, *PLAIN, *settings, extends=stateful, tolerance=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_loss_per_pixel_or_image_is_the_same_in_all_splits(assert_equal_steps, optimizer):
    """Each on a learner of its own, beside a teacher that learns at the same time; a new loss is here by itself."""
    learner = f"backbone = {{ use = 'tiny' }}\noptimizer = {OPTIMIZERS[optimizer]}\n"
    recipe = f"[models.teacher]\n{learner}[terms.teacher]\nlearner = 'teacher'\nloss = 'cross_entropy'\n"
    for entry in BUNDLED:
        if entry.cls.per == "batch" or "micro-batches" in entry.cls.exempt:
            continue
        name = entry.name.replace("_", "-")
        loss = f"use = '{entry.name}'"
        if any(option.name == "between" for option in component_options(entry.cls)):
            loss += ", between = ['all']"
        source = "source = 'teacher'\n" if entry.cls.role == "distillation" else ""
        recipe += f"[models.{name}]\n{learner}[terms.{name}]\nlearner = '{name}'\n{source}loss = {{ {loss} }}\n"
        if entry.cls.role == "regulariser":  # on its own it moves the weights to where its gradient is nothing
            recipe += f"[terms.{name}-labels]\nlearner = '{name}'\nloss = 'cross_entropy'\n"
    assert_equal_steps(recipe, *SIZE, *WATCHED, *EXACT, tolerance=1e-10)
