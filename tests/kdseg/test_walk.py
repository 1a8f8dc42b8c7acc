"""What lies below a folder, through links that may lead anywhere."""

from __future__ import annotations

import pytest

from kdseg.errors import KdsegError
from kdseg.walk import walk


@pytest.fixture
def names(tmp_path):
    """Give the paths of all files that are found below the folder ``here``."""
    here = tmp_path / "here"
    (here / "deep/er").mkdir(parents=True)
    for name in ("z.png", ".hidden.png", "deep/a.png", "deep/er/b.png"):
        (here / name).touch()

    def names():
        found = [
            "/".join((*way, entry.name))
            for way, _, entries in walk(here)
            for entry in entries
            if entry.name.endswith(".png")
        ]
        assert all((here / name).is_file() for name in found)
        return found

    return names


def test_files_come_folder_by_folder_without_the_hidden(tmp_path, names):
    (tmp_path / "here/.cache").mkdir()
    (tmp_path / "here/.cache/c.png").touch()
    assert names() == ["z.png", "deep/a.png", "deep/er/b.png"]


def test_a_linked_folder_is_one_like_others_however_often_it_is_linked(tmp_path, names):
    (tmp_path / "there/inner").mkdir(parents=True)
    (tmp_path / "there/inner/c.png").touch()
    (tmp_path / "here/one").symlink_to(tmp_path / "there")
    (tmp_path / "here/two").symlink_to(tmp_path / "there")
    assert names() == ["z.png", "deep/a.png", "deep/er/b.png", "one/inner/c.png", "two/inner/c.png"]


@pytest.mark.parametrize("target", [".", "deep", "..", "../..", "loop", "nowhere"])
def test_a_link_that_leads_back_or_nowhere_adds_nothing(tmp_path, names, target):
    (tmp_path / "here/deep/loop").symlink_to(target)
    (tmp_path / "here/deep/deep").symlink_to(".")
    assert names() == ["z.png", "deep/a.png", "deep/er/b.png"]


def test_folders_that_link_to_each_other_end(tmp_path, names):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/c.png").touch()
    (tmp_path / "there/back").symlink_to(tmp_path / "here")
    (tmp_path / "there/up").symlink_to(tmp_path)
    (tmp_path / "here/there").symlink_to(tmp_path / "there")
    assert names() == ["z.png", "deep/a.png", "deep/er/b.png", "there/c.png"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(KdsegError, match=r"nothing: cannot be read: No such file"):
        list(walk(tmp_path / "nothing"))
