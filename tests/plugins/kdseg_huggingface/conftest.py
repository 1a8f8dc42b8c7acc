from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here may look for a server


@pytest.fixture(scope="session")
def segformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a SegFormer of five classes with random weights."""
    saved = pytest.importorskip("hugging_face", reason="the extra huggingface is not installed")
    folder: Path = saved.save_segformer(tmp_path_factory.mktemp("saved"))
    return folder
