"""A network written as a program: by torch.export, as TorchScript, or as ONNX."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

SORTS = {"exported": "pt2", "torchscript": "ts", "onnx": "onnx"}
"""The suffix of each backbone's files."""


def write_program(
    network: nn.Module,
    file: Path,
    shape: tuple[int, ...] = (2, 3, 64, 96),
    *,
    images: Tensor | None = None,
    fixed: bool = False,
) -> Path:
    """Write a network in eval mode as the program that the file's suffix says.

    Args:
        network: what is written.
        file: ends in `.pt2`, `.ts` or `.onnx`.
        shape: of the images with which it is traced.
        images: in place of random ones.
        fixed: whether it takes images of this shape alone, where the sort of program knows that at all.
    """
    network, images = network.eval(), torch.randn(shape) if images is None else images
    free: Any = None if fixed else ({0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells that torchvision is not here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about itself
        if file.suffix == ".ts":
            torch.jit.save(torch.jit.trace(network, images, strict=False), str(file))
        elif file.suffix == ".pt2":
            torch.export.save(torch.export.export(network, (images,), dynamic_shapes=free), str(file))
        else:
            torch.onnx.export(
                network, (images,), str(file), dynamo=True, dynamic_shapes=free, external_data=False, verbose=False
            )
    return file
