"""Files of OpenVINO: written, quantised, read and run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import openvino
import torch

from kdseg import KdsegError
from kdseg_programs.cards import KEY, card_of_text, card_text
from kdseg_programs.onnx_file import onnx_model
from kdseg_programs.tracing import library_told

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from kdseg import ExportContext, RunnerContext

_HINTS = {"fp32": "f32", "bf16": "bf16"}
"""What OpenVINO must be told, which takes bf16 by itself where the processor has it; in int8 that is welcome."""


def write_openvino(ctx: ExportContext) -> None:
    """Write OpenVINO's two files. In bf16 the weights are kept as fp16, which is finer, and rounded when they are read.

    Raises:
        KdsegError: the network cannot be traced, read by OpenVINO or quantised.
    """
    # Not by `openvino.convert_model`, which tells Intel of each use.
    written = onnx_model(ctx).SerializeToString()
    with library_told("read the network"):
        model = openvino.Core().read_model(written)
    if ctx.precision == "int8":
        model = _quantised(model, ctx)
    model.set_rt_info(card_text(ctx.card), [KEY])
    openvino.save_model(model, ctx.file, compress_to_fp16=ctx.precision == "bf16")


def _quantised(model: openvino.Model, ctx: ExportContext) -> openvino.Model:
    images = [image.numpy() for image in ctx.calibration()]
    before = os.environ.get("NNCF_CI")
    os.environ["NNCF_CI"] = "1"  # else it tells its makers of each use
    try:
        with library_told("quantise the network"):
            import nncf

            return nncf.quantize(model, nncf.Dataset(images), subset_size=len(images))
    finally:
        os.environ.pop("NNCF_CI")
        if before is not None:
            os.environ["NNCF_CI"] = before


def read_openvino_card(file: Path) -> dict[str, Any] | None:
    """Give the card in a file's `rt_info`; None where there is none.

    Raises:
        KdsegError: it is no file of OpenVINO's, is damaged, or its `.bin` is not there.
    """
    model = _read(file)
    return card_of_text(file, model.get_rt_info([KEY]).astype(str)) if model.has_rt_info([KEY]) else None


def _read(file: Path) -> openvino.Model:
    weights = file.with_suffix(".bin")
    if not weights.exists():
        raise KdsegError(f"{weights}: is not there; it holds the weights of {file.name}, and both must lie together")
    try:
        return openvino.Core().read_model(file, weights)
    except RuntimeError as error:
        told = " ".join(str(error).split())[:300]
        raise KdsegError(f"{file}: OpenVINO {openvino.__version__} cannot open it: {told}") from error


class OpenVinoRunner:
    """Runs an exported file on the processor."""

    def __init__(self, file: Path, ctx: RunnerContext) -> None:
        settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": ctx.threads, "PERFORMANCE_HINT": "LATENCY"}
        if ctx.card["precision"] in _HINTS:
            settings["INFERENCE_PRECISION_HINT"] = _HINTS[ctx.card["precision"]]
        try:
            self._request = openvino.Core().compile_model(_read(file), "CPU", settings).create_infer_request()
        except RuntimeError as error:
            told = " ".join(str(error).split())[:300]
            raise KdsegError(f"{file}: OpenVINO {openvino.__version__} cannot run it here: {told}") from error

    def __call__(self, images: Tensor) -> Tensor:
        """Give its only output, in memory of its own."""
        found = self._request.infer([images.numpy()], share_inputs=True)
        return torch.from_numpy(found[0])
