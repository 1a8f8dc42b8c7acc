"""`check`: the plan that it prints, and what it costs. What it refuses is in test_broken_*.py."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from start_up import stays_within

from kdseg.components import BackboneContext
from kdseg.recipe.load import load_recipe
from kdseg.testing import heavy_imports


def parameters(recipe, name):
    """Count the parameters of a network that is really built."""
    network = load_recipe(recipe).recipe.models[name].backbone.build(BackboneContext(in_channels=3, num_classes=3))
    return sum(parameter.numel() for parameter in network.parameters())


def test_check_prints_what_the_run_would_do_and_writes_nothing(kdseg, folder, write):
    path = write(("steps = 6", "epochs = 3"), ('"study"]', '"study", "study"]'))
    before = sorted(folder.rglob("*"))
    status, out, err = kdseg("check", "recipe.toml")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "6 steps, 2 an epoch; 8 training images of 32x32, 8 validation images; about 0.0 GiB",
        "participants",
        f"  teacher  {parameters(path, 'teacher') / 1e6:.3f}M parameters  learns at 2 steps",
        f"  student  {parameters(path, 'student') / 1e6:.3f}M parameters  learns at 4 steps",
        "terms",
        "  teacher-labels  counts at 2 steps",
        "  labels          counts at 4 steps",
        "  mimic           counts at 4 steps",
        "no problem found",
    ]
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("use", "told"),
    [
        ('"early_stopping", metric = "mioo"', "metric: 'mioo' is no score and no term's value; did you mean 'miou'?"),
        ('"checkpoint", participant = "studnt"', "participant: 'studnt' is no participant; did you mean 'student'?"),
        ('"layer_images", taps = ["nope"]', "taps: teacher has no tap 'nope'; there are "),
        ('"gallery", source = "techer"', "source: 'techer' is no participant; did you mean 'teacher'?"),
    ],
)
def test_check_tells_what_callbacks_cannot_do(kdseg, write, use, told):
    path = write()
    path.write_text(path.read_text() + f"\n[callbacks]\nmine = {{ use = {use} }}\n")
    line = len(path.read_text().splitlines())
    status, _, err = kdseg("check", "recipe.toml")
    assert status == 2
    assert f"recipe.toml:{line}: callbacks.mine.{told}" in err


def test_check_prints_what_matches_of_a_file_of_which_a_part_is_taken(kdseg, folder, write):
    write(("clip = 1.0", 'weights = { file = "theirs.safetensors", partial = true }'))
    recipe = load_recipe(folder / "recipe.toml").recipe
    network = recipe.models["student"].backbone.build(BackboneContext(in_channels=3, num_classes=3))
    state = network.state_dict()
    names = [*state]
    save_file({name: state[name] for name in names[1:]} | {"extra": torch.ones(1)}, folder / "theirs.safetensors")
    status, out, err = kdseg("check", "recipe.toml")
    assert (status, err) == (0, "")
    rows = [
        f"theirs.safetensors: {len(names) - 1} of {len(names)} tensors match",
        f"missing in the file: {names[0]}",
        "left over in the file: extra",
    ]
    assert "\n".join(["weights from files", *(f"  student  {row}" for row in rows), "terms"]) in out
    assert json.loads(kdseg("check", "recipe.toml", "--json").out)["weights"] == {"student": rows}


def test_json_tells_the_same_to_programs(kdseg, write):
    path = write(
        ("images = 8", "images = 11, size = [40, 48]"), ("weight = 0.5", "weight = { at = [0.5, 0.6], value = [0, 1] }")
    )
    status, out, err = kdseg("check", "recipe.toml", "--json")
    assert (status, err) == (0, "")
    plan = json.loads(out)
    weights = sum(4 * parameters(path, name) for name in ("teacher", "student"))
    assert plan.pop("memory_bytes") > 4 * weights  # weights, gradients, two moments; and what backward keeps
    assert plan == {
        "ok": True,
        "gate": None,
        "steps": 6,
        "steps_per_epoch": 2,
        "images": {"train": 11, "val": 11, "unlabelled": 0, "size": [40, 48]},
        "participants": {name: {"parameters": parameters(path, name), "steps": 3} for name in ("teacher", "student")},
        "weights": {},
        "terms": {"teacher-labels": {"steps": 3}, "labels": {"steps": 3}, "mimic": {"steps": 1}},
        "warnings": [],
    }


def test_the_size_is_that_after_augmentation(kdseg, write):
    write(("images = 8", "size = [64, 96]"), ('"HorizontalFlip"', '{ use = "RandomCrop", height = 32, width = 48 }'))
    assert json.loads(kdseg("check", "recipe.toml", "--json").out)["images"]["size"] == [32, 48]


SELDOM_MEANT = {
    "micro-batches": (
        ("batch_size = 4", "batch_size = 4\nmicro_batches = 2"),
        "train.micro_batches: batch normalisation sees micro-batches of 2 images, not the step's 4; ",
    ),
    "nothing to learn from": (
        ('"cross_entropy", label_smoothing = 0.1', '"confidence_penalty"'),
        "terms.mimic: 'student' learns from no labels, and its source 'teacher' starts untrained; ",
    ),
    "a curve on the only term": (
        ('loss = "cross_entropy"', 'loss = "cross_entropy"\nweight = { curve = "linear", from = 1, to = 2 }'),
        "terms.teacher-labels.weight: a curve on the only term of 'teacher' does little: ",
    ),
}


@pytest.mark.parametrize("what", SELDOM_MEANT)
def test_what_is_seldom_meant_is_a_warning(kdseg, write, what):
    change, warning = SELDOM_MEANT[what]
    write(change)
    status, out, _ = kdseg("check", "recipe.toml")
    assert status == 0
    *_, told, last = out.splitlines()
    assert told.startswith(f"warning: {warning}")
    assert last == "no problem found"
    assert json.loads(kdseg("check", "recipe.toml", "--json").out)["warnings"] == [told.removeprefix("warning: ")]


def test_a_step_larger_than_the_memory_is_a_warning(kdseg, write):
    write(("images = 8", "images = 4096"), ("batch_size = 4", "batch_size = 4096"), ("base = 4", "base = 512"))
    (warning,) = json.loads(kdseg("check", "recipe.toml", "--json").out)["warnings"]
    assert warning.startswith("train.batch_size: a step takes about ")


def test_images_of_different_sizes_are_told_before_they_meet_in_a_batch(kdseg, write):
    write(('"HorizontalFlip"', '{ use = "RandomScale", p = 1.0 }'))
    status, _, err = kdseg("check", "recipe.toml")
    assert status == 2
    assert err.startswith("recipe.toml:12: data.augment: images of different sizes cannot share a batch: ")


def test_quick_sees_keys_and_names_alone(kdseg, write):
    write(("lr = 0.1", "lr = true"), ("images = 8", "images = 0"))
    assert kdseg("check", "--quick", "recipe.toml") == (
        0,
        "no problem found in the recipe's keys, types and names\n",
        "",
    )
    assert json.loads(kdseg("check", "--quick", "--json", "recipe.toml").out) == {"ok": True}
    assert kdseg("check", "--quick", "recipe.toml", "--set", "sede=3").status == 2


def test_quick_loads_no_heavy_library(write):
    assert heavy_imports(f"from kdseg.cli import main; main(['check', '--quick', {str(write())!r}])") == []


@pytest.mark.parametrize(("words", "budget"), [(["--quick"], 0.5), ([], 10.0)])
def test_it_stays_within_its_budget(words, budget):
    assert stays_within(["check", "online_alternating", *words], budget)


def test_the_timeline_tells_who_learns_what_from_whom(kdseg):
    done = kdseg("check", "online_alternating", "--timeline", "--set", "train.steps_of.student=20")
    assert done.status == 0
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "study 10 steps student from labels cross_entropy weight 1 student-labels" in lines
    told = json.loads(kdseg("check", "online_alternating", "--timeline", "--json").out)
    assert {"first", "last", "turns", "idle"} == set(told["timeline"][0])
