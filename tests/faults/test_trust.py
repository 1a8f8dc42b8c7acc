"""What comes from elsewhere is read, never run, and leads nowhere outside its folder."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from fault_jobs import Stop, StopError, student_job

import kdseg
from kdseg.components import DatasetContext
from kdseg.engine.folders.run_folder import find_run
from kdseg.engine.run.start import resume_run, run_recipe
from kdseg.errors import KdsegError
from kdseg.recipe.load import load_recipe
from kdseg_road import CamVid

RECIPE = student_job(4, loss="learned_scale")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    return tmp_path


def write(text, name="job.toml"):
    Path(name).write_text(text, encoding="utf-8")
    return Path(name)


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A run that stopped after its third step, and one that is finished."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("origin"))
        loaded = load_recipe(write(RECIPE))
        with pytest.raises(StopError):
            run_recipe(loaded, console=Stop)
        return find_run(Path("runs/job")), run_recipe(loaded).folder


@pytest.fixture
def stopped(origin, folder):
    return shutil.copytree(origin[0], folder / "stopped")


@pytest.fixture
def finished(origin, folder):
    return shutil.copytree(origin[1], folder / "finished")


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, witness):
        self.witness = str(witness)

    def __reduce__(self):
        return (open, (self.witness, "w"))


def in_archive(data):
    """Put a pickle where torch's zip archives hold theirs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return buffer.getvalue()


def saved(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


BOMBS = {
    "a pickle": pickle.dumps,
    "an old pickle": lambda bomb: pickle.dumps(bomb, protocol=0),
    "saved by torch": saved,
    "saved by an old torch": lambda bomb: saved(bomb, _use_new_zipfile_serialization=False),
    "within what is expected": lambda bomb: saved({"optimizer": {"state": bomb}, "schedule": {}, "steps": 2}),
    "a bare archive": lambda bomb: in_archive(pickle.dumps(bomb, protocol=2)),
}


@pytest.fixture(params=BOMBS)
def bomb(request, tmp_path):
    """A file that would make another, and how to see that it did."""
    witness = tmp_path / "it-ran"
    yield BOMBS[request.param](Bomb(witness))
    assert not witness.exists()


def test_a_bomb_goes_off_where_a_pickle_is_trusted(tmp_path):
    for number, (name, make) in enumerate(BOMBS.items()):
        witness = tmp_path / f"{number}"
        data = io.BytesIO(make(Bomb(witness)))
        opened = pickle.load(data) if "pickle" in name else torch.load(data, weights_only=False)
        assert witness.exists(), name
        for file in [opened, *(opened["optimizer"].values() if isinstance(opened, dict) else [])]:
            getattr(file, "close", dict)()


@pytest.mark.parametrize("file", ["student.training.pt", "student.safetensors", "labels.loss.safetensors"])
def test_nothing_in_a_checkpoint_is_run(stopped, file, bomb):
    """Its checksum is right: whoever can write a file can write that, too."""
    checkpoint = stopped / "checkpoints" / "step-00000002"
    (checkpoint / file).write_bytes(bomb)
    checksums = json.loads((checkpoint / "checksums.json").read_text())
    (checkpoint / "checksums.json").write_text(json.dumps(checksums | {file: hashlib.sha256(bomb).hexdigest()}))
    with pytest.raises(KdsegError, match="step-00000002: this checkpoint does not fit the run: "):
        resume_run(stopped)


def test_nothing_in_a_models_weights_is_run(finished, bomb):
    (finished / "models" / "student" / "best.safetensors").write_bytes(bomb)
    for path in (finished, finished / "models" / "student"):
        with pytest.raises(KdsegError, match=r"best\.safetensors: these weights cannot be loaded: "):
            kdseg.load(path, trust_code=True)
    weights = f'weights = {{ run = "{finished}" }}\n'
    recipe = load_recipe(write(RECIPE.replace('"tiny"\n', f'"tiny"\n{weights}')))
    with pytest.raises(KdsegError, match=r"best\.safetensors: these weights cannot be loaded: "):
        run_recipe(recipe)


OUTSIDE = ("../../x", "/etc/x", "..", "a/b", "a\\\\b", ".x", "x\\u0000", "")


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("place", ["models", "terms", "callbacks"])
def test_names_that_would_lead_outside_are_refused(stopped, folder, place, name):
    """In a recipe that a person writes, and in the one that lies in a run's folder."""
    diary = '[callbacks.diary]\nuse = "parts/diary"\n'
    table = {"models": "[models.student", "terms": "[terms.labels", "callbacks": "[callbacks.diary"}[place]
    saved = stopped / "recipe.toml"
    for text in (RECIPE + diary, saved.read_text() + diary):
        assert table in text
        write(text.replace(table, f'[{place}."{name}"'))
        with pytest.raises(KdsegError, match="is no name here"):
            load_recipe("job.toml")
    Path("job.toml").replace(saved)
    before = sorted(folder.rglob("*"))
    with pytest.raises(KdsegError, match="is no name here"):
        resume_run(stopped)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("name", [*OUTSIDE, "../../finished/models/student"])
def test_weights_of_a_model_outside_are_refused(finished, name):
    (finished / "models" / "x").symlink_to(finished / "models" / "student")
    text = RECIPE.replace('"tiny"\n', f'"tiny"\nweights = {{ run = "{finished}", model = "{name}" }}\n')
    with pytest.raises(KdsegError, match=r"models\.student\.weights: .*no model"):
        run_recipe(load_recipe(write(text)))
    with pytest.raises(KdsegError, match="no model"):
        kdseg.load(finished, name)


TRAIN = DatasetContext(split="train", seed=0)


def camvid(root, *, images):
    """Write a CamVid whose split `train` has images of its own."""
    for split, channels in (("train", 3), ("trainannot", 1)):
        (root / split).mkdir(parents=True)
        for number in range(images):
            array = np.full((36, 48, channels), number, np.uint8)
            assert cv2.imwrite(str(root / split / f"{number}.png"), array)
    return root


def test_a_dataset_that_is_linked_as_people_do_is_read(folder):
    """CamVid has no list of files by which it could name any: what lies in its folders was put there on purpose."""
    whole = camvid(folder / "store", images=3)
    (folder / "linked").symlink_to(whole)
    assert len(CamVid(root=folder / "linked").build(TRAIN)) == 3
    by_file = folder / "by-file"
    for split in ("train", "trainannot"):
        (by_file / split).mkdir(parents=True)
        for file in (whole / split).iterdir():
            (by_file / split / file.name).symlink_to(file)
    samples = CamVid(root=by_file).build(TRAIN)
    assert [int(samples[index].mask.max()) for index in range(3)] == [0, 1, 2]


def test_a_link_to_what_is_no_image_tells_nothing_of_it(folder):
    root = camvid(folder / "camvid", images=1)
    (folder / "secret").write_text("hunter2", encoding="utf-8")
    for split in ("train", "trainannot"):
        (root / split / "0.png").unlink()
        (root / split / "0.png").symlink_to(folder / "secret")
    with pytest.raises(KdsegError, match=r"0\.png: is no image that can be decoded") as caught:
        CamVid(root=root).build(TRAIN)[0]
    assert "hunter2" not in str(caught.value)
