"""The sentences claim what the intervals show, and no more."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from kdseg_biasvar.words import Reading

NAN = math.nan


def reading(value, images, trials):
    return Reading(
        {
            "value": value,
            "images_low": images[0],
            "images_high": images[1],
            "trials_low": trials[0],
            "trials_high": trials[1],
        }
    )


APART = "The variance differs by -0.2"
HELD = f"{APART}, which cannot be told from 0: "


@pytest.mark.parametrize(
    ("value", "images", "trials", "told"),
    [
        (
            -0.2, (-0.3, -0.1), (-0.4, -0.05),
            "The variance fell by 0.2: -0.3 to -0.1 over images and -0.4 to -0.05 over trials, and both exclude 0.",
        ),
        (
            0.2, (0.1, 0.3), (0.05, 0.4),
            "The variance rose by 0.2: +0.1 to +0.3 over images and +0.05 to +0.4 over trials, and both exclude 0.",
        ),
        (
            -0.2, (-0.3, -0.1), (-0.5, 0.1),
            f"{HELD}-0.3 to -0.1 over images and -0.5 to +0.1 over trials; the interval over trials holds 0.",
        ),
        (
            -0.2, (-0.5, 0.1), (-0.3, -0.1),
            f"{HELD}-0.5 to +0.1 over images and -0.3 to -0.1 over trials; the interval over images holds 0.",
        ),
        (
            -0.2, (-0.5, 0.1), (-0.5, 0.1),
            f"{HELD}-0.5 to +0.1 over images and -0.5 to +0.1 over trials; both intervals hold 0.",
        ),
        (
            -0.2, (-0.3, -0.1), (NAN, NAN),
            f"{APART} (-0.3 to -0.1 over images); nothing is claimed without an interval over trials.",
        ),
        (
            -0.2, (NAN, NAN), (NAN, NAN),
            f"{APART}; nothing is claimed without an interval over images and over trials.",
        ),
        (NAN, (NAN, NAN), (NAN, NAN), "Nothing was counted of the variance."),
        (
            0.0, (0.0, 0.0), (0.0, 0.0),
            f"{HELD.replace('-0.2', '+0')}+0 to +0 over images and +0 to +0 over trials; both intervals hold 0.",
        ),
    ],
)  # fmt: skip
def test_a_difference_is_told_as_its_intervals_show(value, images, trials, told):
    assert reading(value, images, trials).sentence("variance") == told


def pair(rng, trials, shift, noise):
    """Give two arms that differ by `shift` in their bias and by `noise` in their spread; pixels of two classes."""
    both = rng.normal(size=(trials, 12, 1))
    arms = []
    for move, spread in ((0.0, 1.0), (shift, noise)):
        own = rng.normal(size=(trials, 12, 40))
        difference = 1.0 + np.linspace(-0.5, 0.5, 12)[:, None] + move + spread * (0.1 * both + own)
        arms += [torch.from_numpy(np.stack([one, -one], 1) / 2)[:, :, None] for one in difference]
    target = torch.zeros(12, 1, 40, dtype=torch.uint8)
    target[:, :, 30:] = 1
    return arms, target


def test_what_fell_and_rose_is_named_with_the_classes(found):
    """The second arm is surer of the first class: there its bias is less, and more where the other class is right."""
    logits, target = pair(np.random.default_rng(0), 5, shift=1.0, noise=0.3)
    notes = found(logits, target, arms=2).notes
    variance = next(note for note in notes if "nll_variance)" in note and note.startswith("The variance"))
    assert variance.startswith("The variance (negative log-likelihood, nats a pixel, nll_variance) fell by")
    assert variance.endswith("and both exclude 0.")
    bias = next(note for note in notes if note.startswith("By class") and "bias" in note)
    assert "fell for class-0 and rose for class-1, of 2" in bias


def test_arms_that_are_alike_are_not_said_to_differ(found):
    logits, target = pair(np.random.default_rng(1), 4, shift=0.0, noise=1.0)
    notes = found([*logits[:4], *logits[:4]], target, arms=2).notes
    assert not any(" fell " in note or " rose " in note for note in notes)
    assert sum("cannot be told from 0" in note for note in notes) >= 6


def test_the_notes_name_the_arms_and_say_which_way_the_difference_goes(found, draw):
    logits, target = draw(2, 3, 5, 6, trials=7)
    notes = found(logits, target, arms=2, reference=True, neighbours=2).notes
    assert notes[0] == "arm-0: 3 trials. The trials of arm 0."
    assert notes[1] == "arm-1: 3 trials. The trials of arm 1."
    assert any("The reference is a teacher" in note for note in notes)
    assert any("Differences are arm-1 minus arm-0" in note for note in notes)
    assert any("blocks of 2 consecutive images" in note for note in notes)


def test_one_arm_says_nothing_of_differences(found, draw):
    logits, target = draw(2, 3, 5, 6, trials=4)
    notes = found(logits, target, seeds=2).notes
    assert "2 training sets with 2 trainings on each" in notes[0]
    assert not any("differ" in note for note in notes[1:])
