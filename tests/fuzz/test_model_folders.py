"""Runs and model folders damaged in every way, as input of what reads them: told by file, or as good as whole."""

from __future__ import annotations

import json
import random
import shutil
import struct
import sys
from collections import Counter

import numpy as np
import pytest

import kdseg as library
from kdseg.errors import KdsegError

RECIPE = """
name = "job"
[train]
steps = 2
batch_size = 2
workers = 0
[data]
dataset = { use = "synthroad", size = [32, 32], images = 4 }
[models.student]
backbone = { use = "unet", base = 2, downsamplings = 1 }
[terms.labels]
learner = "student"
loss = "cross_entropy"
"""
VALUES = [
    None, True, 0, -1, 3, 10**30, 1e308, float("nan"), float("inf"), "", "x", "kdseg/unet", "a/b/c", "\0",
    "é" * 3000, [], [[]], [1],
    [1, 2, 3], [0, 0, 0], [-1, 0.5, 300], ["a"] * 300, [[300, 0, 0]], [[1, 2]], {}, {"use": "unet"}, {"base": -1},
    {"a": {"b": [{}]}},
]  # fmt: skip
TEXTS = [
    b"", b"[]", b"null", b"3", b'"x"', b"{", b"{}", b"\xff\xfe", b"\0" * 100, b"[" * 100_000, b'{"a":' * 50_000,
    b"9" * 5000, b"NaN",
    b'{"backbone": 1}' * 2,
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run of two steps."""
    from kdseg.engine.run.start import run_recipe
    from kdseg.recipe.load import load_recipe

    folder = tmp_path_factory.mktemp("finished")
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    return run_recipe(load_recipe(folder / "recipe.toml", [f'output.folder="{folder}/runs"'])).folder


@pytest.fixture
def model(finished, folder):
    """A copy of the run's model folder."""
    shutil.copytree(finished / "models" / "student", folder / "mine")
    return folder / "mine"


@pytest.fixture
def run(finished, folder):
    """A copy of the run."""
    shutil.copytree(finished, folder / "run")
    return folder / "run"


IMAGE = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)


def used(path, within, what):
    """Load what may be a model's folder and predict, and give how that ended."""
    with within(20, what):
        try:
            model = library.load(path)
        except KdsegError as error:
            told = str(error)
        else:
            told = ""
        if told:
            assert "Traceback" not in told, what
            assert told.startswith("mine/"), (what, told)
            assert all(line.isprintable() and len(line) < 6000 for line in told.split("\n")), (what, told)
            return "refused"
        mask = model.predict(IMAGE)
        assert mask.shape == (32, 40), what
        assert mask.max() < len(model.classes) == len(model.palette), what
        assert np.isfinite(model.mean.numpy()).all(), what
        assert (model.std.numpy() > 0).all(), what
        assert all(0 <= value <= 255 for colour in model.palette for value in colour), what
    return "accepted"


def change(card, rng):
    """Change a card in one place."""
    holder = rng.choice([card, card, card["options"]]) if isinstance(card.get("options"), dict) else card
    key = rng.choice([*holder, "new"])
    match rng.randrange(4):
        case 0:
            holder.pop(key, None)
        case 1 if isinstance(holder.get(key), list) and holder[key]:
            holder[key][rng.randrange(len(holder[key]))] = rng.choice(VALUES)
        case _:
            holder[key] = rng.choice(VALUES)


def cards(model, within, numbers):
    path = model / "model.json"
    whole = path.read_text(encoding="utf-8")
    count = Counter()
    for number in numbers:
        rng = random.Random(number)
        card = json.loads(whole)
        for _ in range(rng.choice([1, 1, 2])):
            change(card, rng)
        path.write_text(json.dumps(card), encoding="utf-8")
        count[used(model, within, f"{number}: {json.dumps(card)[:2000]}")] += 1
    return count


def test_a_changed_card_is_refused_or_harmless(model, within):
    assert cards(model, within, range(80))["refused"] > 25


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:12]))
def test_a_card_that_is_none_is_refused_by_name(model, text):
    (model / "model.json").write_bytes(text)
    with pytest.raises(KdsegError, match=r"model\.json"):
        library.load(model)


def weights(model, within, damage, numbers):
    path = model / "best.safetensors"
    whole = path.read_bytes()
    truth = library.load(model).network.state_dict()
    count = Counter()
    for number in numbers:
        path.write_bytes(damage(whole, random.Random(number)))
        ended = used(model, within, number)
        if ended == "accepted":
            assert all(truth[name].equal(value) for name, value in library.load(model).network.state_dict().items()), (
                number
            )
        count[ended] += 1
    return count


def test_damaged_weights_are_refused(model, within, damage):
    assert weights(model, within, damage, range(60))["refused"] > 30


@pytest.mark.parametrize(
    "content",
    [
        b"", b"x", struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 2**40), struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 0),
        struct.pack("<Q", 100_000) + b"[" * 100_000,
    ],
    ids=repr,
)  # fmt: skip
def test_weights_that_are_none_are_refused_by_name(model, content):
    (model / "best.safetensors").write_bytes(content)
    with pytest.raises(KdsegError, match=r"best\.safetensors"):
        library.load(model)


VERBS = [("evaluate",), ("predict", "image.png"), ("resume",)]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
@pytest.mark.parametrize("name", ["recipe.toml", "models/student/model.json", "models/student/best.safetensors"])
@pytest.mark.parametrize("fault", ["empty", "noise", "gone", "a folder"])
def test_a_run_with_a_damaged_file_is_told(kdseg, run, folder, verb, name, fault):
    import cv2

    cv2.imwrite(str(folder / "image.png"), IMAGE)
    path = run / name
    path.unlink()
    {
        "empty": lambda: path.write_bytes(b""),
        "noise": lambda: path.write_bytes(random.Random(0).randbytes(300)),
        "gone": lambda: None,
        "a folder": path.mkdir,
    }[fault]()
    if verb == ("resume",):
        (run / "summary.json").unlink()
    status, out, err = kdseg(verb[0], "run", *verb[1:])
    assert "Traceback" not in out + err
    needs = {
        "evaluate": "models/student/best.safetensors recipe.toml",
        "predict": "models/student",
        "resume": "recipe.toml",
    }
    if any(name.startswith(needed) for needed in needs[verb[0]].split()):
        assert status == 2
        assert err.strip()


@pytest.mark.slow
def test_thousands_of_damaged_model_folders_are_refused_or_harmless(model, within, damage, capsys):
    card = (model / "model.json").read_bytes()
    counts = {"cards": cards(model, within, range(1000, 3000))}
    (model / "model.json").write_bytes(card)
    counts["weights"] = weights(model, within, damage, range(1000, 3000))
    with capsys.disabled():
        for what, count in counts.items():
            sys.stdout.write(f"\n{what}: {count.total()} inputs tried, {dict(count)}\n")
