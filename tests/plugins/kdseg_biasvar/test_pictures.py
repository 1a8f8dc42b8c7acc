"""What is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kdseg import IGNORE_INDEX, Example
from kdseg_biasvar.pictures import COLOURS, bar_chart

CAPTION = 22


def examples_of(draw, trials, sizes=((40, 60), (170, 500))):
    shown = []
    for number, size in enumerate(sizes):
        logits, target = draw(1, 4, *size, trials=trials, seed=number)
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        shown.append(Example(image=image, target=target[0].numpy(), id="", trials=logits))
    return shown


@pytest.mark.parametrize(("arms", "reference", "seeds"), [(1, False, 1), (2, False, 1), (2, True, 2)])
def test_each_example_has_a_sheet(accumulator, draw, arms, reference, seeds):
    """The first image as it is, enlarged; ignored pixels are grey in the maps; a large one is made smaller."""
    shown = examples_of(draw, reference + arms * 4)
    words = {"arms": arms, "reference": reference, "seeds": seeds, "images": 1, "resamples": 200}
    work = accumulator(4, 4, examples=lambda: iter(shown), **words)
    work.update(*draw(1, 4, 9, 9, trials=reference + arms * 4), range(1))
    pictures = work.compute().pictures
    assert set(pictures) == {"bias_variance_by_class", "bias_variance_map_1", "bias_variance_map_2"}
    assert all(picture.dtype == np.uint8 and picture.ndim == 3 for picture in pictures.values())
    factor, columns = 4, 5 if arms == 1 else 4
    sheet = pictures["bias_variance_map_1"]
    assert sheet.shape[1] == columns * (60 * factor + 4) - 4
    cell = sheet[CAPTION : CAPTION + 40 * factor : factor, : 60 * factor : factor]
    np.testing.assert_array_equal(cell, shown[0].image)
    left = (columns - 1) * (60 * factor + 4)
    variance = sheet[CAPTION : CAPTION + 40 * factor : factor, left : left + 60 * factor : factor]
    np.testing.assert_array_equal((variance == 128).all(-1), shown[0].target == IGNORE_INDEX)
    assert pictures["bias_variance_map_2"].shape[1] == columns * (480 + 4) - 4


def test_a_map_is_bright_where_trials_differ(accumulator):
    """They agree on the left half of the image, and err there; on the right they differ."""
    target = np.zeros((40, 60), dtype=np.uint8)
    trials = []
    for sign in (-1, 1, -1, 1):
        logits = torch.zeros(1, 2, 40, 60)
        logits[:, 1, :, :30] = 2
        logits[:, 1, :, 30:] = 2.0 * sign
        trials.append(logits)
    example = Example(image=np.zeros((40, 60, 3), np.uint8), target=target, id="", trials=trials)
    work = accumulator(2, 4, examples=lambda: [example], images=1)
    work.update(trials, torch.from_numpy(target)[None], [0])
    sheet = work.compute().pictures["bias_variance_map_1"].astype(int).sum(-1)
    step = 60 * 4 + 4
    bias, variance = (sheet[CAPTION : CAPTION + 160, column * step : column * step + 240] for column in (3, 4))
    assert bias[:, :110].min() > bias[:, 130:].max()
    assert variance[:, :110].max() < variance[:, 130:].min()


def test_bars_are_as_long_as_what_they_show():
    rows = {"all": {"nll": 1.0, "nll_bias": 0.25}, "none": {"nll": float("nan"), "nll_bias": float("nan")}}
    sheet = bar_chart("title", {"mine": rows, "theirs": {**rows, "all": {"nll": 0.5, "nll_bias": -0.1}}}, "nll")
    below = sheet[44 + 2 * 24 :]  # the legend has the same colours

    def width(colour):
        return (below == colour).all(-1).sum(1).max()

    (bias, variance), (other_bias, other_variance) = COLOURS
    assert width(bias) / width(variance) == pytest.approx(1 / 3, rel=0.05)
    assert width(other_variance) / (width(bias) + width(variance)) == pytest.approx(0.5, rel=0.05)
    assert width(other_bias) == 0


def test_without_images_there_is_the_chart_alone(found, draw):
    logits, target = draw(1, 4, 5, 5, trials=3)
    assert set(found(logits, target).pictures) == {"bias_variance_by_class"}
    assert set(found(logits, torch.full_like(target, IGNORE_INDEX)).pictures) == {"bias_variance_by_class"}
