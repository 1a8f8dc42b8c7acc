"""Files of OpenVINO: written, quantised, read and run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino
import torch
from openvino import opset13

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
    _quicken_argmax(model)
    model.set_rt_info(card_text(ctx.card), [KEY])
    openvino.save_model(model, ctx.file, compress_to_fp16=ctx.precision == "bf16")


def _quicken_argmax(model: openvino.Model) -> None:
    """Find the largest logit by reductions where a transposed convolution gives the logits.

    OpenVINO's TopK is slow on the layout that those have; elsewhere it is the quicker.
    """
    for node in model.get_ops():
        if node.get_type_name() != "TopK" or node.output(0).get_target_inputs():
            continue
        scores, axis = node.input_value(0), node.get_axis()
        count = scores.get_partial_shape()[axis]
        if count.is_static and node.get_attributes()["mode"] == "max" and _is_of_transposed(scores.get_node()):
            first = _first_largest(scores, axis, count.get_length())
            kind = node.get_output_element_type(1).to_string()
            node.output(1).replace(opset13.convert(first, kind).output(0))


def _is_of_transposed(node: openvino.Node) -> bool:
    """Whether a value is a transposed convolution's, with a bias or cut to size at most."""
    while node.get_type_name() in ("Add", "Slice", "StridedSlice"):
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "ConvolutionBackpropData")


def _first_largest(scores: Any, axis: int, count: int) -> openvino.Node:
    """Give the first place of the largest of `count` scores along an axis, as argmax has it."""
    shape = [count if place == axis else 1 for place in range(len(scores.get_partial_shape()))]
    places = opset13.constant(np.arange(count, dtype=np.float32).reshape(shape))
    largest = opset13.reduce_max(scores, [axis], keep_dims=True)
    found = opset13.select(opset13.greater_equal(scores, largest), places, np.float32(count - 1))
    return opset13.reduce_min(found, [axis], keep_dims=True)


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
