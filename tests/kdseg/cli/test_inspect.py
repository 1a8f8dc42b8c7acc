"""`inspect`: a table, JSON and a picture of what a picture becomes."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

STAGES = ["encoder.1", "encoder.2", "encoder.3", "encoder.4", "bottleneck", "decoder.4", "decoder.3", "decoder.2"]


@pytest.fixture
def picture(folder):
    cv2.imwrite("road.jpg", np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8))
    return "road.jpg"


def test_the_table_has_a_line_for_each_stage_of_each_network(kdseg, finished, picture):
    status, out, err = kdseg("inspect", str(finished), picture)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "road.jpg, best weights"
    assert lines[1].split() == ["shape", "min", "mean", "max", "std", "zeros", "dead"]
    first = next(line for line in lines if "encoder.1" in line).split()
    assert first[1:3] == ["teacher", "4x48x64"]
    second = lines[lines.index(next(line for line in lines if "encoder.1" in line)) + 1].split()
    assert second[:2] == ["student", "2x48x64"]
    assert re.fullmatch(r"\d+ of 2", " ".join(second[-3:]))
    assert lines[-1] == "picture: inspect.png"
    assert cv2.imread("inspect.png").shape[0] > 500


def test_json_has_all_of_it_and_nothing_else(kdseg, finished, picture):
    out = kdseg("inspect", str(finished), picture, "--json", "--model", "student", "--which", "last", "-o", "x.png").out
    found = json.loads(out)
    assert found["picture"] == "x.png"
    layers = found["participants"]["student"]
    assert [*layers][: len(STAGES)] == STAGES
    assert layers["encoder.1"].keys() == {
        "kind", "shape", "min", "mean", "max", "std", "zeros", "not_finite", "dead",
    }  # fmt: skip
    assert layers["logits"]["shape"] == [3, 48, 64]
    assert cv2.imread("x.png") is not None


def test_taps_and_layers_can_be_chosen(kdseg, finished, picture):
    out = kdseg("inspect", str(finished), picture, "--json", "--tap", "bottleneck").out
    assert {tuple(those) for those in json.loads(out)["participants"].values()} == {("bottleneck", "logits")}
    out = kdseg("inspect", str(finished), picture, "--json", "--every-layer").out
    assert all(len(those) > 20 for those in json.loads(out)["participants"].values())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--tap", "bottlneck"), "no tap 'bottlneck'; did you mean 'bottleneck'?"),
        (("--model", "techer"), "no participant 'techer'; did you mean 'teacher'?"),
        (("--tap", "bottleneck", "--every-layer"), "--tap and --every-layer exclude each other"),
        (("-o", "road.jpg"), "road.jpg would be overwritten"),
        (("-o", "out.pdf"), "out.pdf: a PNG is written; name it .png"),
        (("-o", "nowhere/x.png"), "nowhere/x.png: cannot be written"),
    ],
)
def test_mistakes_are_told(kdseg, finished, picture, words, told):
    status, _, err = kdseg("inspect", str(finished), picture, *words)
    assert status == 2
    assert told in err


@pytest.mark.parametrize(("name", "text"), [("no.png", None), ("text.png", "text"), ("small.png", "small")])
def test_what_is_no_picture_or_too_small_is_told(kdseg, finished, folder, name, text):
    if text == "small":
        cv2.imwrite(name, np.zeros((16, 40, 3), np.uint8))
    elif text:
        (folder / name).write_text(text)
    status, _, err = kdseg("inspect", str(finished), name)
    assert status == 2
    assert name in err
