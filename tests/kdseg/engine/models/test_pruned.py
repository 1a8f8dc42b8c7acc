"""Participants that begin as the part of a wider network that matters most."""

from __future__ import annotations

import pytest
import torch

import kdseg
from kdseg.components import BackboneContext
from kdseg.errors import KdsegError
from kdseg.hooks import Hooks
from kdseg_unet.options import UNet

WIDE = """
[models.student]
backbone = { use = "unet", base = 6, downsamplings = 2 }
[terms.labels]
learner = "student"
loss = "cross_entropy"
[train]
steps = 4
"""
NARROW = """
[models.teacher]
frozen = true
backbone = { use = "unet", base = 6, downsamplings = 2 }
weights = { recipe = "wide.toml", model = "student" }
[models.student]
backbone = { use = "unet", base = 4, downsamplings = 2 }
weights = { recipe = "wide.toml", prune = true }
[terms.mimic]
learner = "student"
source = "teacher"
loss = "pixel_kl"
[train]
steps = 4
"""

UNET = '{ use = "unet", base = '
OWN = """
from typing import ClassVar

from attrs import frozen

from kdseg import hookimpl
from kdseg_unet import UNet1M
from kdseg_unet.options import UNet


@frozen(kw_only=True)
class Own(UNet1M):
    \"\"\"A UNet.\"\"\"

    name: ClassVar[str] = "own"

    def build(self, ctx):
        return UNet(base=self.base, downsamplings=2).build(ctx)


@hookimpl
def kdseg_backbones():
    return [Own]
"""


class Begin(Hooks):
    """Keeps the student as it begins."""

    def on_run_start(self, run):
        if run.step == 0:
            network = run.participants["student"]
            self.weights = {name: value.clone() for name, value in network.state_dict().items()}


@pytest.fixture
def wide(load):
    return load(WIDE, name="wide")


def test_a_student_begins_with_the_wider_ones_best_channels_and_learns_on(train, wide, weights, assert_same):
    begin = Begin()
    run = train(NARROW, watcher=begin)
    (trained,) = (run.folder.parents[1] / "wide").glob("2*")
    ours = UNet(base=4, downsamplings=2)
    wanted = ours.build(BackboneContext(in_channels=3, num_classes=3))
    ours.prune(kdseg.load(trained).network, wanted)
    assert_same(begin.weights, dict(wanted.state_dict()))
    assert not torch.equal(weights(run, "student")["head.weight"], begin.weights["head.weight"])
    # The saved recipe names run and file; running it again gives the same student.
    again = train("", extends=str(run.folder / "recipe.toml"), name="again")
    assert_same(weights(again, "student"), weights(run, "student"))


def test_a_wider_network_may_be_built_by_a_plugin_file_that_the_recipe_names(train, load, folder):
    (folder / "own.py").write_text(OWN, encoding="utf-8")
    own = '{ use = "own", base = '
    plugins = 'plugins = ["own.py", "parts.py", "part_losses.py"]\n'
    load(plugins + WIDE.replace(UNET, own).replace(", downsamplings = 2", ""), name="wide")
    narrow = NARROW[NARROW.index("[models.student]") :].partition("[terms")[0].replace(UNET, own)
    labels = WIDE[WIDE.index("[terms") :]
    run = train(plugins + narrow.replace(", downsamplings = 2", "") + labels)
    assert (run.folder / "models/student/best.safetensors").exists()


def test_what_cannot_be_made_of_the_other_is_told_before_training(train, wide):
    with pytest.raises(KdsegError, match=r"models.student.weights.*: prune: .*differs in more than its width"):
        train(NARROW.replace("base = 4, downsamplings = 2", "base = 4, downsamplings = 3"))
    with pytest.raises(KdsegError, match=r"prune: 'tiny' cannot be made of the channels of a wider network"):
        train(NARROW.replace('{ use = "unet", base = 4, downsamplings = 2 }', '"tiny"'))
