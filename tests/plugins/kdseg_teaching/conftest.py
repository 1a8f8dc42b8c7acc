from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from kdseg.components import DiagnosticContext
from kdseg.data.samples import IGNORE_INDEX, ClassTable
from kdseg_teaching.components import Teachability

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(scope="session")
def by_hand() -> ModuleType:
    """The definitions, written a second time."""
    spec = importlib.util.spec_from_file_location("teachability_by_hand", Path(__file__).parent / "by_hand.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(classes, trials=1, examples=tuple, **options):
    names = tuple(f"class-{i}" for i in range(classes))
    table = ClassTable(names=names, colours=tuple((40 * i, 255 - 40 * i, 0) for i in range(classes)))
    return Teachability(**options).build(DiagnosticContext(classes=table, trials=trials, examples=examples))


@pytest.fixture(scope="session")
def accumulator():
    """Make an accumulator for some classes and trials, with options of the diagnostic."""
    return make


@pytest.fixture(scope="session")
def found():
    """Give the findings of one batch."""

    def found(trials, target, **options):
        work = make(trials[0].shape[1], len(trials), **options)
        work.update(iter(trials), target, range(len(target)))
        return work.compute()

    return found


@pytest.fixture(scope="session")
def draw():
    """Give logits that share something with each other and with the labels, of which some are ignored."""

    def draw(images, classes, height, width, trials=1, *, seed=0, ignored=0.2):
        torch.manual_seed(seed)
        shared = 2 * torch.randn(images, classes, height, width)
        target = torch.randint(classes, (images, height, width), dtype=torch.uint8)
        for n in range(images):  # runs of one class, so that there is an interior
            target[n, :, width // 2 :] = target[n, 0, 0]
        target[torch.rand(images, height, width) < ignored] = IGNORE_INDEX
        hint = torch.nn.functional.one_hot(target.clamp(max=classes - 1).long(), classes).movedim(-1, 1)
        return [shared + hint + torch.randn(images, classes, height, width) for _ in range(trials)], target

    return draw
