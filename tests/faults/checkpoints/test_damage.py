"""Checkpoints with every damage: the one before is used and told, or the run begins again."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import socket
from pathlib import Path

import pytest
from attrs import evolve

from kdseg.engine.folders.checkpoint import prune_checkpoints, whole_checkpoints
from kdseg.engine.run.recorder import Recorder
from kdseg.engine.run.saving import save

FILES = (
    *("checksums.json", "state.json", "labels.loss.safetensors"),
    *(f"{name}.safetensors" for name in ("student", "teacher", "mean")),
    *(f"{name}.training.pt" for name in ("student", "teacher")),
)
TEXTS = FILES[:2]
NEWEST, BEFORE, OLDEST = (f"step-{step:08d}" for step in (6, 4, 2))


def test_the_list_of_files_is_whole(checkpoints):
    assert sorted(path.name for path in (checkpoints / NEWEST).iterdir()) == sorted(FILES)


def test_whichever_checkpoint_is_taken_the_run_is_as_it_was(kept, checkpoints, take_up, witness):
    found = {}
    for _ in range(2):
        for step in (6, 4, 2):
            for other in checkpoints.iterdir():
                shutil.rmtree(other)
            shutil.copytree(kept.folder / "kept" / f"step-{step:08d}", checkpoints / f"step-{step:08d}")
            assert take_up() == (step, [])
            assert witness() == found.setdefault(step, witness())
    assert len(set(found.values())) == 3


def replace(make):
    def damage(file):
        file.unlink()
        make(file)

    return damage


WHOLE_FILE = {
    "deleted": replace(lambda _: None),
    "empty": replace(Path.touch),
    "a folder": replace(Path.mkdir),
    "a full folder": replace(lambda file: (file / "inner").mkdir(parents=True)),
    "a pipe": replace(os.mkfifo),
    "a socket": replace(lambda file: socket.socket(socket.AF_UNIX).bind(os.path.relpath(file))),
    "a device": replace(lambda file: file.symlink_to("/dev/zero")),
    "a link to itself": replace(lambda file: file.symlink_to(file)),
    "a link to nothing": replace(lambda file: file.symlink_to("nowhere")),
    "not UTF-8": lambda file: file.write_bytes(b"\xff\xfe\x00"),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"\n"),
    "blank": lambda file: file.write_bytes(bytes(file.stat().st_size)),
}


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("damage", WHOLE_FILE)
def test_a_file_that_is_no_more_what_it_was(checkpoints, take_up, monkeypatch, damage):
    monkeypatch.chdir(checkpoints)
    for file in FILES:
        if damage == "longer" and file == "checksums.json":
            continue  # a line break more says the same
        shutil.copytree(checkpoints / NEWEST, aside := checkpoints / "aside", symlinks=True)
        WHOLE_FILE[damage](checkpoints / NEWEST / file)
        step, (told,) = take_up()
        assert step == 4
        assert f"{NEWEST}: damaged" in told
        assert file in told or file == "checksums.json"
        shutil.rmtree(checkpoints / NEWEST)
        aside.rename(checkpoints / NEWEST)


def test_a_file_that_moved_out_and_is_linked_is_not_read(checkpoints, take_up):
    file = checkpoints / NEWEST / "student.safetensors"
    file.rename(checkpoints.parent / "elsewhere")
    file.symlink_to(checkpoints.parent / "elsewhere")
    told = f"{checkpoints / NEWEST}: damaged (student.safetensors is no plain file); an older one is used"
    assert take_up() == (4, [told])


def survives(checkpoints, name, content):
    """Put a damaged file in its place and back, and tell whether the checkpoint before was chosen."""
    file = checkpoints / NEWEST / name
    sound = file.read_bytes()
    file.write_bytes(content)
    try:
        return next(whole_checkpoints(checkpoints)).name == BEFORE
    finally:
        file.write_bytes(sound)


def flips(data, bits):
    for bit in bits:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


@pytest.mark.parametrize("name", FILES)
def test_some_bits_flipped_and_some_ends_cut_off(checkpoints, name):
    data = (checkpoints / NEWEST / name).read_bytes()
    draw = random.Random(name)
    bits, lengths = (draw.sample(range(count), min(100, count)) for count in (8 * len(data), len(data)))
    for damaged in (*flips(data, bits), *(data[:length] for length in lengths)):
        assert survives(checkpoints, name, damaged)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_every_byte_changed_and_every_end_cut_off(checkpoints, name):
    """A bit of each byte, and of the texts every bit: 80,000 damages."""
    data = (checkpoints / NEWEST / name).read_bytes()
    draw = random.Random(name)
    bits = [8 * byte + draw.randrange(8) for byte in range(len(data))]
    for damaged in flips(data, range(8 * len(data)) if name in TEXTS else bits):
        assert survives(checkpoints, name, damaged)
    for length in range(len(data)):
        assert survives(checkpoints, name, data[:length])


DEEP = "[" * 100_000
CHECKSUMS = {
    "no table": ["[]", "null", "1", '"student.safetensors"', "true", ""],
    "no checksums": ['{"state.json": 1}', '{"state.json": null}', '{"state.json": {}}', '{"state.json": ["0"]}'],
    "deep": [DEEP, f'{{"state.json": {DEEP}'],
    "odd names": ['{"": "0"}', '{".": "0"}', '{"a\\u0000b": "0"}', '{"\\ud800": "0"}', f'{{"{"n" * 5000}": "0"}}'],
    "itself": ['{"checksums.json": "0"}'],
    "numbers without end": [f'{{"state.json": {"1" * 5000}}}', '{"state.json": NaN}'],
}


@pytest.mark.parametrize("case", CHECKSUMS)
def test_checksums_that_are_none(checkpoints, take_up, case):
    for text in CHECKSUMS[case]:
        (checkpoints / NEWEST / "checksums.json").write_text(text, encoding="utf-8")
        step, (told,) = take_up()
        assert step == 4
        assert f"{NEWEST}: damaged" in told
        assert len(told) < 6000


def test_checksums_that_would_fill_the_memory_are_not_read(checkpoints, take_up):
    os.truncate(checkpoints / NEWEST / "checksums.json", 1 << 40)
    cause = "ValueError: checksums.json is no list of checksums"
    assert take_up() == (4, [f"{checkpoints / NEWEST}: damaged ({cause}); an older one is used"])


@pytest.mark.parametrize("spelling", ["../../outside", "{outside}", "sub/../../../outside", "sub/link", "link"])
def test_checksums_that_name_files_elsewhere_open_none_of_them(checkpoints, take_up, monkeypatch, spelling):
    newest, outside = checkpoints / NEWEST, checkpoints.parent / "outside"
    outside.write_bytes(b"secret")
    (newest / "sub").mkdir()
    for link in (newest / "link", newest / "sub" / "link"):
        link.symlink_to(outside)
    checksums = json.loads((newest / "checksums.json").read_text())
    checksums |= {spelling.format(outside=outside): hashlib.sha256(b"secret").hexdigest()}
    (newest / "checksums.json").write_text(json.dumps(checksums))
    opened, path_open = [], Path.open
    monkeypatch.setattr(Path, "open", lambda path, *args, **kw: opened.append(path) or path_open(path, *args, **kw))
    step, (told,) = take_up()
    assert step == 4
    assert "which is no file of this folder" in told or "link is no plain file" in told
    assert outside.resolve() not in {path.resolve() for path in opened}
    assert newest / "state.json" in opened  # the spy sees


def test_a_stray_file_changes_nothing(checkpoints, take_up, witness):
    """What a file manager or a network drive leaves is never read, so it costs no progress."""
    assert take_up() == (6, [])
    before = witness()
    for name in (".DS_Store", ".nfs0001", "notes.txt", "peer.safetensors"):
        (checkpoints / NEWEST / name).write_bytes(b"anything")
    assert take_up() == (6, [])
    assert witness() == before


def test_several_at_once_and_all(checkpoints, take_up):
    (checkpoints / NEWEST / "state.json").unlink()
    (checkpoints / BEFORE / "student.safetensors").write_bytes(b"")
    step, told = take_up()
    assert step == 2
    assert [NEWEST in told[0], BEFORE in told[1], len(told)] == [True, True, 2]
    (checkpoints / OLDEST / "checksums.json").unlink()
    step, told = take_up()
    assert step == 0
    assert len(told) == 4
    assert told[-1] == "no checkpoint of this run is whole: it begins again"


def test_what_is_not_named_like_a_checkpoint_is_none_and_is_left_alone(checkpoints, take_up):
    for name in (f"{NEWEST}-backup", "step-latest", "step-9"):
        shutil.copytree(checkpoints / OLDEST, checkpoints / name)
    assert take_up() == (6, [])
    prune_checkpoints(checkpoints, 6, keep=1)
    assert sorted(path.name for path in checkpoints.iterdir()) == [NEWEST, f"{NEWEST}-backup", "step-9", "step-latest"]


def test_past_a_hundred_million_steps_the_newest_is_still_the_newest(checkpoints):
    (checkpoints / NEWEST).rename(checkpoints / "step-100000000")
    (checkpoints / BEFORE).rename(checkpoints / "step-99999999")
    assert [path.name for path in whole_checkpoints(checkpoints)] == ["step-100000000", "step-99999999", OLDEST]
    prune_checkpoints(checkpoints, 99_999_999, keep=1)
    assert [path.name for path in checkpoints.iterdir()] == ["step-99999999"]


@pytest.mark.parametrize("kind", ["a file", "a link"])
def test_a_checkpoint_that_is_no_folder_is_told_and_written_over(kept, checkpoints, take_up, kind):
    newest = checkpoints / NEWEST
    if kind == "a file":
        shutil.rmtree(newest)
        newest.write_bytes(b"")
    else:
        newest.rename(aside := checkpoints.parent / "aside")
        newest.symlink_to(aside)
    assert take_up() == (4, [f"{newest}: damaged (it is no folder); an older one is used"])
    save(evolve(kept, folder=checkpoints.parent, recorder=Recorder(None), step=6))
    assert take_up() == (6, [])
    assert kind == "a file" or len(list(aside.iterdir())) == len(FILES)  # what the link led to is nobody's to delete
