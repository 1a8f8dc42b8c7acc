"""Small networks and datasets as the libraries of Hugging Face save them; to be imported where these are there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import datasets
import torch
import transformers
from drawn_folder import ENCODINGS, image_of, indices_of

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.5]
"""By which the SegFormer wants its images normalised."""


def save_segformer(folder: Path, num_labels: int = 5) -> Path:
    """Save a SegFormer with random weights."""
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        num_labels=num_labels,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
    )
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder)
    said = {"do_normalize": True, "image_mean": MEAN, "image_std": STD}
    (folder / "preprocessor_config.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


def encoded(picture: np.ndarray | bytes, suffix: str = ".png") -> bytes:
    """Give a picture as a file holds it."""
    if isinstance(picture, bytes):
        return picture
    content: bytes = cv2.imencode(suffix, picture[..., ::-1] if picture.ndim == 3 else picture)[1].tobytes()
    return content


def rows(
    first: int,
    count: int = 4,
    encoding: str = "indices",
    *,
    image: str = "image",
    mask: str = "mask",
    instead: dict[str, Any] | None = None,
) -> Any:
    """Make a split of drawn images, their masks and a column of numbers, without Pillow."""
    columns = {
        image: [encoded(image_of(first + n), ".jpg") for n in range(count)],
        mask: [encoded(ENCODINGS[encoding](indices_of(first + n))) for n in range(count)],
        **(instead or {}),
    }
    kept = {name: [cell and {"bytes": cell, "path": None} for cell in cells] for name, cells in columns.items()}
    dataset = datasets.Dataset.from_dict({**kept, "number": [1] * count})
    for name in kept:
        dataset = dataset.cast_column(name, datasets.Image())
    return dataset
