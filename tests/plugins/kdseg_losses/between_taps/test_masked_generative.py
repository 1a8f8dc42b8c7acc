"""Masked generative distillation against the paper's formula, cell by cell."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg_losses.masked_generative import MaskedGenerativeLoss


def convolved(maps, layer):
    """A 3x3 convolution of one image, with zeros around it, as a sum over neighbours."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    height, width = maps.shape[1:]
    out = np.zeros((len(bias), height, width))
    for i, j in np.ndindex(height, width):
        out[:, i, j] = bias
        for a, b in np.ndindex(3, 3):
            row, column = i + a - 1, j + b - 1
            if 0 <= row < height and 0 <= column < width:
                out[:, i, j] += weight[:, :, a, b] @ maps[:, row, column]
    return out


@settings(max_examples=50)
@given(st.data(), st.sampled_from([0.0, 0.3, 0.75]))
def test_it_is_the_distance_of_what_is_generated_from_unmasked_cells(taps, data, mask_ratio):
    problem = data.draw(taps.problems())
    module = taps.make(MaskedGenerativeLoss, problem, mask_ratio)
    result = taps.run(module, problem, seed=5)
    mine, theirs, valid = taps.aligned(problem)
    mine, total = taps.projected(module, mine, valid), 0.0
    shown = torch.rand((len(valid), *valid.shape[1:]), generator=torch.Generator().manual_seed(5)).numpy() >= mask_ratio
    first, _, second = module.generators[0]
    for image, counted in enumerate(valid):
        generated = convolved(np.maximum(convolved(mine[image] * shown[image], first), 0), second)
        for i, j in zip(*np.nonzero(counted), strict=True):
            total += np.mean((generated[:, i, j] - theirs[image, :, i, j]) ** 2)
    assert result.value / max(result.count, 1) == pytest.approx(total / max(valid.sum(), 1), rel=1e-9)
    hidden = ~(valid & shown)
    assert (np.moveaxis(result.gradient, 1, -1)[hidden] == 0).all()


def test_each_image_and_each_step_draws_a_mask_with_its_share_of_cells(taps):
    cells = np.ones((2, 1, 40, 50))
    problem = SimpleNamespace(learner=cells, source=cells, target=np.zeros((2, 40, 50), int), classes=2)
    module = taps.make(MaskedGenerativeLoss, problem, 0.75)
    hidden = [taps.run(module, problem, seed=seed).gradient == 0 for seed in (1, 1, 2)]
    assert hidden[0].mean() == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / cells.size))
    np.testing.assert_array_equal(hidden[0], hidden[1])
    for one, other in ((hidden[0], hidden[2]), (hidden[0][0], hidden[0][1])):  # of steps, of images
        assert (one != other).mean() == pytest.approx(2 * 0.75 * 0.25, abs=0.05)


def test_every_pair_has_a_generator_that_learns(taps):
    numbers = np.random.default_rng(0)
    problem = SimpleNamespace(
        learner=numbers.normal(size=(1, 2, 6, 6)),
        source=numbers.normal(size=(1, 3, 6, 6)),
        target=np.zeros((1, 6, 6), int),
        classes=2,
    )
    module = taps.make(MaskedGenerativeLoss, problem, 0.5)
    taps.run(module, problem)
    assert len(list(module.parameters())) == 2 + 4
    assert all((one.grad != 0).any() for one in module.parameters())
