from __future__ import annotations

import pytest
from engine_runs import (  # noqa: F401 (pytest finds them here)
    assert_same_fixture,
    folder_fixture,
    lines_fixture,
    load_fixture,
    train_fixture,
    weights_fixture,
)


@pytest.fixture(autouse=True)
def on_one_thread(one_thread: None) -> None:
    """Run every test so."""
