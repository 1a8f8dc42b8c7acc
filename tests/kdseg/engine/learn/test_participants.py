"""Networks of others, as they come: layers that work in place, parts in eval mode."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kdseg.components import Backbone
from kdseg.engine.learn.participants import Participant
from kdseg.hooks import Hooks


class Plain(Backbone):
    """A component without stages of its own: any module is a tap."""

    name = "plain"


def test_a_tap_is_what_its_layer_gave_whatever_a_later_one_does_in_its_place():
    """And a loss at the tap and one behind it both reach the layers before, as gradients of a copy would not."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1)).double()
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    given = network[0](images)
    wanted = network[2](given.relu())
    one = Participant(name="one", spec=None, backbone=Plain(), module=network)
    one.watch(["0"])
    found = one.predict(images)
    assert torch.equal(found.taps["0"], given)
    assert torch.equal(found.taps["0"], one.features(images, ["0"])["0"])
    assert torch.equal(found.logits, wanted)
    weights = list(network.parameters())
    mine, theirs = (
        torch.autograd.grad(tap.square().sum() + logits.square().sum(), weights)
        for tap, logits in ((found.taps["0"], found.logits), (given, wanted))
    )
    for gradient, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-12, atol=0)


RECIPE = """
[models.student]
backbone = { use = "tiny", norm = "batch" }
[terms.labels]
learner = "student"
loss = "cross_entropy"
"""


class Modes(Hooks):
    """Notes who is in train mode at each step."""

    def __init__(self):
        self.found = []

    def on_gradients(self, run, learner):
        self.found.append({module.training for module in run.participants[learner].modules()})


@pytest.mark.parametrize("every", [2, 1000])
def test_a_learner_is_in_train_mode_in_all_its_parts_however_it_was_built(load, train, monkeypatch, every):
    """As a network from somebody's checkpoint is not, inside a wrapper that is."""
    component = type(load(RECIPE).recipe.models["student"].backbone)
    build = component.build

    def pretrained(self, ctx):
        network = build(self, ctx)
        network.encoder.eval()
        return network

    monkeypatch.setattr(component, "build", pretrained)
    modes = Modes()
    train(RECIPE, "train.steps=4", f"evaluate.every={every}", watcher=modes)
    assert modes.found == [{True}] * 4
