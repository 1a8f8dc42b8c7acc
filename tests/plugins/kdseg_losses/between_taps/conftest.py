"""Pairs of taps drawn by Hypothesis, and what a loss between them compares, written as slow loops."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from kdseg.components import LossContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction

PIXELS = (12, 16)


def windows(cells, pixels):
    """The pixels that each cell stands for, first and last but one: all that it touches."""
    return [range(math.floor(i * pixels / cells), math.ceil((i + 1) * pixels / cells)) for i in range(cells)]


def valid_cells(target, size):
    """Which cells have at least half of their pixels labelled."""
    valid = np.zeros((len(target), *size), dtype=bool)
    for image, mask in enumerate(target):
        for i, rows in enumerate(windows(size[0], mask.shape[0])):
            for j, columns in enumerate(windows(size[1], mask.shape[1])):
                labelled = [mask[row, column] != IGNORE_INDEX for row in rows for column in columns]
                valid[image, i, j] = 2 * sum(labelled) >= len(labelled)
    return valid


def weights(found, wanted):
    """What each wanted cell of a row takes of each found one: its mean, or linear interpolation between centres."""
    matrix = np.zeros((wanted, found))
    for i, window in enumerate(windows(wanted, found)):
        if wanted <= found:
            matrix[i, window] = 1 / len(window)
            continue
        place = max((i + 0.5) * found / wanted - 0.5, 0)
        left = int(place)
        matrix[i, left] += 1 - (place - left)
        matrix[i, min(left + 1, found - 1)] += place - left
    return matrix


def aligned(problem):
    """The learner's and the source's map at the learner's size and which cells count; 0 where they don't."""
    size, other = problem.learner.shape[2:], problem.source.shape[2:]
    valid, theirs_valid = valid_cells(problem.target, size), valid_cells(problem.target, other)
    mine, theirs = np.zeros_like(problem.learner), np.zeros((*problem.source.shape[:2], *size))
    rows, columns = weights(other[0], size[0]), weights(other[1], size[1])
    for image, i, j in np.ndindex(*valid.shape):
        share, total = 0.0, np.zeros(problem.source.shape[1])
        for a, b in np.ndindex(*other):
            weight = rows[i, a] * columns[j, b]
            if weight and theirs_valid[image, a, b]:
                share += weight
                total += weight * problem.source[image, :, a, b]
        valid[image, i, j] &= share > 0.499
        if valid[image, i, j]:
            mine[image, :, i, j] = problem.learner[image, :, i, j]
            theirs[image, :, i, j] = total / share
    return mine, theirs, valid


@st.composite
def problems(draw, *, alike=None, smallest=1):
    """Two taps with NaN in all cells that are not valid, and a target; `alike`: whether channels are equally many."""
    images, classes = draw(st.integers(1, 3)), draw(st.integers(2, 6))
    sizes = st.tuples(st.integers(smallest, 6), st.integers(smallest, 8))
    size = draw(sizes)
    other = draw(st.one_of(st.just(size), sizes))
    channels = draw(st.integers(1, 4))
    more = draw(st.integers(1, 4)) if alike is None else channels if alike else channels + draw(st.integers(1, 3))
    numbers = np.random.default_rng(draw(st.integers(0, 10_000)))
    target = numbers.integers(0, classes, (images, *PIXELS))
    target[numbers.random(target.shape) < draw(st.sampled_from([0.0, 0.3, 0.5]))] = IGNORE_INDEX
    target[:, :, : draw(st.sampled_from([0, 5, 11]))] = IGNORE_INDEX
    if draw(st.booleans()):
        target[0] = IGNORE_INDEX
    taps = [numbers.normal(0, 2, (images, one, *its)) for one, its in ((channels, size), (more, other))]
    for tap in taps:
        np.moveaxis(tap, 1, -1)[~valid_cells(target, tap.shape[2:])] = np.nan
    return SimpleNamespace(learner=taps[0], source=taps[1], target=target, classes=classes)


def context(problem):
    return LossContext(
        num_classes=problem.classes,
        class_shares=lambda: pytest.fail("the labels are not to be counted"),
        learner_taps={"one": problem.learner.shape[1:]},
        source_taps={"other": problem.source.shape[1:]},
    )


def make(cls, problem, *options):
    """The loss of a problem, in float64."""
    torch.manual_seed(0)
    return cls([("one", "other")], context(problem), *options).double()


def call(seed=0):
    return LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator().manual_seed(seed))


def run(module, problem, **options):
    """The value, the count, and the gradient at the learner's tap."""
    learner = torch.tensor(problem.learner, requires_grad=True)
    target = torch.from_numpy(problem.target)
    value = module(
        Prediction(logits=torch.zeros(0), taps={"one": learner}),
        Prediction(logits=torch.zeros(0), taps={"other": torch.from_numpy(problem.source)}),
        target,
        call(**options),
    )
    if value.requires_grad:
        value.backward()
    return SimpleNamespace(
        value=value.item(),
        count=module.count(target).item(),
        gradient=np.zeros(0) if learner.grad is None else learner.grad.numpy(),
    )


def projected(module, mine, valid):
    """The learner's map past its projector, cell by cell; 0 where not valid."""
    project = module.projectors[0]
    if isinstance(project, torch.nn.Identity):
        return mine
    weight, bias = project.weight.detach().numpy()[:, :, 0, 0], project.bias.detach().numpy()
    out = np.zeros((len(mine), len(bias), *mine.shape[2:]))
    for image, i, j in zip(*np.nonzero(valid), strict=True):
        out[image, :, i, j] = weight @ mine[image, :, i, j] + bias
    return out


@pytest.fixture(scope="session")
def taps():
    return SimpleNamespace(
        problems=problems,
        aligned=aligned,
        valid_cells=valid_cells,
        make=make,
        run=run,
        projected=projected,
        pixels=PIXELS,
    )
