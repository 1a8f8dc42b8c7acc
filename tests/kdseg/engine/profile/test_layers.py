"""Counts of layers, against sums by hand."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kdseg.components import BackboneContext
from kdseg.engine.profile.layers import count_layers, time_layers
from kdseg_unet.options import UNet


class Mixed(nn.Module):
    """A grouped convolution, a transposed one, a linear map of pixels, and a product that is no layer's."""

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict({"down": nn.Conv2d(3, 8, 3, stride=2, padding=1)})
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False)
        self.up = nn.ConvTranspose2d(8, 6, 2, 2)
        self.mix = nn.Linear(6, 5)

    def forward(self, images):
        x = self.up(self.grouped(self.parts["down"](images)))
        pixels = x.flatten(2).transpose(1, 2)
        attention = pixels[:, :10] @ pixels[:, :7].transpose(1, 2)
        return self.mix(x.movedim(1, 3)).movedim(3, 1) + attention.mean()


@settings(max_examples=20, deadline=None)
@given(batch=st.integers(1, 3), height=st.integers(16, 40), width=st.integers(16, 40))
def test_multiplications_and_memory_are_those_counted_by_hand(batch, height, width):
    rows = {row.name: row for row in count_layers(Mixed().eval(), batch, (height, width))}
    low, wide = -(-height // 2), -(-width // 2)
    assert rows["parts.down"].macs == batch * low * wide * 8 * 3 * 9
    assert rows["grouped"].macs == batch * low * wide * 8 * 2 * 9
    assert rows["up"].macs == batch * low * wide * 8 * 6 * 4
    assert rows["mix"].macs == batch * 4 * low * wide * 6 * 5
    assert rows[""].macs == batch * 10 * 7 * 6
    assert rows["parts.down"].output == (batch, 8, low, wide)
    assert rows["parts.down"].activation_bytes == 4 * batch * 8 * low * wide
    assert rows[""].activation_bytes == 0  # it is its last layer's, and something beside
    assert [row.name for row in count_layers(Mixed().eval(), 1, (16, 16))][:3] == ["parts.down", "grouped", "up"]
    assert {name: row.parameters for name, row in rows.items()} == {
        "parts.down": 8 * 3 * 9 + 8,
        "grouped": 8 * 2 * 9,
        "up": 8 * 6 * 4 + 6,
        "mix": 6 * 5 + 5,
        "": 0,
    }


def test_counting_a_unet_leaves_it_as_it_is_and_finds_each_layer_once():
    network = UNet(base=4, downsamplings=2).build(BackboneContext(in_channels=3, num_classes=5)).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    rows = count_layers(network, 1, (33, 47))
    assert sum(row.parameters for row in rows) == sum(weight.numel() for weight in network.parameters())
    assert {row.name for row in rows} == {
        name for name, module in network.named_modules() if not any(module.children())
    }
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_each_leaf_is_timed_and_its_hooks_are_gone_afterwards():
    network, told = Mixed().eval(), []
    rows = time_layers(
        network, torch.rand(1, 3, 32, 32), count_layers(network, 1, (32, 32)), rounds=3, on_round=lambda: told.append(1)
    )
    assert len(told) == 5
    assert {row.name: row.milliseconds is not None and row.milliseconds > 0 for row in rows} == {
        "parts.down": True,
        "grouped": True,
        "up": True,
        "mix": True,
        "": False,
    }
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
