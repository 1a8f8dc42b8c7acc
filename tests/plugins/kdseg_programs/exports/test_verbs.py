"""`kdseg predict`, `evaluate` and `profile` take an exported file as they take a run, and tell what is no such file."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
import torch

import kdseg as package
from kdseg.engine.profile.runtimes import precision_of


def test_pictures_are_predicted_by_a_file(onnx_run, onnx_file, kdseg, tmp_path):
    cv2.imwrite(str(tmp_path / "street.png"), np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8))
    found = {}
    for name, source in (("file", shutil.copy(onnx_file, tmp_path)), ("run", onnx_run)):
        done = kdseg("predict", str(source), str(tmp_path / "street.png"), "-o", str(tmp_path / name))
        assert done.status == 0, done.err
        found[name] = cv2.imread(str(tmp_path / name / "street_mask.png"), cv2.IMREAD_UNCHANGED)
    assert (found["file"] == found["run"]).mean() >= 0.999


def test_files_are_measured_beside_the_runtimes_of_pytorch(onnx_run, onnx_file, kdseg):
    few = ("--size", "40x72", "--rounds", "5", "--threads", "1")
    runtimes = ("--runtime", "eager", "--runtime", str(onnx_file))
    done = kdseg("profile", str(onnx_run), *runtimes, *few, "--json")
    assert done.status == 0, done.err
    assert list(json.loads(done.out)["runtimes"]) == ["eager", str(onnx_file)]
    pt2 = ("--runtime", str(onnx_file.with_suffix(".pt2")))
    refused = kdseg("profile", str(onnx_run), *pt2, *few)
    assert (refused.status, "can run code of its maker's" in refused.err) == (2, True)
    people = kdseg("profile", str(onnx_run), *pt2, *few, "--trust-code")
    assert people.status == 0, people.err


def test_a_file_away_from_its_run_is_evaluated_on_the_data_of_a_recipe(onnx_run, onnx_file, kdseg, tmp_path):
    beside = kdseg("evaluate", str(onnx_file), "--json")
    assert beside.status == 0, beside.err
    file = shutil.copy(onnx_file, tmp_path / "alone.onnx")
    status, _, err = kdseg("evaluate", str(file))
    assert status == 2
    assert "lies in no run; --data RECIPE" in err
    away = kdseg("evaluate", str(file), "--data", str(onnx_run / "recipe.toml"), "--json")
    assert away.status == 0, away.err
    assert [*json.loads(away.out).values()] == [*json.loads(beside.out).values()]
    bundled = kdseg("evaluate", str(file), "--data", "student_alone")
    assert bundled.status == 0, bundled.err
    mistyped = kdseg("evaluate", str(file), "--data", "student_alnoe")
    assert (mistyped.status, mistyped.out) == (2, "")
    assert mistyped.err.startswith("there is no recipe 'student_alnoe'; did you mean 'student_alone'?")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("evaluate", "FILE", "--model", "student"), "holds one network, in which no model can be named"),
        (("evaluate", "FILE", "--flip"), "gives classes alone, and windows, scales and mirrored views are made one"),
        (("evaluate", "RUN", "--data", "a.toml"), "--data a.toml: is for an exported file"),
        (("predict", "FILE", ".", "--model", "student"), "is an exported file, which runs as it was written"),
        (("predict", "FILE", ".", "--which", "best"), "--which best: "),
        (("evaluate", "FILE", "--which", "last"), "--which last: "),
        (("evaluate", "FILE", "--batch-size", "2"), "--batch-size 2: "),
        (("profile", "unet1m", "--runtime", "FILE", "--classes", "5"), "classes apart, the network 5; measure"),
    ],
    ids=lambda words: "-".join(words) if isinstance(words, tuple) else "",
)
def test_options_that_a_file_cannot_follow_are_told(onnx_run, onnx_file, kdseg, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite(str(tmp_path / "street.png"), np.zeros((40, 72, 3), np.uint8))
    places = {"FILE": str(onnx_file), "RUN": str(onnx_run)}
    status, _, err = kdseg(*(places.get(word, word) for word in words))
    assert status == 2
    assert told in err


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_what_a_library_raises_as_it_runs_is_told(onnx_file, monkeypatch, suffix):
    file = package.load(onnx_file.with_suffix(suffix), trust_code=True)
    floats = np.zeros((1, 40, 72, 3), np.uint8)
    monkeypatch.setattr(file._runner, "_session" if suffix == ".onnx" else "_module", None)
    with pytest.raises(package.KdsegError, match=rf"{suffix}: cannot run on 1 images of 40x72: "):
        file.predict(floats)


def test_a_file_has_no_other_weights(onnx_file):
    with pytest.raises(package.KdsegError, match="is an exported file"):
        package.load(onnx_file, which="last")


@pytest.mark.parametrize(
    ("words", "name", "told"),
    [
        (
            ("--size", "40x72"),
            "student-fp32-40x72.pt2",
            {"40x72": None, "64x96": "sees every image at 40x72 (its size), which is other work than at 64x96"},
        ),
        (
            ("--resize", "40x72"),
            "student-fp32-resize40x72.pt2",
            {"40x72": None, "64x96": "sees every image at 40x72 (its resize), which is other work than at 64x96"},
        ),
        (
            ("--size", "40x72", "--resize", "64x96"),
            "student-fp32-40x72-resize64x96.pt2",
            dict.fromkeys(("40x72", "64x96"), "it cannot be measured beside it; export another file, with one of both"),
        ),
    ],
    ids=["size", "resize", "both"],
)
def test_a_file_that_does_other_work_is_not_measured(onnx_run, kdseg, words, name, told):
    done = kdseg("export", str(onnx_run), "--to", "pt2", *words, "--images", "1")
    assert done.status == 0, done.err
    for size, wrong in told.items():
        few = ("--size", size, "--rounds", "5", "--threads", "1", "--trust-code")
        done = kdseg("profile", str(onnx_run), "--runtime", str(onnx_run / "exports" / name), *few)
        assert done.status == (0 if wrong is None else 2), done.err
        assert wrong is None or wrong in done.err


def test_an_exported_file_has_no_share_of_a_gpus_peak(onnx_file):
    file = package.load(onnx_file)
    assert precision_of(onnx_file.name, file, torch.device("cpu")) == "fp32"
    assert precision_of(onnx_file.name, file, torch.device("cuda")) is None


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
@pytest.mark.parametrize(
    "damage",
    [cut, lambda file: file.write_bytes(b""), lambda file: file.write_text("hello", encoding="utf-8")],
    ids=["cut", "empty", "text"],
)
def test_a_damaged_file_is_told(onnx_file, kdseg, tmp_path, suffix, damage):
    file = onnx_file.with_suffix(suffix)
    damage(file)
    for words in (("evaluate", str(file), "--trust-code"), ("predict", str(file), str(tmp_path), "--trust-code")):
        status, out, err = kdseg(*words)
        assert (status, out) == (2, "")
        assert file.name in err
        assert len(err.splitlines()) == 1


def test_files_that_are_not_ours_are_told(onnx_run, writer, kdseg, tmp_path):
    foreign = writer.write_program(package.load(onnx_run).network, tmp_path / "foreign.onnx", (1, 3, 40, 72))
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    for file, told in (
        (foreign, "foreign.onnx: carries nothing of kdseg's"),
        (tmp_path / "notes.txt", "notes.txt: is no exported file; those end in "),
    ):
        status, _, err = kdseg("evaluate", str(file), "--data", str(onnx_run))
        assert status == 2
        assert told in err


def test_damaged_files_of_openvino_are_told(onnx_run, openvino, kdseg, tmp_path):
    done = kdseg("export", str(onnx_run), "--to", "openvino", "--images", "1")
    assert done.status == 0, done.err
    file = onnx_run / "exports" / "student-fp32.xml"
    weights = file.with_suffix(".bin")
    whole = weights.read_bytes()
    for damage, told in (
        (lambda: weights.write_bytes(whole[: len(whole) // 2]), "cannot open it"),
        (weights.unlink, "student-fp32.bin: is not there; it holds the weights of student-fp32.xml"),
        (lambda: (weights.write_bytes(whole), cut(file)), "cannot open it"),
    ):
        damage()
        status, out, err = kdseg("evaluate", str(file))
        assert (status, out) == (2, "")
        assert told in err
