"""Files and folders that are there whole, or as they were before."""

from __future__ import annotations

import hashlib
import json
import math

import pytest

from kdseg.engine.folders.files import sha256, whole_folder, whole_group, write_json, write_whole


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep" / "weights"
    write_whole(path, lambda draft: draft.write_text("old"))

    def fail(draft):
        draft.write_text("half of the n")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(path, fail)
    assert path.read_text() == "old"
    assert listing(tmp_path) == ["deep", "deep/weights"]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "weights"
    write_whole(path, lambda draft: draft.write_text("old"))
    seen = []

    def write(draft):
        draft.write_text("new")
        seen.append(path.read_text())

    write_whole(path, write)
    assert seen == ["old"]
    assert path.read_text() == "new"


def test_a_draft_that_a_killed_process_left_is_written_over(tmp_path):
    path = tmp_path / "weights"
    kept = []

    def die(draft):
        kept.append(draft)
        draft.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, die)
    kept[0].write_text("as if the process had died before it could tidy up")
    write_whole(path, lambda draft: draft.write_text("new"))
    assert listing(tmp_path) == ["weights"]


def test_a_folder_is_whole_or_nowhere(tmp_path):
    path = tmp_path / "checkpoints" / "step-1"

    def fail():
        with whole_folder(path) as draft:
            (draft / "first").write_text("1")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert listing(tmp_path) == ["checkpoints"]
    for content in ("old", "new"):
        with whole_folder(path) as draft:
            assert not path.exists() or (path / "file").read_text() == "old"
            (draft / "file").write_text(content)
    assert listing(tmp_path) == ["checkpoints", "checkpoints/step-1", "checkpoints/step-1/file"]
    assert (path / "file").read_text() == "new"


def test_json_for_people(tmp_path):
    write_json(tmp_path / "card.json", {"classes": ["Straße"], "score": math.nan, "worst": -math.inf})
    text = (tmp_path / "card.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == {"classes": ["Straße"], "score": None, "worst": None}
    assert "Straße" in text
    assert text.endswith("}\n")


def test_hash(tmp_path):
    (tmp_path / "file").write_bytes(b"abc" * 100_000)
    assert sha256(tmp_path / "file") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_files_of_a_group_come_together_and_the_named_one_last(tmp_path):
    with whole_group(tmp_path / "deep" / "net.xml") as draft:
        (draft / "net.xml").write_text("graph", encoding="utf-8")
        (draft / "net.bin").write_bytes(b"weights")
        assert [path.name for path in (tmp_path / "deep").iterdir()] == [draft.name]
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["net.bin", "net.xml"]


def test_a_group_that_fails_leaves_what_was_there(tmp_path):
    (tmp_path / "net.xml").write_text("before", encoding="utf-8")
    with pytest.raises(RuntimeError, match="half-way"), whole_group(tmp_path / "net.xml") as draft:  # noqa: PT012
        (draft / "net.bin").write_bytes(b"weights")
        raise RuntimeError("half-way")
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {"net.xml": "before"}
