from __future__ import annotations

import pytest
from drawn_folder import make_folder


@pytest.fixture
def workplace(tmp_path, monkeypatch, one_thread):
    """A working folder for the command line."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make(workplace):
    """Make the folder ``photos``: ``make("indices", count=4, image="images/{:03}.jpg")``."""

    made = 0

    def make(encoding="indices", *, count=40, image="images/{:03}.jpg", mask="masks/{:03}.png"):
        nonlocal made
        make_folder(workplace / "photos", encoding, count=count, image=image, mask=mask, first=made)
        made += count
        return workplace / "photos"

    return make
