"""Losses of overlap against their papers' formulas, set by set, in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.regions import DiceLoss, JaccardLoss, LovaszSoftmaxLoss

CALL = LossCall(progress=0.0, images=torch.zeros(0), generator=torch.Generator())


def pixels(logits, target):
    """Give the (label, probabilities) of the valid pixels of some images, in one list."""
    found = []
    for outputs, mask in zip(np.moveaxis(logits, 1, -1).reshape(-1, logits.shape[1]), target.ravel(), strict=True):
        if mask != IGNORE_INDEX:
            powers = [math.exp(value) for value in outputs]
            found.append((int(mask), [power / sum(powers) for power in powers]))
    return found


def mean_over_classes(found, loss_of):
    present = sorted({label for label, _ in found})
    return sum(loss_of(number) for number in present) / len(present) if present else 0.0


def dice_formula(logits, target):
    """Milletari et al. (1606.04797), class by class and image by image."""
    total = 0.0
    for image in range(len(logits)):
        found = pixels(logits[image : image + 1], target[image : image + 1])

        def loss_of(number, found=found):
            both = sum(p[number] * (label == number) for label, p in found)
            squares = sum(p[number] ** 2 for _, p in found) + sum((label == number) ** 2 for label, _ in found)
            return 1 - 2 * both / squares

        total += mean_over_classes(found, loss_of)
    return total


def jaccard_formula(logits, target):
    """Rahman and Wang (ISVC 2016), class by class."""
    found = pixels(logits, target)

    def loss_of(number):
        both = sum(p[number] * (label == number) for label, p in found)
        either = sum(p[number] + (label == number) - p[number] * (label == number) for label, p in found)
        return 1 - both / either

    return mean_over_classes(found, loss_of)


def jaccard_of(wrong, of_class):
    """1 - IoU of a class with the pixels `of_class` where the pixels `wrong` are predicted wrongly."""
    return len(wrong) / len(of_class | wrong)


def lovasz_formula(logits, target):
    """Berman et al. (1705.08790): the extension by its definition, set by set, over the errors."""
    found = pixels(logits, target)

    def loss_of(number):
        of_class = {place for place, (label, _) in enumerate(found) if label == number}
        errors = [1 - p[number] if label == number else p[number] for label, p in found]
        total, wrong = 0.0, set()
        for place in sorted(range(len(found)), key=lambda place: -errors[place]):
            before = jaccard_of(wrong, of_class)
            wrong.add(place)
            total += errors[place] * (jaccard_of(wrong, of_class) - before)
        return total

    return mean_over_classes(found, loss_of)


LOSSES = {DiceLoss: dice_formula, JaccardLoss: jaccard_formula, LovaszSoftmaxLoss: lovasz_formula}
over_losses = pytest.mark.parametrize("cls", LOSSES)


@st.composite
def problems(draw):
    classes = draw(st.integers(2, 6))
    numbers = np.random.default_rng(draw(st.integers(0, 1000)))
    logits = numbers.normal(0, draw(st.sampled_from([0.1, 2.0])), (2, classes, 3, 4))
    target = numbers.integers(0, draw(st.integers(1, classes)), (2, 3, 4))  # some classes occur nowhere
    target[numbers.random(target.shape) < draw(st.sampled_from([0.0, 0.3, 0.9]))] = IGNORE_INDEX
    return logits, target


def value(cls, logits, target):
    return cls()(Prediction(logits=torch.as_tensor(logits)), None, torch.as_tensor(target), CALL)


@over_losses
def test_it_is_the_formula(cls):
    @settings(deadline=None)
    @given(problems())
    def holds(problem):
        assert value(cls, *problem).item() == pytest.approx(LOSSES[cls](*problem), rel=1e-11, abs=1e-14)

    holds()


def test_dice_counts_the_images_that_have_labels():
    target = torch.full((3, 2, 2), IGNORE_INDEX)
    target[1, 0, 0] = 0
    target[2] = 1
    assert DiceLoss().count(target) == 2


def sure(classes, predicted):
    """Logits so large that the probabilities are 0 and 1 to the bit."""
    return 1e4 * torch.nn.functional.one_hot(predicted, classes).movedim(-1, 1).double()


def scores(predicted, target, classes):
    """Give |A and B|, |A|, |B| of each class that the labels hold."""
    valid = target != IGNORE_INDEX
    for number in range(classes):
        a, b = (predicted == number) & valid, target == number
        if b.any():
            yield int((a & b).sum()), int(a.sum()), int(b.sum())


@pytest.mark.parametrize("seed", range(20))
def test_sure_predictions_give_what_is_counted(seed):
    """Where every probability is 0 or 1, the losses are 1 - IoU and 1 - Dice, means over the classes present."""
    numbers = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 4, (1, 5, 6), generator=numbers)
    predicted = torch.where(torch.rand(target.shape, generator=numbers) < 0.5, target, (target + 1) % 6)
    target[torch.rand(target.shape, generator=numbers) < 0.2] = IGNORE_INDEX
    found = list(scores(predicted, target, 6))
    jaccard = np.mean([1 - both / (a + b - both) for both, a, b in found])
    dice = np.mean([1 - 2 * both / (a + b) for both, a, b in found])
    logits = sure(6, predicted)
    assert value(JaccardLoss, logits, target).item() == pytest.approx(jaccard, rel=1e-14, abs=1e-15)
    assert value(LovaszSoftmaxLoss, logits, target).item() == pytest.approx(jaccard, rel=1e-13, abs=1e-15)
    assert value(DiceLoss, logits, target).item() == pytest.approx(dice, rel=1e-14, abs=1e-15)


@over_losses
def test_perfect_and_hopeless_predictions(cls):
    target = torch.tensor([[[0, 1], [2, IGNORE_INDEX]]])
    assert value(cls, sure(4, target.clamp(max=3)), target) == 0
    assert value(cls, sure(4, torch.full_like(target, 3)), target) == 1


@over_losses
def test_absent_classes_take_no_part(cls):
    target = torch.zeros(1, 2, 2, dtype=torch.int64)
    logits = torch.zeros(1, 2, 2, 2, dtype=torch.float64)
    wider = torch.cat([logits, torch.full((1, 7, 2, 2), -1e4, dtype=torch.float64)], dim=1)
    assert torch.allclose(value(cls, logits, target), value(cls, wider, target), rtol=1e-14)


def test_lovasz_in_float32_is_that_in_float64():
    """Its weights are differences of 1 - IoU: over many pixels they are smaller than a float32 can tell from 0."""
    numbers = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 512, 512, generator=numbers)
    target = torch.randint(0, 3, (1, 512, 512), generator=numbers)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        learner = logits.to(dtype, copy=True).requires_grad_()
        loss = value(LovaszSoftmaxLoss, learner, target)
        loss.backward()
        gradients.append((loss.item(), learner.grad.double()))
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-5)
    difference = (gradients[0][1] - gradients[1][1]).norm() / gradients[1][1].norm()
    assert difference < 1e-4
