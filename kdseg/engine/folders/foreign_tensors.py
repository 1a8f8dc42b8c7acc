"""Tensors in files of anybody's making, read without running any code that such a file may carry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kdseg.engine.folders.shards import is_index, read_index, refuse_absent
from kdseg.errors import KdsegError, did_you_mean, display_path, one_line

if TYPE_CHECKING:
    from pathlib import Path

INSIDE = ("state_dict", "model", "model_state_dict")
"""Under which of its keys a checkpoint may hold a network's tensors; the first that is there counts."""
_SHOWN = 10
"""Keys of a file without tensors that a message shows."""


def read_tensors(path: Path, device: torch.device) -> dict[str, Tensor]:
    """Give the tensors of a file by name: of safetensors or, for any other suffix, of what `torch.save` wrote.

    An index of such files, ``model.safetensors.index.json``, gives those of all.

    Args:
        path: the file.
        device: where those of `torch.save` come to lie; on the meta device their values are not read.

    Raises:
        KdsegError: there is no such file, it is damaged, holds no tensors by name, or holds code; or an index and the
            files beside it do not fit.
    """
    refuse_missing(path)
    if is_index(path):
        return _read_shards(path, device)
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise KdsegError(f"{display_path(path)}: these weights cannot be loaded: {one_line(error)}") from error
    try:
        loaded = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise KdsegError(f"{display_path(path)}: {_refusal(str(error), path)}") from error
    return _tensors_of(path, loaded)


def _read_shards(index: Path, device: torch.device) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file, names in read_index(index).items():
        found = read_tensors(file, device)
        refuse_absent(index, file, names, found)
        tensors |= {name: found[name] for name in names}
    return tensors


def refuse_missing(path: Path) -> None:
    """Refuse a file that is not there, with what lies beside it under a name much like it.

    Raises:
        KdsegError: naming it.
    """
    if not path.is_file():
        beside = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        raise KdsegError(f"{display_path(path)}: no such file{did_you_mean(path.name, beside)}")


def _refusal(text: str, path: Path) -> str:
    """Say why a file was not read; torch's own texts advise to run what it carries."""
    if code := re.search(r"GLOBAL (\S+) was not an allowed global", text):
        return (
            f"holds {code[1]}, which is code and no tensor; it was not run. Where you trust the file's author, write "
            f"its tensors alone: torch.save(torch.load({path.name!r}, weights_only=False)['state_dict'], 'weights.pth')"
        )
    if "TorchScript" in text:
        return "is a TorchScript program, which brings its own code; the state_dict of its network is needed"
    if "weights_only" in text or not text:
        return "is no file of tensors, as safetensors and torch.save write them"
    return f"these weights cannot be loaded: {one_line(text)}"


def _tensors_of(path: Path, loaded: Any) -> dict[str, Tensor]:
    """Find a network's tensors in a checkpoint, which may hold an optimizer's and numbers too."""
    if not isinstance(loaded, Mapping):
        raise KdsegError(f"{display_path(path)}: holds a {type(loaded).__name__}; tensors by name are needed")
    inner = next((loaded[key] for key in INSIDE if isinstance(loaded.get(key), Mapping)), loaded)
    tensors = {name: value for name, value in inner.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        keys = ", ".join(map(str, [*loaded][:_SHOWN])) or "nothing"
        raise KdsegError(
            f"{display_path(path)}: holds no tensors by name, neither itself nor under {' or '.join(INSIDE)}; "
            f"it has {one_line(keys)}"
        )
    return tensors
