from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from kdseg import IGNORE_INDEX, Arm, ClassTable, DiagnosticContext
from kdseg_biasvar.components import BiasVariance

if TYPE_CHECKING:
    from types import ModuleType


def beside(name: str) -> ModuleType:
    """Import a module that lies beside this file."""
    spec = importlib.util.spec_from_file_location(f"biasvar_{name}", Path(__file__).parent / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def by_hand() -> ModuleType:
    """The definitions, written a second time."""
    return beside("by_hand")


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """Predictors whose bias and variance are known."""
    return beside("synthetic")


def make(classes, trials, *, images=2, arms=1, seeds=1, reference=False, examples=tuple, **options):
    """Make an accumulator of arms with as many trials each, `seeds` on one training set."""
    table = ClassTable(
        names=tuple(f"class-{i}" for i in range(classes)),
        colours=tuple((40 * i % 256, 255 - 40 * i % 256, 0) for i in range(classes)),
    )
    samples = tuple(number // seeds for number in range(trials))
    each = tuple(Arm(name=f"arm-{i}", samples=samples, description=f"The trials of arm {i}.") for i in range(arms))
    ctx = DiagnosticContext(
        classes=table,
        trials=reference + arms * trials,
        arms=each,
        reference="a teacher" if reference else None,
        images=images,
        examples=examples,
    )
    return BiasVariance(**options).build(ctx)


@pytest.fixture(scope="session")
def accumulator():
    return make


@pytest.fixture(scope="session")
def found():
    """Give the findings of one batch: `logits` are the reference's, if there is one, then those of each arm."""

    def found(logits, target, *, arms=1, seeds=1, reference=False, **options):
        trials = (len(logits) - reference) // arms
        options = {"resamples": 200, **options}
        work = make(
            logits[0].shape[1], trials, images=len(target), arms=arms, seeds=seeds, reference=reference, **options
        )
        work.update(logits, target, range(len(target)))
        return work.compute()

    return found


@pytest.fixture(scope="session")
def draw():
    """Give logits that share something, and labels of which some are ignored; a part of each image is of one class."""

    def draw(images, classes, height, width, trials, *, seed=0, ignored=0.2):
        torch.manual_seed(seed)
        shared = 2 * torch.randn(images, classes, height, width)
        target = torch.randint(classes, (images, height, width), dtype=torch.uint8)
        target[:, :, width // 2 :] = target[:, :1, :1]
        target[torch.rand(images, height, width) < ignored] = IGNORE_INDEX
        return [shared + torch.randn(images, classes, height, width) for _ in range(trials)], target

    return draw
