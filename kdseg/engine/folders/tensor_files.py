"""Weights and buffers in files: safetensors, which hold numbers alone."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from kdseg.engine.folders.files import write_whole
from kdseg.errors import KdsegError, display_path, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

_DIGEST = "sha256"
"""What a weights file calls the checksum among its metadata; a file of another's making need have none."""


def load_weights(network: nn.Module, weights: Path) -> None:
    """Fill a network from a safetensors file.

    Raises:
        KdsegError: where the file is missing, damaged, or another network's.
    """
    try:
        with safe_open(weights, "pt") as opened:
            told = (opened.metadata() or {}).get(_DIGEST)
        tensors = load_file(weights)
        network.load_state_dict(tensors)
    except FileNotFoundError as error:
        raise KdsegError(f"{display_path(weights)}: no such weights") from error
    except (SafetensorError, RuntimeError, OSError) as error:
        raise KdsegError(f"{display_path(weights)}: these weights cannot be loaded: {one_line(error)}") from error
    if told is not None and told != _digest(tensors):
        raise KdsegError(f"{display_path(weights)}: damaged: these weights are not those that were written")


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's weights and buffers as safetensors, with a checksum, whole or not at all.

    Beside `path`, what a killed process left of weights half written is swept away.
    """
    for left in path.parent.glob(".tmp*"):  # the library writes to a file of such a name before it moves it
        left.unlink(missing_ok=True)
    tensors = plain_tensors(network)
    write_whole(path, lambda draft: save_tensors(tensors, draft, {_DIGEST: _digest(tensors)}))


def save_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write what `plain_tensors` gave as safetensors.

    The file is as open as any new one: the library's own are for nobody but their owner.
    """
    path.touch()
    mode = path.stat().st_mode
    save_file(tensors, path, metadata)
    path.chmod(mode)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Give a SHA-256 over names, types, shapes and values; the format itself has no checksum."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def plain_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Give a module's weights and buffers as safetensors takes them: on the CPU, contiguous, no two in one memory."""
    plain: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, value in network.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        if tensor.untyped_storage().data_ptr() in taken:  # tied weights, under two names
            tensor = tensor.clone()
        taken.add(tensor.untyped_storage().data_ptr())
        plain[name] = tensor
    return plain
