"""An export that says something else than its network, or cannot be written, leaves nothing and is told."""

from __future__ import annotations

import json
import resource
import sys
from contextlib import contextmanager

import pytest
import torch

from kdseg.data.images import byte_batch
from kdseg.engine.deploy.images import spread
from kdseg.engine.splits.open import open_split
from kdseg.recipe.load import load_recipe


def left(run):
    """What lies in the exports' folder, drafts too."""
    return sorted(path.name for path in (run / "exports").rglob("*"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--to", "shifted"),
            "% of pixels have the network's class, at least 99.99% must; the mean IoU of ",
        ),
        (("--to", "shifted", "--precision", "int8"), "; --max-drop 1 allows no more. Nothing was left. The likely"),
        (("--to", "forgetful"), "the exporter forgetful lost what the file must carry"),
        (("--to", "full"), "student-fp32.full: No space left on device; nothing was left of the export; make room"),
        (("--to", "raising"), "exporter raising cannot write the network: ValueError: a message of over 2 GB"),
        (("--to", "idle"), "exporter idle wrote no student-fp32.idle; tell whoever wrote it"),
        (("--to", "halved"), "exporter halved wrote no student-fp32.rest; tell whoever wrote it"),
        (("--to", "wide"), "student-fp32.wide: gives int64 1x40x72 for 1 images of 40x72, and its card says classes"),
        (("--to", "unopened"), "/exports/student-fp32.unopened"),
        (("--to", "lacking"), "needs kdseg-no-such-library>=2 (not installed): pip install 'kdseg-no-such-library>=2'"),
        (("--to", "onxn"), "unknown exporter 'onxn'; did you mean 'onnx'?"),
        (("--to", "onnx", "--precision", "bf16"), "--precision bf16: not by the exporter onnx: ONNX Runtime has no"),
        (("--to", "pt2", "--precision", "int8"), "--precision int8: not by the exporter pt2: PyTorch itself has no"),
        (("--to", "pt2", "--output", "a.onnx"), "--output a.onnx: files of pt2 end in .pt2"),
        (("--to", "pt2", "--model", "studnet"), "no model 'studnet'; did you mean 'student'?"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_told_and_nothing_is_left(export, run, libraries, words, told):
    status, out, err = export(*words)
    assert (status, out) == (2, "")
    assert told in err
    assert left(run) == []


def test_a_loss_that_is_allowed_is_written_and_told(export, run):
    allowed = ("--max-drop", "100", "--min-equal", "0", "--images", "3")
    status, out, err = export("--to", "shifted", *allowed)
    assert status == 0, err
    assert "images of the check            3\n" in out
    assert left(run) == ["student-fp32.shifted", "student-fp32.shifted.json"]


@contextmanager
def short_of_room():
    """Let no file grow beyond 40 kB: the nearest to a full disk that a process may do to itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="it needs a limit on files that errors come of")
@pytest.mark.parametrize(("to", "suffix"), [("onnx", ".onnx"), ("openvino", ".xml"), ("pt2", ".pt2")])
def test_a_disk_that_is_full_is_told_by_every_exporter(request, export, run, to, suffix):
    request.getfixturevalue("openvino" if to == "openvino" else "libraries")
    with short_of_room():
        status, _, err = export("--to", to, "--images", "1")
    assert status == 2, err
    assert f"student-fp32{suffix}: File too large; nothing was left of the export" in err
    assert left(run) == []


def test_a_file_that_would_lie_beside_is_not_overwritten(export, run, openvino):
    stranger = run / "exports" / "student-fp32.bin"
    stranger.parent.mkdir()
    stranger.write_bytes(b"of somebody else")
    status, _, err = export("--to", "openvino", "--images", "1")
    assert status == 2
    assert "student-fp32.bin: would be overwritten, and belongs to no export" in err
    assert stranger.read_bytes() == b"of somebody else"
    stranger.unlink()
    for _ in range(2):  # what an export left is written over
        assert export("--to", "openvino", "--images", "1").status == 0


def test_an_export_that_fails_leaves_the_one_before(export, run):
    target = run / "exports" / "student-fp32.full"
    target.parent.mkdir()
    target.write_bytes(b"the one before")
    assert export("--to", "full").status == 2
    assert target.read_bytes() == b"the one before"
    assert left(run) == [target.name]


@pytest.mark.parametrize("size", [None, (32, 64)], ids=["any size", "one size"])
def test_int8_is_calibrated_on_training_images_alone(export, run, tmp_path, monkeypatch, size):
    monkeypatch.setenv("KDSEG_WITNESS", str(tmp_path / "seen.pt"))
    words = () if size is None else ("--size", "32x64")
    status, _, err = export("--to", "witness", "--precision", "int8", "--calibrate", "5", "--images", "2", *words)
    assert status == 0, err
    seen = torch.load(tmp_path / "seen.pt")
    samples = open_split(load_recipe(run / "recipe.toml").recipe, "train")
    wanted = [byte_batch(samples[index].image) for index in spread(samples, 5)]
    assert len(seen) == len(wanted) == 5
    if size is None:
        assert all(torch.equal(one, other) for one, other in zip(seen, wanted, strict=True))
    assert {tuple(image.shape) for image in seen} == {(1, 3, *(size or (40, 72)))}


@pytest.mark.parametrize(
    ("words", "count"),
    [(("--precision", "int8", "--calibrate", "5"), 5), (("--precision", "int8", "--calibrate", "100"), 32), ((), 0)],
    ids=["some", "more than there are", "none"],
)
def test_the_images_that_calibrated_are_counted(export, run, tmp_path, monkeypatch, words, count):
    monkeypatch.setenv("KDSEG_WITNESS", str(tmp_path / "seen.pt"))
    status, out, err = export("--to", "witness", *words, "--images", "1", "--json")
    assert status == 0, err
    assert json.loads(out)["calibration_images"] == len(torch.load(tmp_path / "seen.pt") if words else ()) == count


def test_a_file_that_can_run_code_is_opened_only_where_it_is_trusted(onnx_run, kdseg):
    file = onnx_run / "exports" / "student-fp32.pt2"
    status, _, err = kdseg("evaluate", str(file))
    assert status == 2
    assert "can run code of its maker's" in err
    assert kdseg("evaluate", str(file), "--trust-code").status == 0
