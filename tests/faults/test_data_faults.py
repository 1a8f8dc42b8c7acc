"""Data, losses and callbacks that fail in the midst of a run: told by name; mended, the run goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import time

import cv2
import numpy as np
import pytest
import torch

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create .* worker processes:UserWarning"),  # on one core
]

KEPT = "The run keeps all up to its last checkpoint"
WAY_ON = "to go on from the last checkpoint: kdseg resume runs/job/"


@pytest.fixture
def fault(monkeypatch):
    """Spoil a sample by its split, the kind of fault and its index; none, to mend it."""

    def fault(split, kind="", index=0):
        monkeypatch.setenv("FAULT", f"{split} {kind}:{index}" if kind else "")

    return fault


@pytest.fixture
def late(write, forked):
    """Give an index of the training split that comes last in the first epoch, and none that `check` reads."""
    from kdseg.data.streams import numpy_generator

    order = numpy_generator(3, "order", 0).permutation(24).tolist()
    return next(index for index in reversed(order) if index >= 8)


@pytest.fixture
def soon(monkeypatch):
    """Let torch wait less than five seconds for a batch before it looks whether its workers live."""
    wait = torch.utils.data.dataloader._MultiProcessingDataLoaderIter._try_get_data
    assert wait.__defaults__ == (torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL,)
    monkeypatch.setattr(wait, "__defaults__", (0.2,))


# Workers that die


@pytest.mark.parametrize(
    ("kind", "words", "workers"),
    [
        ("kill", "a worker that loads images was killed by SIGKILL; most likely the memory ran out: lower ", 2),
        ("exit", "a worker that loads images ended with status 3. " + KEPT, 1),
    ],
    ids=["kill", "exit"],
)
def test_a_worker_that_dies_is_told_and_nothing_hangs(
    forked, write, fault, late, soon, assert_told, assert_resumes, kind, words, workers
):
    write(workers=workers)
    fault("train", kind, late)
    began = time.monotonic()
    assert_told(forked("run", "job.toml"), words, "train.workers" if kind == "kill" else "", WAY_ON)
    assert time.monotonic() - began < 30
    fault("none")
    assert_resumes()


def test_a_worker_that_dies_in_an_evaluation_is_told(forked, write, fault, assert_told, assert_resumes, job):
    write(workers=2)
    fault("val", "kill", 20)
    assert_told(forked("run", "job.toml"), "was killed by SIGKILL", KEPT)
    assert job().kept() == [2]
    fault("none")
    assert_resumes()


# Samples that are bad


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataset_that_raises_is_told_with_the_sample(
    forked, write, fault, late, assert_told, assert_resumes, workers
):
    write(workers=workers)
    fault("train", "raise", late)
    assert_told(
        forked("run", "job.toml"), f"sample {late} cannot be read: ValueError: the archive has no such member", WAY_ON
    )
    assert "Traceback" in forked("run", "job.toml", "--debug").err
    fault("none")
    assert_resumes()


@pytest.mark.parametrize(("split", "workers"), [("train", 0), ("train", 2), ("val", 0)])
def test_a_label_out_of_range_is_told_with_the_sample(
    forked, write, fault, late, assert_told, assert_resumes, split, workers
):
    write(workers=workers)
    index = late if split == "train" else 20
    fault(split, "label", index)
    text = f"{split}-{index}: its mask holds the label 7; labels go from 0 to 2, and 255 is ignored"
    assert_told(forked("run", "job.toml"), text, WAY_ON)
    fault("none")
    assert_resumes()


@pytest.fixture
def camvid(folder, monkeypatch):
    """A folder of real PNG files in CamVid's layout, 24 of each split; give a file by split and number."""
    numbers = np.random.default_rng(5)
    for split in ("train", "val"):
        for kind, shape, most in ((split, (48, 64, 3), 256), (f"{split}annot", (48, 64), 11)):
            (folder / "camvid" / kind).mkdir(parents=True)
            for number in range(24):
                image = numbers.integers(0, most, shape, np.uint8)
                assert cv2.imwrite(str(folder / "camvid" / kind / f"{number:03d}.png"), image)
    monkeypatch.setenv("KDSEG_CAMVID", str(folder / "camvid"))
    return lambda kind, number: folder / "camvid" / kind / f"{number:03d}.png"


@pytest.mark.parametrize(("kind", "workers"), [("train", 0), ("train", 2), ("trainannot", 0), ("val", 2)])
def test_an_image_truncated_in_mid_epoch_is_told_by_its_file(
    forked, write, camvid, late, at, assert_told, assert_resumes, kind, workers
):
    write(workers=workers, dataset="camvid")
    file = camvid(kind, 20 if kind == "val" else late)
    whole = file.read_bytes()
    told = forked("run", "job.toml", watcher=at("on_run_start", 0, lambda _run: os.truncate(file, len(whole) // 2)))
    assert_told(told, f"{file}: is no image that can be decoded; it may be truncated", WAY_ON)
    file.write_bytes(whole)
    assert_resumes()


# Numbers that are none


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nan", "step 5: loss/labels is nan: training diverged. A lower learning rate, `clip`, or a longer warmup"),
        ("gradient", "step 6: loss/labels is nan: training diverged."),
    ],
)
def test_training_that_diverges_keeps_a_good_checkpoint(forked, write, assert_told, job, kind, words):
    write(loss=f'{{ use = "failing", kind = "{kind}", at = 5 }}')
    assert_told(forked("run", "job.toml"), words, "keeps all up to its last checkpoint")
    assert job().kept() == [2, 4]
    assert_finite(job().folder / "checkpoints")
    assert forked("resume", "runs/job").err.splitlines()[-1].startswith(words)  # the same, never another


@pytest.mark.parametrize("at_step", [3, 4, 8])
def test_weights_that_are_lost_while_the_loss_is_finite_are_never_kept(forked, write, assert_told, job, at_step):
    """At step 3 an evaluation is due, at 4 a checkpoint, 8 is the last: none of them may take such weights."""
    write(loss=f'{{ use = "failing", kind = "gradient", at = {at_step} }}')
    told = forked("run", "job.toml")
    assert_told(told, f"step {at_step}: weights of student are no longer finite: training diverged.")
    assert job().kept()[-1] == (at_step - 1) // 2 * 2
    assert_finite(job().folder)
    lines = [json.loads(line) for line in (job().folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "step"][-1] == at_step


def assert_finite(folder):
    from safetensors.torch import load_file

    files = list(folder.rglob("*.safetensors"))
    assert files
    assert all(value.isfinite().all() for file in files for value in load_file(file).values())


def test_values_that_are_read_late_are_read_before_anything_is_kept(forked, write, job):
    """As on a GPU, where they are read every ten steps."""
    from kdseg.engine.run.step_values import StepValues

    write(loss='{ use = "failing", at = 3 }')

    def late():
        StepValues.due = property(lambda _: False)

    told = forked("run", "job.toml", before=late)
    assert "step 3: loss/labels is nan" in told.err
    assert job().kept() == [2]


# Callbacks that fail


def test_a_callback_that_fails_is_told_by_name_and_hides_nothing_when_it_fails_again(
    forked, write, assert_told, assert_resumes, job
):
    write('[callbacks.odd-one]\nuse = "clumsy"\nat = 5\nstrict = true')
    told = forked("run", "job.toml")
    text = "callbacks.odd-one: on_step_end failed after step 5: IndexError: list index out of range"
    assert_told(told, text, WAY_ON)
    assert told.err.splitlines()[-1] == text
    debug = forked("resume", "runs/job", "--debug")
    assert debug.status == 2
    assert "odd-one: on_exception failed, too: TypeError: cannot even take that" in debug.err
    assert job().kept() == [2, 4]


def test_a_callback_that_fails_when_told_of_a_signal_leaves_the_status(forked, write, at):
    write('[callbacks.odd-one]\nuse = "clumsy"')
    told = forked("run", "job.toml", watcher=at("on_step_end", 3, lambda _run: signal.raise_signal(signal.SIGTERM)))
    assert told.status == 143
    assert "Traceback" not in told.err
    assert re.search(r"SIGTERM: stopping after this step, with a checkpoint", told.err)
