"""Several sources as one, against loops over pixels in plain Python."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdseg import IGNORE_INDEX, EnsembleContext, LossCall
from kdseg.plugins import load_plugins

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())
ENTRIES = load_plugins().registry.of_kind("ensemble")


def softmax(values):
    most = max(values)
    powers = [math.exp(value - most) for value in values]
    return [power / sum(powers) for power in powers]


def probabilities(pixel, _label):
    return [sum(column) / len(pixel) for column in zip(*map(softmax, pixel), strict=True)]


def logits(pixel, _label):
    return softmax([sum(column) / len(pixel) for column in zip(*pixel, strict=True)])


def least_loss(pixel, label):
    return max(map(softmax, pixel), key=lambda p: p[label])


def min_logit(pixel, label):
    return softmax([min(column) for column in zip(*([z - one[label] for z in one] for one in pixel), strict=True)])


def certainty(pixel, _label):
    sources = [softmax(one) for one in pixel]
    doubts = [-sum(p * math.log(p) for p in one) for one in sources]
    shares = softmax([-doubt for doubt in doubts])
    return [sum(share * p for share, p in zip(shares, column, strict=True)) for column in zip(*sources, strict=True)]


SLOW = {one.__name__: one for one in (probabilities, logits, least_loss, min_logit, certainty)}


def made(name, sources, classes=4, seed=0, shape=(2, 3, 5)):
    numbers = torch.Generator().manual_seed(seed)
    images, height, width = shape
    found = [
        3 * torch.randn(images, classes, height, width, generator=numbers, dtype=torch.float64) for _ in range(sources)
    ]
    target = torch.randint(0, classes, shape, generator=numbers)
    target[torch.rand(shape, generator=numbers) < 0.3] = IGNORE_INDEX
    (entry,) = [entry for entry in ENTRIES if entry.name == name]
    combine = entry.cls().build(EnsembleContext(num_classes=classes, sources=sources))
    return combine, found, target


def test_each_has_its_slow_equal_here():
    assert {entry.name for entry in ENTRIES} == SLOW.keys()


@pytest.mark.parametrize("name", SLOW)
@given(st.integers(1, 4), st.integers(2, 7), st.integers(0, 99))
def test_it_is_its_formula_at_every_labelled_pixel(name, sources, classes, seed):
    combine, found, target = made(name, sources, classes, seed)
    given_ = combine(found, target, CALL).softmax(1)
    for image, row, column in (target != IGNORE_INDEX).nonzero().tolist():
        pixel = [logits_[image, :, row, column].tolist() for logits_ in found]
        wanted = SLOW[name](pixel, int(target[image, row, column]))
        assert given_[image, :, row, column].tolist() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("name", SLOW)
def test_one_source_alone_stays_what_it_says(name):
    combine, found, target = made(name, 1)
    valid = (target != IGNORE_INDEX).unsqueeze(1).expand_as(found[0])
    torch.testing.assert_close(combine(found, target, CALL).softmax(1)[valid], found[0].softmax(1)[valid])


@pytest.mark.parametrize("name", SLOW)
def test_the_order_of_sources_changes_nothing(name):
    combine, found, target = made(name, 3)
    valid = (target != IGNORE_INDEX).unsqueeze(1).expand_as(found[0])
    one, other = (combine(order, target, CALL).softmax(1)[valid] for order in (found, found[::-1]))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", SLOW)
def test_confident_sources_give_finite_logits_in_float32(name):
    combine, found, target = made(name, 2)
    sure = [(1000 * logits_).float() for logits_ in found]
    assert combine(sure, target, CALL).isfinite().all()
