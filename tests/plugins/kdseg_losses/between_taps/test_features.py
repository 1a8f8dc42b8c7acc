"""What losses between taps share: which cells count, how sizes and channels are brought together, what weighs what."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from kdseg.components import LossContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError
from kdseg.losses import LossCall, Prediction
from kdseg_losses.features import FeatureLoss

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


class Seen(FeatureLoss):
    """A loss that keeps what it was given."""

    def pair_loss(self, learner, source, valid, call):
        self.learner, self.source, self.valid = learner, source, valid
        return learner.sum()


class Cells(FeatureLoss):
    """A loss of as much as the tap has channels at every cell."""

    def pair_loss(self, learner, source, valid, call):
        return valid.sum() * float(source.shape[1])


class Images(Cells):
    per = "image"

    def pair_loss(self, learner, source, valid, call):
        return valid.flatten(1).any(1).sum() * float(source.shape[1])


class Batch(Cells):
    per = "batch"

    def pair_loss(self, learner, source, valid, call):
        return torch.tensor(float(source.shape[1]))


@given(st.data())
def test_both_maps_come_at_the_learner_s_size_made_of_valid_cells_alone(taps, data):
    problem = data.draw(taps.problems())
    module = taps.make(Seen, problem)
    result = taps.run(module, problem)
    mine, theirs, valid = taps.aligned(problem)
    np.testing.assert_array_equal(module.valid.numpy(), valid)
    np.testing.assert_allclose(module.source.numpy(), theirs, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        module.learner.detach().numpy(), taps.projected(module, mine, valid), rtol=1e-9, atol=1e-12
    )
    height, width = valid.shape[1:]
    assert result.count == pytest.approx(valid.sum() * taps.pixels[0] * taps.pixels[1] / (height * width))
    assert np.isfinite(result.gradient).all()
    assert (np.moveaxis(result.gradient, 1, -1)[~valid] == 0).all()


@given(st.data())
def test_what_is_alike_everywhere_stays_so_at_another_size(taps, data):
    problem = data.draw(taps.problems())
    problem.source = np.where(np.isnan(problem.source), np.inf, 7.0)
    module = taps.make(Seen, problem)
    taps.run(module, problem)
    seen = module.source.movedim(1, -1)[module.valid]
    np.testing.assert_allclose(seen.numpy(), np.full(seen.shape, 7.0), rtol=1e-12)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("other", [(2, 2), (4, 4), (8, 8), (3, 7), (2, 8)])
def test_garbage_in_ignored_cells_leaks_through_no_resizing(taps, other, garbage):
    numbers = np.random.default_rng(0)
    target = np.zeros((1, *taps.pixels), dtype=np.int64)
    target[:, :, :7] = IGNORE_INDEX  # no border of cells of any of the sizes
    seen = []
    for poison in (0.0, garbage):
        problem = SimpleNamespace(
            learner=numbers.normal(size=(1, 3, 4, 4)), source=np.ones((1, 3, *other)), target=target, classes=2
        )
        for tap in (problem.learner, problem.source):
            np.moveaxis(tap, 1, -1)[~taps.valid_cells(target, tap.shape[2:])] = poison
        module = taps.make(Seen, problem)
        taps.run(module, problem)
        assert module.valid.any()
        seen.append(module.source)
    assert torch.equal(*seen)


@given(st.data(), st.booleans())
def test_channels_are_projected_only_where_they_differ_and_projectors_learn(taps, data, alike):
    problem = data.draw(taps.problems(alike=alike))
    module = taps.make(Seen, problem)
    taps.run(module, problem)
    parameters = list(module.parameters())
    if alike:
        assert not parameters
        return
    assert [tuple(one.shape) for one in parameters] == [
        (problem.source.shape[1], problem.learner.shape[1], 1, 1),
        (problem.source.shape[1],),
    ]
    assert all((one.grad != 0).any() for one in parameters) == bool(module.valid.any())


def test_a_pair_without_a_projector_has_no_parameters(taps):
    problem = SimpleNamespace(
        learner=np.ones((1, 2, 3, 4)), source=np.ones((1, 5, 3, 4)), target=np.zeros((1, 6, 8), np.int64), classes=2
    )

    class Unprojected(Seen):
        projects = False

    module = taps.make(Unprojected, problem)
    taps.run(module, problem)
    assert not list(module.parameters())
    assert module.learner.shape == (1, 2, 3, 4)


def two_pairs(cls, target):
    """The mean of a loss that is 3 at a pair of large maps and 5 at one of small maps."""
    shapes = {"large": (3, 8, 8), "small": (5, 2, 2)}
    ctx = LossContext(num_classes=2, class_shares=dict, learner_taps=shapes, source_taps=shapes)
    module = cls([("large", "large"), ("small", "small")], ctx)
    taps = {name: torch.zeros(len(target), *shape) for name, shape in shapes.items()}
    one = Prediction(logits=torch.zeros(0), taps=taps)
    value = module(one, evolve(one), target, CALL)
    return value if module.per == "batch" else value / module.count(target)


@pytest.mark.parametrize("cls", [Cells, Images, Batch])
def test_pairs_count_alike_whatever_their_number_of_cells(cls):
    assert two_pairs(cls, torch.zeros(2, 16, 16, dtype=torch.uint8)).item() == pytest.approx(4)


def test_pairs_count_by_the_pixels_of_their_valid_cells():
    target = torch.zeros(1, 16, 16, dtype=torch.uint8)
    target[:, :, :6] = IGNORE_INDEX  # 3 of 8 columns of the large map, and the first of 2 of the small one
    assert two_pairs(Cells, target).item() == pytest.approx((3 * 5 / 8 + 5 * 1 / 2) / (5 / 8 + 1 / 2))


def test_an_image_counts_where_it_has_a_valid_cell():
    target = torch.zeros(2, 16, 16, dtype=torch.uint8)
    target[1] = IGNORE_INDEX
    target[1, 0, 0:2] = target[1, 1, 0:2] = 1  # one cell of the large map, none of the small one
    assert two_pairs(Images, target).item() == pytest.approx((3 * 2 + 5 * 1) / 3)


def test_images_of_another_size_than_the_checked_are_refused(taps):
    problem = SimpleNamespace(
        learner=np.ones((1, 2, 3, 4)), source=np.ones((1, 2, 3, 4)), target=np.zeros((1, 6, 8), np.int64), classes=2
    )
    module = taps.make(Seen, problem)
    problem.source = np.ones((1, 2, 3, 5))
    with pytest.raises(KdsegError, match=r"'other' is 3x5, and 3x4 in the image .* training images of one size"):
        taps.run(module, problem)
