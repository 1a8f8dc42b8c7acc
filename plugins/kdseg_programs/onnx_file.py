"""ONNX files: written, quantised, read and run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from kdseg_programs.cards import KEY, card_of_text, card_text
from kdseg_programs.onnx_session import make_session
from kdseg_programs.tracing import library_told, traced

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from kdseg import ExportContext

_QUANTISED = ("Conv", "ConvTranspose", "MaxPool", "Concat", "Relu", "Resize")
"""Operations in int8; those in front of the network stay as they are, and so does what gives its scores."""

_LAID_OUT = ("Slice", "Resize", "Cast", "Identity")
"""Operations that scores go through on their way to a decision."""


def write_onnx(ctx: ExportContext) -> None:
    """Write an ONNX file, in float32 or int8.

    Raises:
        KdsegError: the network cannot be traced, written or quantised.
    """
    import onnx

    if ctx.precision == "int8":
        plain = ctx.file.with_suffix(".plain.onnx")
        onnx.save(onnx_model(ctx), plain)
        with library_told("quantise the network"):
            _quantise(plain, ctx)
        plain.unlink()
        model = onnx.load(ctx.file)
    else:
        model = onnx_model(ctx)
    model.metadata_props.add(key=KEY, value=card_text(ctx.card))
    onnx.save(model, ctx.file)


def onnx_model(ctx: ExportContext) -> Any:
    """Give an `onnx.ModelProto` of the context's module in float32.

    Raises:
        KdsegError: the network cannot be traced, or has operations that ONNX lacks.
    """
    from kdseg_programs.onnx_argmax import decide_before_enlarging

    program = traced(ctx)
    with library_told("write the network as ONNX"):
        written = torch.onnx.export(
            program, (), input_names=["images"], output_names=[ctx.card["output"]], dynamo=True, verbose=False
        )
    assert written is not None
    decide_before_enlarging(written.model)
    model = written.model_proto
    for tensor, names in ((model.graph.input[0], ("N", "3", "H", "W")), (model.graph.output[0], ())):
        for dim, name in zip(tensor.type.tensor_type.shape.dim, names, strict=False):
            if dim.HasField("dim_param"):
                dim.dim_param = name
    return model


def _quantise(plain: Path, ctx: ExportContext) -> None:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Images(CalibrationDataReader):  # type: ignore[misc] # the library has no types
        def __init__(self) -> None:
            self.images: Iterator[Tensor] = iter(ctx.calibration())

        def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
            image = next(self.images, None)
            return None if image is None else {"images": image.numpy()}

    quantize_static(
        plain,
        ctx.file,
        Images(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=[*_QUANTISED],
        nodes_to_exclude=_giving_scores(onnx.load(plain).graph),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _giving_scores(graph: Any) -> list[str]:
    """Name what scores come from, and what they go through: in 256 steps the largest two would often be equal."""
    producers = {output: node for node in graph.node for output in node.output}
    wanted = [node.input[0] for node in graph.node if node.op_type == "ArgMax"] or [graph.output[0].name]
    found = []
    while wanted:
        node = producers.get(wanted.pop())
        if node is not None:
            found.append(node.name)
            if node.op_type in _LAID_OUT:
                wanted.append(node.input[0])
    return found


def read_onnx_card(file: Path) -> dict[str, Any] | None:
    """Give the card in an ONNX file's metadata; None where there is none.

    Raises:
        KdsegError: it is no ONNX file, or damaged.
    """
    text = make_session(file, 1).get_modelmeta().custom_metadata_map.get(KEY)
    return None if text is None else card_of_text(file, text)


class OnnxRunner:
    """Runs an exported ONNX file."""

    def __init__(self, file: Path, threads: int) -> None:
        self._session = make_session(file, threads)

    def __call__(self, images: Tensor) -> Tensor:
        """Give its only output."""
        (found,) = self._session.run(None, {"images": images.numpy()})
        return torch.from_numpy(found)
