"""What `inspect` says of a picture, against the modules run by hand; dead channels where they were planted."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import kdseg
from kdseg.engine.judge.inspect import LOGITS, inspect_run, look
from kdseg.engine.judge.inspect_sheet import merged
from kdseg.errors import KdsegError

RECIPE = """
[models.teacher]
backbone = { use = "tiny", width = 6 }
[models.student]
backbone = "tiny"
[terms.teacher-labels]
learner = "teacher"
loss = "cross_entropy"
[terms.mimic]
learner = "student"
source = "teacher"
loss = "pixel_kl"
[train]
steps = 2
"""
EVERYTHING = {"models": (), "which": "last", "taps": (), "every_layer": False}


@pytest.fixture
def picture(folder):
    """A picture of an odd size, as a file."""
    image = np.random.default_rng(0).integers(0, 255, (37, 51, 3)).astype(np.uint8)
    cv2.imwrite(str(folder / "picture.png"), image[..., ::-1])
    return folder / "picture.png", image


@torch.no_grad()
def by_hand(run, name, image):
    """Give what encoder, decoder and head give, by the model as anybody loads it."""
    model = kdseg.load(run.folder, name, "last", trust_code=True)
    images = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    encoded = model.network.encoder((images - model.mean) / model.std)
    decoded = model.network.decoder(encoded)
    return {"encoder.1": encoded, "decoder.1": decoded, LOGITS: model(images)}


def test_the_numbers_are_those_of_the_modules(train, folder, picture):
    path, image = picture
    run = train(RECIPE)
    found = inspect_run(run.folder, path, folder / "out.png", **EVERYTHING)
    assert [*found] == ["teacher", "student"]
    for name, layers in found.items():
        wanted = by_hand(run, name, image)
        assert [*layers] == [*wanted]
        for layer, single in wanted.items():
            one, values = layers[layer], single.double()
            assert one.shape == values.shape[1:]
            assert one.min == pytest.approx(values.min().item(), abs=1e-6)
            assert one.max == pytest.approx(values.max().item(), abs=1e-6)
            assert one.mean == pytest.approx(values.mean().item(), abs=1e-6)
            assert one.std == pytest.approx(values.std(correction=0).item(), abs=1e-6)
            assert one.zeros == (values == 0).double().mean().item()
            assert one.not_finite == 0
    drawn = cv2.imread(str(folder / "out.png"))
    assert drawn.shape[1] > 600


def test_dead_channels_are_found_where_they_were_planted(train, folder, picture):
    run = train(RECIPE)
    file = run.folder / "models" / "student" / "last.safetensors"
    weights = load_file(file)
    norm = next(name for name in weights if name.startswith("encoder.1") and name.endswith("weight"))
    weights[norm][2] = 0  # after it comes ReLU
    weights[norm.replace("weight", "bias")][2] = -1
    weights["encoder.1.weight"][0] = 0
    weights["encoder.1.bias"][0] = 0.25  # constant, not 0
    save_file(weights, file)
    path, _ = picture
    found = inspect_run(run.folder, path, folder / "out.png", **EVERYTHING)
    assert found["student"]["encoder.1"].dead == (0, 2)
    assert found["student"]["encoder.1"].zeros >= 0.25
    assert found["teacher"]["encoder.1"].dead == ()


def test_lost_numbers_are_told_and_drawn(train, folder, picture):
    run = train(RECIPE)
    file = run.folder / "models" / "student" / "last.safetensors"
    weights = load_file(file)
    weights["decoder.0.weight"][1] = math.nan
    save_file(weights, file)
    found = inspect_run(run.folder, picture[0], folder / "out.png", **EVERYTHING)
    assert found["student"]["decoder.1"].not_finite > 0
    assert found["student"][LOGITS].not_finite == 1
    assert math.isnan(found["student"][LOGITS].mean)
    assert (folder / "out.png").exists()


def test_models_and_taps_are_those_that_are_asked_for(train, folder, picture):
    run, output = train(RECIPE), folder / "out.png"

    def layers(**asked):
        found = inspect_run(run.folder, picture[0], output, **EVERYTHING | asked)
        return {name: [*those] for name, those in found.items()}

    assert layers(models=("student",)) == {"student": ["encoder.1", "decoder.1", LOGITS]}
    assert layers(models=("student",), taps=("head", "encoder.1")) == {"student": ["encoder.1", "head", LOGITS]}
    every = layers(models=("student",), every_layer=True)["student"]
    assert every == ["encoder.0", "encoder.1", "encoder.2", "decoder.0", "decoder.1", "decoder.2",
                     "dropout", "head", LOGITS]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"models": ("studnt",)}, "no participant 'studnt'; did you mean 'student'?"),
        ({"taps": ("encoder.7",)}, "teacher and student: no tap 'encoder.7'; did you mean 'encoder."),
        ({"taps": ("x",)}, "no tap 'x'; there are encoder.1, decoder.1"),
    ],
)
def test_what_does_not_exist_is_told_with_the_nearest_name(train, folder, picture, asked, told):
    run = train(RECIPE)
    with pytest.raises(KdsegError) as refused:
        inspect_run(run.folder, picture[0], folder / "out.png", **EVERYTHING | asked)
    assert told in str(refused.value)
    assert not (folder / "out.png").exists()


def test_a_picture_is_not_written_over(train, folder, picture):
    run = train(RECIPE)
    with pytest.raises(KdsegError, match=r"picture.png would be overwritten; name another file by --output"):
        inspect_run(run.folder, picture[0], picture[0], **EVERYTHING)


def test_a_frozen_source_is_what_its_recipe_says(train, folder, picture):
    teacher = train(RECIPE, name="teachers")
    frozen = f'frozen = true\nweights = {{ run = "{teacher.folder}", model = "teacher", which = "last" }}\n'
    text = RECIPE.replace(
        'backbone = { use = "tiny", width = 6 }\n', f'backbone = {{ use = "tiny", width = 6 }}\n{frozen}'
    )
    text = text.replace('[terms.teacher-labels]\nlearner = "teacher"\nloss = "cross_entropy"\n', "")
    run = train(text, name="students")
    found = inspect_run(run.folder, picture[0], folder / "out.png", **EVERYTHING)
    like = inspect_run(teacher.folder, picture[0], folder / "like.png", **EVERYTHING)
    assert found["teacher"] == like["teacher"]
    assert found["student"] != like["student"]


def test_layers_that_are_no_maps_have_numbers_but_no_picture():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair, self.words, self.pool = Pair(), nn.Flatten(2), nn.AdaptiveAvgPool2d(1)
            self.head = nn.Conv2d(3, 2, 1)

        def forward(self, images):
            self.pair(images), self.words(images), self.pool(images), self.pool(2 * images)
            return self.head(images)

    class Pair(nn.Module):
        def forward(self, images):
            return images, images

    class Alone:
        backbone = type("Backbone", (), {"taps": lambda self, _module: {}})()
        module = Odd()

        def set_training(self, training):
            self.module.train(training)

        def logits(self, images):
            return self.module(images)

    images = torch.ones(1, 3, 32, 32)
    seen = look(Alone(), images, dict(Alone.module.named_children()))
    assert [*seen] == ["words", "pool", "head", LOGITS]  # a pair is no tensor
    assert (seen["words"].layer.shape, seen["words"].layer.dead, seen["words"].attention) == ((3, 1024), None, None)
    assert seen["pool"].layer.mean == 2  # the last call counts
    assert seen["pool"].layer.dead == ()  # of one cell, only zeros are


def test_names_of_several_orders_are_merged_as_they_come():
    found = merged([["e1", "e2", "mid", "d2", "d1"], ["e1", "e2", "e3", "mid", "d3", "d2", "d1"]])
    assert found == ["e1", "e2", "e3", "mid", "d3", "d2", "d1"]
