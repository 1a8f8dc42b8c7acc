"""A backbone that runs a file is given the file that the recipe means, and is no learner's."""

from __future__ import annotations

from typing import ClassVar

import pytest
from attrs import frozen
from torch import nn

from kdseg.components import Backbone
from kdseg.engine.folders.files import sha256
from kdseg.engine.learn.build import tap_shapes
from kdseg.engine.learn.participants import Participant
from kdseg.engine.models.programs import open_program
from kdseg.errors import KdsegError
from kdseg.recipe.load import load_recipe
from kdseg.recipe.schema import Learner, Weights


@frozen(kw_only=True)
class Runs(Backbone):
    """A program that is only noted."""

    name: ClassVar[str] = "runs"
    program: ClassVar[bool] = True

    def build(self, ctx):
        return nn.Identity()

    def open(self, module, file):
        module.file = file


PLUGIN = '''
from typing import ClassVar
from attrs import frozen
from kdseg import Backbone, hookimpl

@frozen(kw_only=True)
class Runs(Backbone):
    """A program."""
    name: ClassVar[str] = "runs"
    program: ClassVar[bool] = True
    def build(self, ctx):
        from torch import nn
        return nn.Conv2d(3, 3, 1)
    def open(self, module, file):
        pass

@hookimpl
def kdseg_backbones():
    return [Runs]
'''


@pytest.fixture
def file(tmp_path):
    (tmp_path / "program.bin").write_bytes(b"program")
    return tmp_path / "program.bin"


def test_it_is_given_the_file_whose_hash_the_recipe_states(file):
    module = nn.Identity()
    open_program(Runs(), Weights(file=file, sha256=sha256(file)), module)
    assert module.file == file
    with pytest.raises(KdsegError, match=r"program.bin: is not the file that the recipe means: its SHA-256 is"):
        open_program(Runs(), Weights(file=file, sha256="0" * 64), module)


def test_weights_that_are_no_whole_file_are_refused(file, tmp_path):
    for weights, text in (
        (Weights(file=tmp_path / "program.bim"), "program.bim: no such file; did you mean 'program.bin'"),
        (Weights(run=tmp_path), "'runs' runs a file, and no run has written one"),
        (Weights(recipe=tmp_path / "r.toml"), "'runs' runs a file, and no run has written one"),
        (Weights(file=file, prefix="model"), "prefix is of files of tensors; 'runs' runs its file as a whole"),
        (Weights(file=file, rename={"a": "b"}), "rename is of files of tensors"),
        (Weights(file=file, partial=True), "partial is of files of tensors"),
    ):
        with pytest.raises(KdsegError, match=text):
            open_program(Runs(), weights, nn.Identity())


def test_a_learner_cannot_have_one(folder, load, kdseg):
    (folder / "runs_file.py").write_text(PLUGIN, encoding="utf-8")
    load('plugins = ["runs_file.py", "parts.py", "part_losses.py"]\nmodels.student.backbone = "runs"\n'
         'terms.labels = { learner = "student", loss = "cross_entropy" }')  # fmt: skip
    assert load_recipe(folder / "recipe.toml").recipe.models["student"].backbone.program
    status, _, err = kdseg("check", "recipe.toml")
    assert status == 2
    assert "models.student.backbone: 'runs' runs a program, which cannot learn; say frozen = true" in " ".join(
        err.split()
    )


def test_a_tap_that_nothing_runs_is_told():
    class Idle(nn.Conv2d):
        def __init__(self):
            super().__init__(3, 3, 1)
            self.idle = nn.Conv2d(3, 3, 1)

    backbone = Runs()
    participant = Participant(
        name="teacher", spec=Learner(backbone=backbone), backbone=backbone, module=Idle().to("meta")
    )
    with pytest.raises(KdsegError, match=r"the tap 'idle' of teacher gives no features N×C×H×W as the network runs"):
        tap_shapes(participant, ["idle"], (32, 32))
