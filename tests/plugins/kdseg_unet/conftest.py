from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def on_one_thread(one_thread: None) -> None:
    """Run every test of this folder so: several threads would wait for each other longer than they work."""
