from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def segformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a SegFormer of five classes with random weights."""
    saved = pytest.importorskip("hugging_face", reason="the extra huggingface is not installed")
    folder: Path = saved.save_segformer(tmp_path_factory.mktemp("saved"))
    return folder
