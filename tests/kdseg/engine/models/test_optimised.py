"""A network made fast says what it said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import kdseg
from kdseg.components import BackboneContext
from kdseg.engine.models.optimised import fold_batch_norms
from kdseg_unet.options import UNet

RECIPE = """
[models.student]
backbone = { use = "unet", base = 4, downsamplings = 2, norm = "batch" }
[terms.labels]
learner = "student"
loss = "cross_entropy"
[train]
steps = 60
[evaluate]
every = 60
unit = "step"
"""


def settled(network):
    """Give running statistics and affine weights that are no identity."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) * 0.3)
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
            module.weight.data.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
            module.bias.data.copy_(torch.randn(module.num_features, generator=generator) * 0.3)
    return network.eval()


FAMILY = st.builds(
    UNet,
    base=st.sampled_from([4, 6]),
    downsamplings=st.integers(1, 3),
    block=st.sampled_from(["plain", "depthwise"]),
    stem_stride=st.sampled_from([1, 2, 4]),
    upsampling=st.sampled_from(["transposed", "bilinear"]),
    norm=st.sampled_from(["batch", "group"]),
)


@settings(max_examples=25, deadline=None)
@given(options=FAMILY, height=st.integers(32, 70), width=st.integers(32, 70))
def test_any_unet_says_the_same_without_its_batch_norms(options, height, width):
    torch.manual_seed(0)
    network = settled(options.build(BackboneContext(in_channels=3, num_classes=5)))
    images = torch.rand(1, 3, height, width)
    with torch.no_grad():
        wanted = network(images)
        norms = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        assert fold_batch_norms(network) == norms
        assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        torch.testing.assert_close(network(images), wanted, rtol=1e-4, atol=1e-4)


class Particular(nn.Module):
    """Calls the parts of a sequence by themselves, with something between them."""

    def __init__(self):
        super().__init__()
        self.parts = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))

    def forward(self, images):
        return self.parts[1](self.parts[0](images).relu())


def test_a_network_that_would_say_something_else_is_left_as_it_is():
    network, images = settled(Particular()), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        wanted = network(images)
        assert fold_batch_norms(network) == 0
        assert torch.equal(network(images), wanted)


def test_a_norm_without_running_statistics_is_left_as_it_is():
    parts = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    network = nn.Sequential(*parts, nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)).eval()
    with torch.no_grad():
        assert fold_batch_norms(network) == 1
    assert network[1] is parts[1]


@pytest.mark.parametrize(("options", "share"), [({}, 0.9999), ({"precision": "bf16"}, 0.99)])
def test_the_classes_of_a_trained_network_stay(train, options, share):
    run = train(RECIPE).folder
    plain, fast = kdseg.load(run), kdseg.load(run, optimize=True, **options)
    numbers = np.random.default_rng(0)
    coarse = numbers.integers(0, 256, (6, 9, 13, 3), dtype=np.uint8)
    images = coarse.repeat(8, 1).repeat(8, 2)[:, :67, :99]  # no multiple of anything
    wanted, found = plain.predict(images), fast.predict(images)
    assert found.dtype == np.uint8
    assert found.shape == wanted.shape
    assert (found == wanted).mean() >= share
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    logits = fast(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
    assert logits.shape == (6, 3, 67, 99)


@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"compile": True}])
def test_what_belongs_to_optimize_is_refused_without_it(train, options):
    with pytest.raises(ValueError, match="only with optimize=True"):
        kdseg.load(train(RECIPE, "train.steps=1").folder, **options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"optimize": True, "precision": "fp16"}, "precision: must be 'fp32' or 'bf16'; found 'fp16'"),
        ({"precision": "int8"}, "precision: must be 'fp32' or 'bf16'; found 'int8'"),
        ({"which": "newest"}, "which: must be 'best' or 'last'; found 'newest'"),
    ],
)
def test_a_word_that_is_not_known_is_refused_with_those_that_are(tmp_path, options, told):
    with pytest.raises(ValueError, match=told):
        kdseg.load(tmp_path, **options)
