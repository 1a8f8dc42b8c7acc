"""Pictures show exactly the classes' colours, and what was written is read back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kdseg.data.image_files import read_rgb
from kdseg.data.pictures import CAPTION, GAP, colour_mask, comparison, grid, overlay, write_image
from kdseg.data.samples import Sample
from kdseg.errors import KdsegError

COLOURS = ((128, 64, 128), (244, 35, 232), (70, 70, 70))
masks = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 2, 255]))


@given(masks)
def test_each_pixel_has_its_classs_colour_and_ignored_ones_are_black(mask):
    found = colour_mask(mask, COLOURS)
    for index, value in np.ndenumerate(mask):
        assert tuple(found[index]) == ((0, 0, 0) if value == 255 else COLOURS[value])


@given(masks, st.integers(0, 2**31))
def test_an_overlay_is_half_colour_half_image_but_where_ignored(mask, seed):
    image = np.random.default_rng(seed).integers(0, 256, (*mask.shape, 3), dtype=np.uint8)
    found = overlay(image, mask, COLOURS)
    half = (image.astype(float) + colour_mask(mask, COLOURS)) / 2
    ignored = mask == 255
    assert np.array_equal(found[ignored], image[ignored])
    assert np.abs(found[~ignored] - half[~ignored]).max(initial=0) <= 0.5


def test_a_grid_sets_pictures_in_rows_enlarged_to_whole_pixels():
    red, green = (np.full((50, 40, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 255, 0)))
    sheet = grid([[red, green], [green, red]], ["one", "two"])
    height, width = 200, 160  # four times 50 is the first multiple of at least 160
    assert sheet.shape == (CAPTION + 2 * (height + GAP), 2 * width + GAP, 3)
    assert (sheet[CAPTION : CAPTION + height, :width] == (255, 0, 0)).all()
    assert (sheet[CAPTION : CAPTION + height, width + GAP :] == (0, 255, 0)).all()
    assert (sheet[CAPTION + height + GAP : CAPTION + 2 * height + GAP, width + GAP :] == (255, 0, 0)).all()
    assert (sheet[:CAPTION] != 255).any()  # there are words


def test_pictures_of_several_shapes_keep_their_proportions():
    wide, square = np.zeros((100, 300, 3), np.uint8), np.zeros((50, 50, 3), np.uint8)
    sheet = grid([[wide], [square]], [""])
    height, width = 200, 600
    assert sheet.shape[:2] == (CAPTION + 2 * (height + GAP), width)
    second = CAPTION + height + GAP
    assert (sheet[CAPTION : CAPTION + height] == 0).all()
    assert (sheet[second : second + height, :200] == 0).all()
    assert (sheet[second : second + height, 200:] == 255).all()


def test_a_comparison_of_large_images_can_be_shown():
    mask = np.zeros((1024, 2048), np.uint8)
    samples = [Sample(image=np.zeros((1024, 2048, 3), np.uint8), mask=mask, id=name) for name in "abcd"]
    sheet = comparison(samples, {"teacher": [mask] * 4, "student": [mask] * 4}, COLOURS)
    assert sheet.shape == (CAPTION + 4 * (240 + GAP), 4 * (480 + GAP) - GAP, 3)


def test_a_comparison_shows_image_truth_and_predictions(tmp_path):
    image = np.full((160, 80, 3), 9, np.uint8)
    truth, guess = (np.full((160, 80), label, np.uint8) for label in (1, 2))
    samples = [Sample(image=image, mask=truth, id="a"), Sample(image=image, mask=None, id="unlabelled")]
    sheet = comparison(samples, {"student": [guess, truth]}, COLOURS)
    second = CAPTION + 160 + GAP
    columns = [0, 80 + GAP, 2 * (80 + GAP)]
    assert [tuple(sheet[CAPTION, column]) for column in columns] == [(9, 9, 9), COLOURS[1], COLOURS[2]]
    assert [tuple(sheet[second, column]) for column in columns] == [(9, 9, 9), (0, 0, 0), COLOURS[1]]


def test_pictures_and_masks_come_back_as_they_were_written(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    write_image(tmp_path / "image.png", image)
    assert np.array_equal(read_rgb(tmp_path / "image.png", upright=False), image)
    assert tuple(cv2.imread(str(tmp_path / "image.png"))[0, 0]) == tuple(image[0, 0, ::-1])  # truly RGB on the disk
    mask = image[..., 0]
    write_image(tmp_path / "mask.png", mask)
    assert np.array_equal(cv2.imread(str(tmp_path / "mask.png"), cv2.IMREAD_UNCHANGED), mask)


def test_a_picture_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(KdsegError, match="cannot be written: No such file or directory"):
        write_image(tmp_path / "missing" / "image.png", np.zeros((2, 2), np.uint8))
