"""`diagnose`: what a diagnostic is shown is what `kdseg.load` gives, and what it finds is printed and written."""

from __future__ import annotations

import json
import re
import shutil

import cv2
import numpy as np
import pytest
import torch

from kdseg import DatasetContext, load
from kdseg.components import DiagnosticContext
from kdseg.recipe.load import load_recipe
from kdseg_biasvar.components import BiasVariance


def samples_of(run, split="val"):
    data = load_recipe(run / "latest/recipe.toml").recipe.data
    samples = data.for_split(split).build(DatasetContext(split=split, seed=4))
    return [samples[index] for index in range(len(samples))]


def share(run, model, samples, which="best"):
    network = load(run, model, which)
    return np.mean([network.predict(sample.image) == sample.mask for sample in samples])


@pytest.fixture
def found(kdseg, folder):
    """Run a diagnostic and give what it prints for programs."""

    def found(*words):
        status, out, err = kdseg("diagnose", *words, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)

    return found


def test_each_trial_is_a_network_as_it_is_loaded(found, finished):
    samples = samples_of(finished)
    words = ("--model", "teacher", "--model", "student", "--which", "last")
    hits = found("hits", str(finished), str(finished / "latest"), *words)["tables"]["hits"]
    assert hits == {
        "trial 0": {"share": pytest.approx(share(finished, "teacher", samples, "last"), rel=1e-12)},
        "trial 1": {"share": pytest.approx(share(finished, "student", samples, "last"), rel=1e-12)},
    }


@pytest.mark.parametrize("words", [["--model", "student"], ["--split", "train"], ["--batch-size", "3"]])
def test_options_choose_network_images_and_batch(found, finished, words):
    hits = found("hits", str(finished), *words)["tables"]["hits"]
    samples = samples_of(finished, "train" if "train" in words else "val")
    assert hits["trial 0"]["share"] == pytest.approx(share(finished, "student", samples), rel=1e-12)


def test_fewer_images_are_spread_over_the_split(found, finished):
    findings = found("hits", str(finished), "--images", "3")
    assert findings["scalars"]["images"] == 3
    assert list(findings["pictures"]) == ["image-0", "image-2", "image-5"]
    some = [samples_of(finished)[index] for index in (0, 2, 5)]
    assert findings["tables"]["hits"]["trial 0"]["share"] == pytest.approx(share(finished, "student", some), rel=1e-12)
    assert found("hits", str(finished), "--images", "99")["scalars"]["images"] == 8


def test_pictures_are_of_images_that_are_shown_once_more(found, finished, folder):
    files = found("hits", str(finished), "-o", "seen/here", "--set", "label=it-")["pictures"]
    assert files == {f"it-{number}": f"seen/here/it-{number}.png" for number in (0, 2, 4, 6)}
    network = load(finished)
    for number, file in zip((0, 2, 4, 6), files.values(), strict=True):
        image = samples_of(finished)[number].image
        picture = cv2.cvtColor(cv2.imread(str(folder / file)), cv2.COLOR_BGR2RGB)
        np.testing.assert_array_equal(picture, image // 2 + network.predict(image)[..., None])


def test_pictures_are_of_the_images_that_are_named(kdseg, found, finished):
    numbers = [sample.id for sample in samples_of(finished)]
    words = ("hits", str(finished), "--images", "2", "--picture", numbers[5], "--picture", numbers[1])
    assert list(found(*words)["pictures"]) == [f"image-{numbers[5]}", f"image-{numbers[1]}"]
    told = f"no image is called 'x'; the first is {numbers[0]!r}\n"
    assert kdseg("diagnose", "hits", str(finished), "--picture", "x") == (2, "", told)


def test_bias_variance_is_that_of_the_networks(found, finished):
    findings = found("biasvar", str(finished), str(finished), "--model", "teacher", "--model", "student")
    table = load_recipe(finished / "latest/recipe.toml").recipe.data.dataset.class_table()
    wanted = BiasVariance().build(DiagnosticContext(classes=table, trials=2, images=8))
    networks = [load(finished, name) for name in ("teacher", "student")]
    for index, sample in enumerate(samples_of(finished)):
        images = torch.from_numpy(sample.image).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            wanted.update([network(images) for network in networks], torch.from_numpy(sample.mask)[None], [index])
    assert findings["scalars"] == pytest.approx(wanted.compute().scalars, rel=1e-5)
    assert findings["tables"]["class"].keys() == set(table.names)
    maps = [f"bias_variance_map_{number}" for number in (1, 2, 3, 4)]
    assert list(findings["pictures"]) == ["bias_variance_by_class", *maps]


def test_teachability_is_that_of_the_first_network(kdseg, found, folder, finished):
    words = ("--model", "teacher", "--model", "student", "--set", "temperatures=[1, 3]")
    findings = found("teachability", str(finished), str(finished), *words)
    right = share(finished, "teacher", samples_of(finished))
    assert findings["scalars"]["accuracy"] == pytest.approx(right, rel=1e-12)
    assert -1 <= findings["scalars"]["rank_agreement"] <= 1
    assert list(findings["tables"]["temperature"]) == ["T=1", "T=3"]
    assert all(cv2.imread(str(folder / file)) is not None for file in findings["pictures"].values())
    assert set(findings["pictures"]) >= {"reliability", "entropy_maps"}
    alone = found("teachability", str(finished), "--model", "teacher", "--set", "temperatures=[1, 3]")
    assert alone["scalars"] == findings["scalars"] | {"rank_agreement": None}
    told = "--set: temperatures: must be one or more different numbers from 0.01 to 1000; found [0.0]\n"
    assert kdseg("diagnose", "teachability", str(finished), "--set", "temperatures=[0]") == (2, "", told)


def test_tables_hold_the_same_for_people(kdseg, folder, finished):
    status, out, err = kdseg("diagnose", "hits", str(finished), "--images", "1")
    assert (status, err) == (0, "")
    right = share(finished, "student", samples_of(finished)[:1])
    rows = [re.split(r"  +", line.strip()) for line in out.splitlines()]
    assert rows == [
        ["hits, val split"],
        ["images", "1"],
        ["tiny", "2.0e-05"],
        ["nothing", "absent"],
        ["hits"],
        ["share"],
        ["trial 0", f"{right:.4f}"],
        ["diagnosis/image-0.png"],
        ["diagnosis/findings.json"],
    ]


def test_a_copy_of_a_model_s_folder_is_a_trial_beside_a_run(kdseg, found, folder, finished):
    shutil.copytree(finished / "latest/models/teacher", folder / "copy")
    hits = found("hits", "copy", str(finished), "--model", "student")["tables"]["hits"]
    samples = samples_of(finished)
    assert hits["trial 0"]["share"] == pytest.approx(share(finished, "teacher", samples), rel=1e-12)
    assert hits["trial 1"]["share"] == pytest.approx(share(finished, "student", samples), rel=1e-12)
    told = "none of these is a run's folder, whose recipe names the images; give one among them\n"
    assert kdseg("diagnose", "hits", "copy") == (2, "", told)


def test_a_frozen_participant_is_what_it_was_given(kdseg, found, folder, write, finished):
    frozen = f'frozen = true\nweights = {{ run = "{finished}", which = "last" }}'
    write(
        ("steps = 6", "steps = 2"),
        ('optimizer = { use = "AdamW", lr = 1e-3 }\nschedule = { use = "poly", power = 0.9 }', frozen),
        ('order = ["teach", "study"]', 'order = ["study"]'),
        ('[terms.teacher-labels]\nturn = "teach"\nlearner = "teacher"\nloss = "cross_entropy"\n', ""),
    )
    assert kdseg("run", "recipe.toml").status == 0
    hits = found("hits", "runs/job", "--model", "teacher")["tables"]["hits"]
    right = share(finished, "teacher", samples_of(finished), "last")
    assert hits["trial 0"]["share"] == pytest.approx(right, rel=1e-12)


def test_other_classes_are_refused(kdseg, folder, finished):
    shutil.copytree(finished / "latest/models/student", folder / "copy")
    card = json.loads((folder / "copy/model.json").read_text())
    (folder / "copy/model.json").write_text(json.dumps(card | {"classes": ["dark", "dim", "light"]}))
    run = (finished / "latest").resolve()
    told = (
        f"copy tells apart dark, dim, light; the images are those of {run}/recipe.toml, whose classes are dark, "
        "middle, light\n"
    )
    assert kdseg("diagnose", "hits", str(finished), "copy") == (2, "", told)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["hist"], "unknown diagnostic 'hist'; did you mean 'hits'?"),
        (["pixel_kl"], "unknown diagnostic 'pixel_kl'; a loss is called so"),
        (
            ["needy"],
            "diagnostic drawn/needy needs no-such-library>=1 (not installed): pip install 'no-such-library>=1'",
        ),
        (["hits", "--set", "labl=a"], "--set: labl: unknown key; did you mean 'label'?"),
        (["hits", "--set", "label=3"], "--set: label: expected a string, found the integer 3"),
        (
            ["hits", "--set", "weights=[1, true]", "--set", "lable=3"],
            "--set: lable: unknown key; did you mean 'label'?\n--set: weights.1: expected a number, found true",
        ),
        (["hits", "--set", "label"], "--set label: write OPTION=VALUE, where the value is TOML"),
        (["hits", "--set", "use=other"], "--set use=other: is no option: the diagnostic is 'hits' already"),
        (["hits", "--split", "tset"], "drawn has no split 'tset'; it has train, val"),
        (
            ["hits", "--set", 'label="a/"'],
            (
                "the diagnostic calls a picture 'a/0', where letters, digits, - and _ make a file's name; tell the "
                "plugin's author"
            ),
        ),
        (
            ["biasvar"],
            (
                "biasvar: variance shows between 2 trials or more, trainings that differ in their seed or their "
                "training images; found 1"
            ),
        ),
    ],
)
def test_what_does_not_fit_is_told(kdseg, folder, finished, words, told):
    assert kdseg("diagnose", words[0], str(finished), *words[1:], "--json") == (2, "", f"{told}\n")
    assert not (folder / "diagnosis").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", "studnt"], "no model 'studnt'; did you mean 'student'?; it has teacher, student"),
        (
            ["--model", "student", "--model", "teacher"],
            "--model is given 2 times for 1 runs; give it once for all, or once for each",
        ),
    ],
)
def test_models_that_are_not_there_are_told(kdseg, folder, finished, words, told):
    status, out, err = kdseg("diagnose", "hits", str(finished), *words)
    assert (status, out) == (2, "")
    assert err.endswith(f"{told}\n")


def test_a_folder_that_is_no_run_is_told(kdseg, folder):
    status, out, err = kdseg("diagnose", "biasvar", "runs/nothing")
    assert (status, out) == (2, "")
    assert err.startswith("runs/nothing: no run here (no recipe.toml); ")


def test_a_run_is_needed(kdseg):
    assert kdseg("diagnose", "biasvar").status == 2
