"""Windows, scales and mirrored views, against loops in float64 written as the words say."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.engine.models.whole_image import AT_ONCE, WholeImage, window_starts
from kdseg.errors import KdsegError

CLASSES = 4


class Network(torch.nn.Module):
    """Sees pixels beside each other, and the border of what it is given."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.conv = torch.nn.Conv2d(3, CLASSES, 5, padding=2)
        self.seen = []

    def forward(self, images):
        self.seen.append(tuple(images.shape))
        return 3 * self.conv(images)


def noise(number, height, width, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((number, 3, height, width)).astype(np.float32))


def logits64(image):
    """The network in float64, on one image 3×H×W."""
    return Network().double()(torch.as_tensor(image)[None].double())[0].detach().numpy()


def slid64(image, window, overlap):
    """The mean over windows, pixel by pixel of each window, in float64."""
    _, height, width = image.shape
    total, count = np.zeros((CLASSES, height, width)), np.zeros((height, width))
    high, wide = min(window[0], height), min(window[1], width)
    strides = max(1, int(high * (1 - overlap))), max(1, int(wide * (1 - overlap)))
    top, tops = 0, []
    while top + high < height:
        tops.append(top)
        top += strides[0]
    left, lefts = 0, []
    while left + wide < width:
        lefts.append(left)
        left += strides[1]
    for top in [*tops, height - high]:
        for left in [*lefts, width - wide]:
            total[:, top : top + high, left : left + wide] += logits64(image[:, top : top + high, left : left + wide])
            count[top : top + high, left : left + wide] += 1
    return total / count


def resized64(image, height, width):
    """Bilinear by its formula: between the centres of pixels, the border repeated."""
    _, old_height, old_width = image.shape

    def weights(new, old):
        places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, None)
        low = np.floor(places).astype(int)
        matrix = np.zeros((new, old))
        for row, (place, first) in enumerate(zip(places, low, strict=True)):
            matrix[row, min(first, old - 1)] += 1 - (place - first)
            matrix[row, min(first + 1, old - 1)] += place - first
        return matrix

    return np.einsum("ya,cab,xb->cyx", weights(height, old_height), np.asarray(image, float), weights(width, old_width))


def softmax64(logits):
    exponentials = np.exp(logits - logits.max(0))
    return exponentials / exponentials.sum(0)


@settings(max_examples=200)
@given(st.integers(1, 400), st.integers(1, 400), st.floats(0, 0.99))
def test_windows_reach_every_pixel_and_overlap_as_said(size, window, overlap):
    window = min(window, size)
    starts = window_starts(size, window, overlap)
    assert starts[0] == 0
    assert starts[-1] == size - window
    assert sorted(set(starts)) == starts
    steps = np.diff(starts)
    assert all(step <= max(1, window * (1 - overlap)) for step in steps)
    assert len(set(steps[:-1].tolist())) <= 1  # the last one alone is shifted


@settings(max_examples=25)
@given(
    st.integers(32, 90), st.integers(32, 90), st.integers(32, 70), st.integers(32, 70), st.floats(0, 0.8),
    st.integers(1, 2), st.integers(1, 5),
)  # fmt: skip
def test_windows_give_the_mean_of_the_logits_that_see_a_pixel(height, width, high, wide, overlap, number, at_once):
    images, network = noise(number, height, width), Network()
    whole = WholeImage(window=(high, wide), overlap=overlap, batch_size=at_once)
    found = whole.logits(network, images)
    for image, logits in zip(images, found, strict=True):
        np.testing.assert_allclose(logits, slid64(image, (high, wide), overlap), rtol=0, atol=2e-4)
    if high < height or wide < width:
        assert max(shape[0] for shape in network.seen) <= at_once
        assert {shape[2:] for shape in network.seen} == {(min(high, height), min(wide, width))}


@settings(max_examples=10)
@given(st.integers(32, 60), st.integers(32, 60), st.integers(1, 3))
def test_one_window_over_the_image_is_the_plain_forward_to_the_bit(height, width, number):
    images, network = noise(number, height, width), Network()
    plain = network(images)
    for whole in (AT_ONCE, WholeImage(window=(60, 64)), WholeImage(window=(height, width), overlap=0.5)):
        assert torch.equal(whole.logits(network, images), plain)
        assert torch.equal(whole.classes(network, images), plain.argmax(1).to(torch.uint8))


@pytest.mark.parametrize("window", [None, (32, 40)])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), (0.7,), (0.75, 1.0, 1.3), (1.0, 1.0)])
def test_views_give_the_mean_of_their_probabilities(scales, flip, window):
    """An image of odd size, so that no scale divides it."""
    height, width = 53, 67
    images = noise(2, height, width)
    found = WholeImage(window=window, overlap=0.25, scales=scales, flip=flip, batch_size=3).logits(Network(), images)
    for image, logits in zip(images, found, strict=True):
        views = []
        for scale in scales:
            seen = resized64(image, round(height * scale), round(width * scale))
            for mirrored in (False, True)[: 1 + flip]:
                given = np.ascontiguousarray(seen[:, :, ::-1] if mirrored else seen)
                gave = logits64(given) if window is None else slid64(given, window, 0.25)
                views.append(resized64(gave[:, :, ::-1] if mirrored else gave, height, width))
        wanted = views[0] if len(views) == 1 else np.log(np.mean([softmax64(view) for view in views], axis=0))
        np.testing.assert_allclose(logits, wanted, rtol=0, atol=5e-4)


def test_classes_are_those_of_the_logits_and_images_come_one_by_one():
    network, images = Network(), noise(3, 40, 70)
    whole = WholeImage(window=(32, 32), scales=(1.0, 1.5), flip=True, batch_size=4)
    found = whole.classes(network, images)
    assert found.dtype == torch.uint8
    assert torch.equal(found, torch.cat([whole.logits(network, image[None]).argmax(1) for image in images]))


def test_probabilities_that_vanish_stay_numbers():
    whole = WholeImage(flip=True)
    logits = whole.logits(lambda images: 1e4 * images.clone(), noise(1, 32, 32))
    assert torch.isfinite(logits).all()


def test_a_network_in_half_precision_is_averaged_in_float32():
    network = Network()
    whole = WholeImage(window=(32, 32), overlap=0.5)
    found = whole.logits(lambda images: network(images).bfloat16(), noise(1, 64, 64))
    assert found.dtype == torch.float32


def test_a_scale_that_makes_an_image_too_small_is_told():
    told = "at scale 0.25 an image of 100x200 is 25x50; networks take images of 32x32 or more"
    with pytest.raises(KdsegError, match=told):
        WholeImage(scales=(1.0, 0.25)).logits(Network(), noise(1, 100, 200))


CHILD = """
import resource, torch
from kdseg.engine.models.whole_image import WholeImage
def network(images):  # its inner layer alone takes three times the logits
    return torch.nn.functional.conv2d(images.repeat_interleave({wide}, 1), weight)
weight = torch.ones(19, 3 * {wide}, 1, 1)
whole = WholeImage(window=(256, 512), {views})
WholeImage(window=(256, 512), {views}).classes(network, torch.ones(1, 3, 256, 700))  # what the library itself takes
images = torch.ones(1, 3, 1024, 2048)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
whole.classes(network, images)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(
    ("views", "sums"),
    [("", 1), ("scales=(0.5, 1.0)", 2.25)],
)
def test_a_whole_image_takes_the_memory_that_is_told(views, sums):
    """So many times C×H×W float32, and beside it what is as large as an image: counts, maxima, their indices."""
    one = 19 * 1024 * 2048 * 4
    source = CHILD.format(wide=20, views=views)
    run = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert int(run.stdout) * 1024 < sums * one + 0.6 * one
