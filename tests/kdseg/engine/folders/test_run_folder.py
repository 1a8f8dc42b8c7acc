"""A run is found by its folder or the one above; what is not there is told with what may be meant."""

from __future__ import annotations

import pytest

from kdseg.engine.folders.run_folder import RECIPE, find_run
from kdseg.errors import KdsegError


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with two runs of one name; the newer one holds an export."""
    monkeypatch.chdir(tmp_path)
    for stamp in ("20260101-000000", "20260102-000000"):
        (tmp_path / "runs" / "road" / stamp / "exports").mkdir(parents=True)
        (tmp_path / "runs" / "road" / stamp / RECIPE).touch()
    (tmp_path / "runs/road/20260102-000000/exports/student-fp32.onnx").touch()
    return tmp_path / "runs" / "road"


def test_a_run_is_its_folder_or_the_newest_of_the_one_above(home):
    assert find_run(home) == home / "20260102-000000"
    assert find_run(home / "20260101-000000") == home / "20260101-000000"


NEWEST = "runs/road/20260102-000000"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (f"{NEWEST}/exports/student-fp32.onn", "; did you mean 'student-fp32.onnx'?"),
        (f"{NEWEST}/exports/zebra.png", ""),
        (f"{NEWEST}/nowhere/student-fp32.onnx", ""),
        ("runs/road/exports/student-fp32.onnx", f"; the latest run there has {NEWEST}/exports/student-fp32.onnx"),
        (
            "runs/road/exports/student-fp32.onn",
            f"; files of a run lie in its own folder: {NEWEST}; did you mean 'student-fp32.onnx'?",
        ),
        ("runs/road/exports/zebra.png", f"; files of a run lie in its own folder: {NEWEST}"),
        ("nowhere/at/all.onnx", ""),
        ("all.onnx", ""),
    ],
)
def test_a_file_that_is_not_there_is_told_with_what_may_be_meant(home, tmp_path, path, told):
    with pytest.raises(KdsegError) as error:
        find_run(tmp_path / path)
    assert str(error.value) == f"{path}: no such file or run{told}"


def test_a_folder_that_is_no_run_is_told(home, tmp_path):
    for path in (home.parent, tmp_path / "nothing"):
        with pytest.raises(KdsegError, match=rf"^{path.name}: no run here \(no {RECIPE}\)"):
            find_run(path)
