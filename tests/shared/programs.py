"""A network written as programs: by torch.export, by TorchScript and as ONNX; to be imported where ONNX's libraries are."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

SORTS = {"exported": "pt2", "torchscript": "ts", "onnx": "onnx"}
"""The suffix of each backbone's files."""


def write_program(network: nn.Module, file: Path, shape: tuple[int, ...] = (2, 3, 64, 96), *, fixed: bool = False) -> Path:
    """Write a network in eval mode as the program that the file's suffix says.

    Args:
        network: what is written.
        file: ends in `.pt2`, `.ts` or `.onnx`.
        shape: of the images with which it is traced.
        fixed: whether it takes images of this shape alone, where the sort of program knows that at all.
    """
    network, images = network.eval(), torch.randn(shape)
    free: Any = None if fixed else {0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about itself
        if file.suffix == ".ts":
            torch.jit.save(torch.jit.trace(network, images), str(file))
        elif file.suffix == ".pt2":
            torch.export.save(torch.export.export(network, (images,), dynamic_shapes=free and (free,)), str(file))
        else:
            torch.onnx.export(
                network,
                (images,),
                str(file),
                dynamo=True,
                dynamic_shapes=free and (free,),
                external_data=False,
                verbose=False,
            )
    return file
