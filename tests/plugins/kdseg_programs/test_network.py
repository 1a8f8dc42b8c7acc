"""A program gives what the network gives that was written into it, for images of any size."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from kdseg.components import BackboneContext
from kdseg.errors import KdsegError

SORTS = {"exported": "pt2", "torchscript": "ts", "onnx": "onnx"}
FEW = BackboneContext(in_channels=3, num_classes=5)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
every_sort = pytest.mark.parametrize("sort", SORTS)


class Tail(nn.Module):
    """A network of few lines that does something with its scores at the end."""

    def __init__(self, tail):
        super().__init__()
        self.stem, self.tail = nn.Conv2d(3, 5, 3, padding=1, stride=2), tail

    def forward(self, images):
        return self.tail(self.stem(images))


def small(tail=lambda scores: scores):
    torch.manual_seed(0)
    return Tail(tail).eval()


def resized(scores, size):
    return F.interpolate(scores, size, mode="bilinear", align_corners=False)


@pytest.fixture
def opened_small(writer, opened, tmp_path):
    def opened_small(sort, network=None, *, shape=(2, 3, 64, 96), fixed=False, ctx=FEW, **options):
        file = writer.write_program(network or small(), tmp_path / f"small.{SORTS[sort]}", shape, fixed=fixed)
        return opened(sort, file, ctx, **options)

    return opened_small


@pytest.fixture
def module(written, opened, sort):
    return opened(sort, written.folder / f"teacher.{SORTS[sort]}")


@every_sort
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 3), height=st.integers(2, 5), width=st.integers(2, 5))
@torch.no_grad()
def test_a_trained_network_gives_the_same_logits(written, module, sort, count, height, width):
    images = torch.randn(count, 3, 32 * height, 32 * width)
    torch.testing.assert_close(module(images), written.network(images), rtol=1e-4, atol=1e-4)


@every_sort
@pytest.mark.parametrize("size", [(33, 45), (51, 77), (32, 32)])
@torch.no_grad()
def test_odd_sizes_come_back_at_the_images_size(opened_small, sort, size):
    images, network = torch.randn(3, 3, *size), small()
    torch.testing.assert_close(opened_small(sort)(images), resized(network(images), size), rtol=1e-4, atol=1e-5)


@every_sort
@torch.no_grad()
def test_a_program_of_one_size_sees_every_image_at_it(opened_small, sort):
    images, network = torch.randn(3, 3, 50, 70), small()
    module = opened_small(
        sort, fixed=True, shape=(2, 3, 64, 96), **({"size": (64, 96)} if sort == "torchscript" else {})
    )
    assert module.size == (64, 96)
    assert module.opened.batch == (None if sort == "torchscript" else 2)
    expected = resized(network(resized(images, (64, 96))), (50, 70))
    torch.testing.assert_close(module(images), expected, rtol=1e-4, atol=1e-5)


@every_sort
@torch.no_grad()
def test_size_shows_every_image_at_one(opened_small, sort):
    images, network = torch.randn(1, 3, 50, 70), small()
    expected = resized(network(resized(images, (40, 40))), (50, 70))
    torch.testing.assert_close(opened_small(sort, size=(40, 40))(images), expected, rtol=1e-4, atol=1e-5)


def normalised(rgb, mean=MEAN, std=STD):
    return (rgb - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


@every_sort
@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({}, normalised),
        ({"mean": (0.1, 0.2, 0.3)}, lambda rgb: normalised(rgb, mean=(0.1, 0.2, 0.3))),
        ({"images": "unit"}, lambda rgb: rgb),
        ({"images": "bytes", "bgr": True}, lambda rgb: 255 * rgb.flip(1)),
    ],
)
@torch.no_grad()
def test_it_sees_images_as_its_options_say(opened_small, sort, options, seen):
    rgb, network = torch.rand(2, 3, 64, 96), small()
    ctx = BackboneContext(in_channels=3, num_classes=5, mean=MEAN, std=STD)
    expected = resized(network(seen(rgb)), (64, 96))
    torch.testing.assert_close(opened_small(sort, ctx=ctx, **options)(normalised(rgb)), expected, rtol=1e-3, atol=1e-3)


class Bytes(nn.Module):
    """A network that takes bytes, and normalises inside."""

    def __init__(self):
        super().__init__()
        self.inner = small()

    def forward(self, images):
        return self.inner(images.float() / 255)


@pytest.mark.parametrize("sort", ["exported", "onnx"])
@torch.no_grad()
def test_a_program_of_bytes_is_given_bytes(opened, tmp_path, writer, sort):
    file = tmp_path / f"bytes.{SORTS[sort]}"
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    writer.write_program(Bytes(), file, images=images)
    with pytest.raises(KdsegError, match='takes uint8; say images = "bytes"'):
        opened(sort, file, FEW)
    ctx = BackboneContext(in_channels=3, num_classes=5, mean=(0, 0, 0), std=(1, 1, 1))
    expected = resized(Bytes()(images), (64, 96))
    torch.testing.assert_close(opened(sort, file, ctx, images="bytes")(images / 255), expected, rtol=1e-4, atol=1e-5)


@every_sort
@torch.no_grad()
def test_logits_are_made_of_probabilities(opened_small, sort):
    images, network = torch.randn(2, 3, 64, 96), small()
    module = opened_small(sort, small(lambda scores: scores.softmax(1)), scores="probabilities")
    expected = resized(network(images).softmax(1), (64, 96))
    torch.testing.assert_close(module(images).softmax(1), expected, rtol=1e-4, atol=1e-5)


@every_sort
@torch.no_grad()
def test_of_several_outputs_one_is_chosen(opened_small, sort):
    images, network = torch.randn(2, 3, 64, 96), small()
    pair = small(lambda scores: (scores.mean((2, 3)), scores * 2))
    expected = resized(network(images) * 2, (64, 96))
    torch.testing.assert_close(opened_small(sort, pair, output="1")(images), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(KdsegError, match=r"gives .* \(2×5\), .* \(2×5×32×48\); say output = "):
        opened_small(sort, pair)(images)
    with pytest.raises(KdsegError, match="has no output '7'; it gives"):
        opened_small(sort, pair, output="7")(images)
    with pytest.raises(KdsegError, match="gives 2×5; scores N×C×h×w of each class are needed"):
        opened_small(sort, pair, output="0")(images)


@pytest.mark.parametrize("sort", ["exported", "torchscript"])
@torch.no_grad()
def test_outputs_by_name_are_known_by_the_usual_ones(opened_small, sort):
    images, network = torch.randn(2, 3, 64, 96), small()
    module = opened_small(sort, small(lambda scores: {"aux": scores * 3, "out": scores}))
    torch.testing.assert_close(module(images), resized(network(images), (64, 96)), rtol=1e-4, atol=1e-5)


@every_sort
def test_what_no_loss_could_compare_is_refused(opened_small, sort):
    images = torch.randn(2, 3, 64, 96)
    with pytest.raises(KdsegError, match=r"of integers; scores .* names each pixel's class teaches nothing more"):
        opened_small(sort, small(lambda scores: scores.argmax(1)))(images)
    with pytest.raises(KdsegError, match=r"gives scores of 5 classes; 19 are needed. `class_map`"):
        opened_small(sort, ctx=BackboneContext(in_channels=3, num_classes=19))(images)


@every_sort
def test_on_the_meta_device_it_tells_its_shapes_by_running(opened_small, sort):
    module = opened_small(sort, meta=True)
    logits = module(torch.empty(4, 3, 48, 64, device="meta"))
    assert logits.is_meta
    assert logits.shape == (4, 5, 48, 64)


@every_sort
@torch.no_grad()
def test_modes_compilation_and_copies_change_nothing(written, opened, sort):
    images = torch.randn(2, 3, 64, 96)
    module = opened(sort, written.folder / f"teacher.{SORTS[sort]}")
    before = module(images)
    module.compile()
    assert torch.equal(module.train()(images), before)
    assert torch.equal(copy.deepcopy(module)(images), before)
    assert module.training


def test_an_exported_networks_modules_are_taps_by_their_paths(written, opened):
    from kdseg_programs import Exported

    module = opened("exported", written.folder / "teacher.pt2")
    ours, theirs = Exported().taps(module), dict(written.network.named_modules())
    seen = {}
    for which, stages in (("ours", ours), ("theirs", theirs)):
        stages["encoder.1"].register_forward_hook(lambda _m, _i, output, which=which: seen.update({which: output}))
    images = torch.randn(2, 3, 64, 96)
    module(images)
    written.network(images)
    torch.testing.assert_close(seen["ours"], seen["theirs"])


def test_one_that_takes_batches_of_one_size_alone_offers_no_taps(opened_small):
    from kdseg_programs import Exported

    assert Exported().taps(opened_small("exported", fixed=True)) == {}
    assert "stem" in Exported().taps(opened_small("exported"))


def test_an_exported_network_refuses_sizes_for_which_it_was_not_traced(written, opened):
    module = opened("exported", written.folder / "teacher.pt2")
    with pytest.raises(KdsegError, match=r"does not take 1 images of 51x77: Guard failed.*size = \[height, width\]"):
        module(torch.randn(1, 3, 51, 77))


@torch.no_grad()
def test_a_network_that_takes_its_images_by_keyword_is_given_them_so(opened, tmp_path):
    network, images = small(), torch.randn(2, 3, 64, 96)
    torch.export.save(torch.export.export(network, (), {"images": images}), tmp_path / "named.pt2")
    module = opened("exported", tmp_path / "named.pt2", FEW)
    torch.testing.assert_close(module(images), resized(network(images), (64, 96)))
