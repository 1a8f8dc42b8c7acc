"""Weights parted among several files, as libraries part large ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save_file

if TYPE_CHECKING:
    from torch import Tensor


def save_shards(state: dict[str, Tensor], index: str | Path, count: int = 2) -> list[Path]:
    """Write tensors to so many files of safetensors in turn, and the index; give the files."""
    index = Path(index)
    head = index.name.removesuffix(".safetensors.index.json")
    files = [index.with_name(f"{head}-{number + 1:05}-of-{count:05}.safetensors") for number in range(count)]
    places = {name: files[number % count] for number, name in enumerate(state)}
    for file in files:
        save_file({name: value for name, value in state.items() if places[name] == file}, file)
    said = {"metadata": {}, "weight_map": {name: file.name for name, file in places.items()}}
    index.write_text(json.dumps(said), encoding="utf-8")
    return files
