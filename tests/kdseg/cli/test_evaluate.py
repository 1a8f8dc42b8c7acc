"""`evaluate`: the run's own numbers again, and those of any split, against a count in plain numpy."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from kdseg import DatasetContext, load
from kdseg.engine.models.whole_image import AT_ONCE, WholeImage
from kdseg.recipe.load import load_recipe


@pytest.fixture(scope="module")
def evaluations(finished):
    """The evaluations that the run wrote, as they came."""
    lines = [json.loads(line) for line in (finished / "latest/metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "evaluation"]


def scores_of(line, name):
    return {key: line[f"val/{name}/{key}"] for key in ("miou", "pixel_accuracy", "iou")}


def counted(run, name, split, whole_image=AT_ONCE):
    """Score a network as the definitions say, image by image: over all pixels, hits by class and their unions."""
    network = load(run, name, "last")
    data = load_recipe(run / "latest/recipe.toml").recipe.data
    samples = data.for_split(split).build(DatasetContext(split=split, seed=4))
    truth = np.stack([samples[index].mask for index in range(len(samples))])
    found = np.stack([network.predict(samples[index].image, whole_image) for index in range(len(samples))])
    iou = [((truth == c) & (found == c)).sum() / ((truth == c) | (found == c)).sum() for c in range(3)]
    names = dict(zip(network.classes, iou, strict=True))
    return {"miou": np.mean(iou), "pixel_accuracy": (truth == found).mean(), "iou": names}


def test_last_weights_score_exactly_what_the_run_wrote_last(kdseg, finished, evaluations):
    status, out, _ = kdseg("evaluate", str(finished), "--which", "last", "--json")
    assert status == 0
    assert json.loads(out) == {name: scores_of(evaluations[-1], name) for name in ("teacher", "student")}


def test_best_weights_score_exactly_what_the_run_wrote_when_they_were(kdseg, finished, evaluations):
    out = kdseg("evaluate", str(finished / "latest"), "--json").out
    for name, scores in json.loads(out).items():
        best = max(evaluations, key=lambda line: line[f"val/{name}/miou"])
        assert scores == scores_of(best, name)


@pytest.mark.parametrize("split", ["train", "val"])
def test_any_split_is_scored_as_the_definitions_say(kdseg, finished, split):
    out = kdseg("evaluate", str(finished), "--split", split, "--which", "last", "--json", "--batch-size", "3").out
    for name, scores in json.loads(out).items():
        wanted = counted(finished, name, split)
        assert scores["iou"] == pytest.approx(wanted.pop("iou"), rel=1e-12)
        assert {key: value for key, value in scores.items() if key != "iou"} == pytest.approx(wanted, rel=1e-12)


def test_windows_scales_and_mirroring_are_as_asked_for(kdseg, finished):
    words = ("--window", "32x32", "--overlap", "0.25", "--scales", "1,1.5", "--flip", "--model", "student")
    out = kdseg("evaluate", str(finished), "--which", "last", "--json", *words).out
    whole = WholeImage(window=(32, 32), overlap=0.25, scales=(1.0, 1.5), flip=True)
    assert json.loads(out)["student"]["miou"] == pytest.approx(
        counted(finished, "student", "val", whole)["miou"], abs=0.002
    )


def test_a_recipe_s_windows_hold_in_its_run_and_after_it(kdseg, folder, write):
    views = "window = [32, 40]\nscales = [1.0, 1.25]\nflip = true\n"
    write(("steps = 6", "steps = 2"), ("[evaluate]\n", f"[evaluate]\n{views}"))
    assert kdseg("run", "recipe.toml").status == 0
    lines = [json.loads(line) for line in (folder / "runs/job/latest/metrics.jsonl").read_text().splitlines()]
    line = [line for line in lines if line["kind"] == "evaluation"][-1]
    out = kdseg("evaluate", "runs/job", "--which", "last", "--json").out
    assert json.loads(out) == {name: scores_of(line, name) for name in ("teacher", "student")}
    words = ("--window", "999x999", "--scales", "1", "--no-flip")
    plain = json.loads(kdseg("evaluate", "runs/job", "--which", "last", "--json", *words).out)
    assert plain["student"]["miou"] == pytest.approx(counted(folder / "runs/job", "student", "val")["miou"], rel=1e-12)


def test_a_table_holds_the_same_for_people(kdseg, finished):
    status, out, err = kdseg("evaluate", str(finished), "--which", "last", "--model", "student")
    assert (status, err) == (0, "")
    scores = json.loads(kdseg("evaluate", str(finished), "--which", "last", "--json").out)["student"]
    lines = out.splitlines()
    assert lines[0] == "val split"
    assert [re.split(r"  +", line.strip()) for line in lines[1:]] == [
        ["student"],
        ["miou", f"{scores['miou']:.4f}"],
        ["pixel_accuracy", f"{scores['pixel_accuracy']:.4f}"],
        *([f"IoU {name}", f"{value:.4f}"] for name, value in scores["iou"].items()),
    ]


def test_a_frozen_teacher_scores_as_in_the_run_that_trained_it(kdseg, folder, write, finished):
    frozen = f'frozen = true\nweights = {{ run = "{finished}" }}'
    write(
        ("steps = 6", "steps = 2"),
        ('optimizer = { use = "AdamW", lr = 1e-3 }\nschedule = { use = "poly", power = 0.9 }', frozen),
        ('order = ["teach", "study"]', 'order = ["study"]'),
        ('[terms.teacher-labels]\nturn = "teach"\nlearner = "teacher"\nloss = "cross_entropy"\n', ""),
    )
    assert kdseg("run", "recipe.toml").status == 0
    scores = [
        json.loads(kdseg("evaluate", str(run), "--model", "teacher", "--json").out)
        for run in (finished, folder / "runs/job")
    ]
    assert scores[0] == scores[1]


def test_a_class_that_nowhere_occurs_is_absent(kdseg, folder, write):
    write(
        ("steps = 6", "steps = 2"),
        ("images = 8 }", 'images = 8 }\nval = { labels = "ignored" }'),
        ('use = "checkpoint"\nkeep = 1', 'use = "signalled"'),
    )
    assert kdseg("run", "recipe.toml").status == 0
    status, out, _ = kdseg("evaluate", "runs/job")
    assert status == 0
    rows = [re.split(r"  +", line.strip()) for line in out.splitlines()]
    assert ["miou", "absent", "absent"] in rows
    assert json.loads(kdseg("evaluate", "runs/job", "--json").out)["student"]["miou"] is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--split", "tset"], "drawn has no split 'tset'; it has train, val"),
        (
            ["--model", "studnt"],
            "the run has no participant 'studnt'; did you mean 'student'?; it has teacher, student",
        ),
        (["--overlap", "0.5"], "--overlap says how far windows overlap; give --window too"),
        (
            ["--metric", "cityscape"],
            "--metric cityscape: unknown metric 'cityscape'; did you mean 'cityscapes'?",
        ),
        (["--model", "pupil"], "the run has no participant 'pupil'; it has teacher, student"),
    ],
)
def test_what_is_not_there_is_told(kdseg, finished, words, told):
    assert kdseg("evaluate", str(finished), *words) == (2, "", f"{told}\n")


def test_a_folder_that_is_no_run_is_told(kdseg, folder):
    status, out, err = kdseg("evaluate", "runs/nothing")
    assert (status, out) == (2, "")
    assert err.startswith("runs/nothing: no run here (no recipe.toml); ")


def test_a_split_without_labels_is_told(kdseg, folder, write):
    write(
        ("steps = 6", "steps = 2"),
        ("images = 8 }", 'images = 8 }\nval = { labels = "none" }'),
        ('use = "checkpoint"\nkeep = 1', 'use = "signalled"'),
    )
    assert kdseg("run", "recipe.toml").status == 0
    told = "the val split has no labels to score against; `kdseg predict` writes its masks"
    assert kdseg("evaluate", "runs/job") == (2, "", f"{told}\n")
