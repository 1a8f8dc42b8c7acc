"""Narrow UNets made of wide ones: what was dropped had said nothing, so both say the same."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kdseg import BackboneContext, KdsegError
from kdseg_unet import UNet1M
from kdseg_unet.options import UNet

CTX = BackboneContext(in_channels=3, num_classes=5)
SHAPES = st.fixed_dictionaries(
    {
        "downsamplings": st.integers(1, 3),
        "block": st.sampled_from(["plain", "depthwise"]),
        "stem_stride": st.sampled_from([1, 2, 4]),
        "upsampling": st.sampled_from(["transposed", "bilinear"]),
    }
)


def settled(network, seed):
    """Give running statistics and affine weights that are no identity."""
    numbers = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=numbers) * 0.3)
            module.running_var.copy_(torch.rand(module.num_features, generator=numbers) + 0.5)
            module.weight.data.copy_(torch.rand(module.num_features, generator=numbers) + 0.5)
            module.bias.data.copy_(torch.randn(module.num_features, generator=numbers) * 0.3)
    return network.eval()


@torch.no_grad()
def silence(wide, narrow, seed):
    """Let so many channels of each convolution say nothing that as many are left as `narrow` has."""
    numbers = torch.Generator().manual_seed(seed)
    widths = {name: tensor.shape[0] for name, tensor in narrow.state_dict().items() if name.endswith("bias")}
    for name, layer in wide.named_modules():
        normal = isinstance(layer, nn.BatchNorm2d)
        if not normal and not name.endswith((".up", ".up.0")):
            continue
        bias = getattr(layer, "bias", None)
        if bias is None:  # a sequence, whose convolution comes by itself
            continue
        silent = torch.randperm(len(bias), generator=numbers)[: len(bias) - widths[f"{name}.bias"]]
        bias[silent] = 0.0
        if isinstance(layer, nn.ConvTranspose2d):
            layer.weight[:, silent] = 0.0
        else:
            layer.weight[silent] = 0.0


@settings(max_examples=25, deadline=None)
@given(shape=SHAPES, seed=st.integers(0, 1000), height=st.integers(32, 50), width=st.integers(32, 50))
def test_without_channels_that_say_nothing_a_network_says_the_same(shape, seed, height, width):
    torch.manual_seed(seed)
    wide, narrow = settled(UNet(base=6, **shape).build(CTX), seed), UNet(base=4, **shape).build(CTX).eval()
    if shape["block"] == "plain":
        silence(wide, narrow, seed)
        UNet(base=4, **shape).prune(wide, narrow)
        images = torch.rand(1, 3, height, width)
        with torch.no_grad():
            torch.testing.assert_close(narrow(images), wide(images), rtol=1e-4, atol=1e-4)
    else:  # which channels a depthwise convolution has is the one's before it
        UNet(base=4, **shape).prune(wide, narrow)
        for name, tensor in narrow.state_dict().items():
            assert tensor.numel() == 1 or torch.isin(tensor, wide.state_dict()[name]).all(), name


def test_the_largest_filters_are_kept():
    torch.manual_seed(0)
    wide, narrow = settled(UNet(base=6, downsamplings=1).build(CTX), 0), UNet(base=4, downsamplings=1).build(CTX)
    UNet(base=4, downsamplings=1).prune(wide, narrow)
    first, norm = wide.encoder["1"][0], wide.encoder["1"][1]
    importance = first.weight.detach().abs().sum((1, 2, 3)) * norm.weight.detach().abs()
    kept = sorted(importance.argsort(descending=True)[:4].tolist())
    assert torch.equal(narrow.encoder["1"][0].weight, first.weight[kept])
    assert torch.equal(narrow.encoder["1"][1].running_var, norm.running_var[kept])
    second = wide.encoder["1"][3].weight
    assert torch.isin(narrow.encoder["1"][3].weight[0], second[:, kept]).all()


def test_the_same_width_is_the_same_network():
    torch.manual_seed(0)
    wide, narrow = settled(UNet1M(base=4).build(CTX), 0), UNet1M(base=4).build(CTX)
    UNet1M(base=4).prune(wide, narrow)
    assert all(torch.equal(tensor, wide.state_dict()[name]) for name, tensor in narrow.state_dict().items())


@pytest.mark.parametrize(
    ("wide", "narrow", "told"),
    [
        (UNet(base=8, downsamplings=2), UNet(base=4, downsamplings=3), "differs in more than its width"),
        (UNet(base=4, downsamplings=2), UNet(base=8, downsamplings=2), "this network must not be the wider one"),
        (UNet(base=8, stem_stride=2), UNet(base=4, stem_stride=4), "its kernel is"),
        (UNet(base=8), UNet(base=4, norm="group"), "differs in more than its width"),
        (UNet(base=8), UNet(base=4, activation="silu", dropout=0.1), r"activation is another one \(ReLU, SiLU\)"),
    ],
)
def test_what_cannot_be_made_of_the_other_is_refused_by_shapes_alone(wide, narrow, told):
    with torch.device("meta"):
        networks = wide.build(CTX), narrow.build(CTX)
    with pytest.raises(KdsegError, match=told):
        narrow.prune(*networks)
