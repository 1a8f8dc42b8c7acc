"""The exporters as `kdseg export --to` names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from kdseg import Exporter

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from kdseg import ExportContext, Runner, RunnerContext

_WRITES_ONNX = ("onnx>=1.17", "onnxscript>=0.5")


@frozen(kw_only=True)
class OnnxFile(Exporter):
    """A file of ONNX, which ONNX Runtime, TensorRT and many others run: `.onnx`.

    Its metadata's entry `kdseg` holds the card as JSON. In int8 weights and features are quantised, per channel, by
    pairs of QuantizeLinear and DequantizeLinear; the scores and the convolution that gives them stay float32.
    """

    name: ClassVar[str] = "onnx"
    requires: ClassVar[tuple[str, ...]] = ("onnxruntime>=1.20",)
    suffix: ClassVar[str] = ".onnx"
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "int8")
    cannot: ClassVar[Mapping[str, str]] = {
        "bf16": "ONNX Runtime has no convolution in bf16 for processors; OpenVINO has: --to openvino"
    }
    writes_with: ClassVar[Mapping[str, tuple[str, ...]]] = {"fp32": _WRITES_ONNX, "int8": _WRITES_ONNX}

    def build(self, ctx: ExportContext) -> None:
        """Write the file."""
        from kdseg_programs.onnx_file import write_onnx

        write_onnx(ctx)

    def read(self, file: Path) -> Mapping[str, Any] | None:
        """Give the card in its metadata."""
        from kdseg_programs.onnx_file import read_onnx_card

        return read_onnx_card(file)

    def open(self, file: Path, ctx: RunnerContext) -> Runner:
        """Let ONNX Runtime run it, on the processor."""
        from kdseg_programs.onnx_file import OnnxRunner

        return OnnxRunner(file, ctx.threads)


@frozen(kw_only=True)
class OpenVinoFile(Exporter):
    """A file of OpenVINO's, for Intel's and other processors: `.xml`, with its weights in a `.bin` beside it.

    The entry `kdseg` of its `rt_info` holds the card as JSON. OpenVINO chooses a precision by itself: a program must
    set INFERENCE_PRECISION_HINT to f32 for a file in fp32, to bf16 for one in bf16. In int8 what stays float may be
    bf16.
    """

    name: ClassVar[str] = "openvino"
    requires: ClassVar[tuple[str, ...]] = ("openvino>=2025.0",)
    suffix: ClassVar[str] = ".xml"
    beside: ClassVar[tuple[str, ...]] = (".bin",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "bf16", "int8")
    writes_with: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "fp32": _WRITES_ONNX,
        "bf16": _WRITES_ONNX,
        "int8": (*_WRITES_ONNX, "nncf>=2.16"),
    }

    def build(self, ctx: ExportContext) -> None:
        """Write both files."""
        from kdseg_programs.openvino_file import write_openvino

        write_openvino(ctx)

    def read(self, file: Path) -> Mapping[str, Any] | None:
        """Give the card in its `rt_info`."""
        from kdseg_programs.openvino_file import read_openvino_card

        return read_openvino_card(file)

    def open(self, file: Path, ctx: RunnerContext) -> Runner:
        """Let OpenVINO run it on the processor, in the precision that its card says."""
        from kdseg_programs.openvino_file import OpenVinoRunner

        return OpenVinoRunner(file, ctx)


@frozen(kw_only=True)
class Pt2File(Exporter):
    """A program of torch.export, which PyTorch runs without the network's code: `.pt2`.

    Its extra file `kdseg.json` holds the card. Opening it can run code that somebody put into it.
    """

    name: ClassVar[str] = "pt2"
    suffix: ClassVar[str] = ".pt2"
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "bf16")
    cannot: ClassVar[Mapping[str, str]] = {
        "int8": "PyTorch itself has no quick convolutions in int8; OpenVINO and ONNX Runtime have: --to openvino"
    }
    runs_code: ClassVar[bool] = True

    def build(self, ctx: ExportContext) -> None:
        """Write the file."""
        from kdseg_programs.pt2_file import write_pt2

        write_pt2(ctx)

    def read(self, file: Path) -> Mapping[str, Any] | None:
        """Give the card in its extra file."""
        from kdseg_programs.pt2_file import read_pt2_card

        return read_pt2_card(file)

    def open(self, file: Path, ctx: RunnerContext) -> Runner:  # noqa: ARG002 (PyTorch's threads are the process's)
        """Let PyTorch run it, on the processor."""
        from kdseg_programs.pt2_file import Pt2Runner

        return Pt2Runner(file)
