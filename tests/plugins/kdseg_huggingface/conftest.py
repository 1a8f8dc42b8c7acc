"""Small networks with random weights, as transformers saves them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here may look for a server
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.5]


@pytest.fixture(scope="session")
def save(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Save a network of transformers with random weights; its folder, as a person would have it."""

    def save(network: Any, **preprocessor: Any) -> Path:
        folder = tmp_path_factory.mktemp("saved")
        network.save_pretrained(folder)
        if preprocessor:
            (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor), encoding="utf-8")
        return folder

    return save


@pytest.fixture(scope="session")
def segformer(save: Callable[..., Path]) -> Path:
    """A SegFormer of five classes, which normalises images in its own way."""
    pytest.importorskip("transformers")
    import torch
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(0)
    config = SegformerConfig(
        num_labels=5,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
    )
    return save(SegformerForSemanticSegmentation(config), image_mean=MEAN, image_std=STD, do_normalize=True)
