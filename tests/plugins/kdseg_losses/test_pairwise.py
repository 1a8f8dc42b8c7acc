"""Similarities between parts of an image against the paper's formula, node by node, in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.components import LossContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError
from kdseg.losses import LossCall, Prediction
from kdseg_losses.components.relation import PairwiseSimilarity

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


def context(learner, source):
    return LossContext(
        num_classes=2,
        class_shares=lambda: pytest.fail("nobody asked for the shares"),
        learner_taps={"bottleneck": tuple(learner.shape[1:])},
        source_taps={"bottleneck": tuple(source.shape[1:])},
    )


def loss_of(learner, source, target, nodes):
    """Give the module's value and count; the maps are those of the bottleneck."""
    module = PairwiseSimilarity(nodes=nodes).build(context(learner, source))
    found, wanted = (Prediction(logits=torch.zeros(0), taps={"bottleneck": values}) for values in (learner, source))
    return module(found, wanted, target, CALL), module.count(target)


def node_vectors(values, valid, nodes):
    """Give the mean of the valid cells of each node of an image, C×h×w; None where none is. By area, cell by cell."""
    _, height, width = values.shape
    found = []
    for row in range(nodes[0]):
        for column in range(nodes[1]):
            total, area = np.zeros(len(values)), 0.0
            for y in range(height):
                for x in range(width):
                    high = min((row + 1) / nodes[0], (y + 1) / height) - max(row / nodes[0], y / height)
                    wide = min((column + 1) / nodes[1], (x + 1) / width) - max(column / nodes[1], x / width)
                    if high > 1e-12 and wide > 1e-12 and valid[y, x]:
                        total += high * wide * values[:, y, x]
                        area += high * wide
            found.append(total / area if area else None)
    return found


def cosine(one, other):
    lengths = math.sqrt(one @ one) * math.sqrt(other @ other)
    return one @ other / lengths if lengths else 0.0


def formula(learner, source, target, nodes):
    """Pair-wise distillation of Liu et al. (1903.04197), for an image whose cells are pixels."""
    valid = target != IGNORE_INDEX
    mine, theirs = ([node for node in node_vectors(v, valid, nodes) if node is not None] for v in (learner, source))
    if not mine:
        return 0.0
    pairs = [(i, j) for i in range(len(mine)) for j in range(len(mine))]
    return sum((cosine(mine[i], mine[j]) - cosine(theirs[i], theirs[j])) ** 2 for i, j in pairs) / len(pairs)


@st.composite
def problems(draw):
    numbers = np.random.default_rng(draw(st.integers(0, 1000)))
    size = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    nodes = draw(st.tuples(st.integers(1, 7), st.integers(2, 7)))
    learner, source = (numbers.normal(size=(2, draw(st.integers(1, 5)), *size)) for _ in range(2))
    learner[numbers.random(learner.shape) < draw(st.sampled_from([0.0, 0.7]))] = 0  # some cells are 0 in all channels
    target = numbers.integers(0, 2, (2, *size))
    target[numbers.random(target.shape) < draw(st.sampled_from([0.0, 0.3, 0.9]))] = IGNORE_INDEX
    return learner, source, target, nodes


@settings(deadline=None, max_examples=60)
@given(problems())
def test_it_is_the_formula(problem):
    learner, source, target, nodes = problem
    value, count = loss_of(*(torch.as_tensor(values) for values in (learner, source, target)), nodes)
    expected = sum(formula(*image, nodes) for image in zip(learner, source, target, strict=True))
    assert value.item() == pytest.approx(expected, rel=1e-11, abs=1e-13)
    assert count == (target != IGNORE_INDEX).any((1, 2)).sum()


def test_features_at_right_angles_and_alike():
    """Two nodes: cosine 0 in the learner and 1 in the source, so 2 of the 4 pairs differ by 1."""
    learner = torch.tensor([[1.0, 0.0], [0.0, 3.0]]).reshape(1, 2, 1, 2)
    source = torch.tensor([[2.0, 5.0]]).reshape(1, 1, 1, 2)
    assert loss_of(learner, source, torch.zeros(1, 1, 2), (1, 2))[0] == pytest.approx(0.5, rel=1e-6)


def test_only_directions_count():
    numbers = torch.Generator().manual_seed(0)
    learner = torch.randn(1, 3, 4, 4, generator=numbers, dtype=torch.float64)
    value, _ = loss_of(learner, 7 * learner, torch.zeros(1, 16, 16), (2, 2))
    assert value.item() == pytest.approx(0, abs=1e-30)


def test_nodes_of_length_0_have_neither_nan_nor_gradient():
    learner = torch.zeros(1, 3, 2, 2, requires_grad=True)
    value, _ = loss_of(learner, torch.ones(1, 3, 2, 2), torch.zeros(1, 2, 2), (2, 2))
    value.backward()
    assert value.item() == pytest.approx(1, rel=1e-6)  # of cosines 0 to cosines 1
    assert (learner.grad == 0).all()


def test_the_gradient_goes_through_the_lengths():
    """A cosine does not change with the length of a vector, so its gradient is at right angles to the vector."""
    numbers = torch.Generator().manual_seed(0)
    learner, source = (torch.randn(2, 3, 3, 4, generator=numbers, dtype=torch.float64) for _ in range(2))
    loss_of(learner.requires_grad_(), source, torch.zeros(2, 3, 4), (3, 4))[0].backward()
    assert learner.grad.abs().max() > 0.01
    assert (learner.grad * learner).sum(1).abs().max() < 1e-15


def test_maps_of_other_sizes_have_the_same_nodes():
    """A source whose cells are halves of the learner's, with the same values, says the same."""
    numbers = torch.Generator().manual_seed(0)
    learner = torch.randn(1, 3, 4, 6, generator=numbers, dtype=torch.float64)
    target = torch.zeros(1, 16, 24)
    target[:, :, :8] = IGNORE_INDEX
    fine = learner.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert loss_of(learner, fine, target, (3, 5))[0].item() == pytest.approx(0, abs=1e-28)
    assert loss_of(learner, -fine.square(), target, (3, 5))[0] > 0.01


@pytest.mark.parametrize("nodes", [(1, 1), (0, 4), (-2, -2), (100, 100)])
def test_senseless_nodes_are_refused(nodes):
    with pytest.raises(ValueError, match="2 to 4096 nodes in all"):
        PairwiseSimilarity(nodes=nodes)


def test_taps_are_those_of_its_pairs():
    loss = PairwiseSimilarity(between=("encoder", "decoder.1 -> decoder.2"))
    stages = ("encoder.1", "encoder.2", "bottleneck", "decoder.1")
    assert loss.taps(stages, stages) == (
        ("encoder.1", "encoder.2", "decoder.1"),
        ("encoder.1", "encoder.2", "decoder.2"),
    )
    with pytest.raises(KdsegError, match="no stage called 'encoder'"):
        loss.taps(("bottleneck",), stages)
