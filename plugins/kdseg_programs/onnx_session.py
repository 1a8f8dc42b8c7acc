"""Programs in ONNX files, run by ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnxruntime
import torch

from kdseg import KdsegError
from kdseg_programs.opened import Opened, fixed_shape, refuse_inputs

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

_DTYPES = {
    "tensor(float)": torch.float32,
    "tensor(float16)": torch.float16,
    "tensor(double)": torch.float64,
    "tensor(uint8)": torch.uint8,
}
_ERRORS_ALONE = 3
_GPU = "CUDAExecutionProvider"


def open_onnx(file: Path, device: str) -> Opened:
    """Open an ONNX file.

    Raises:
        KdsegError: it cannot be opened, keeps its weights elsewhere, or takes something else than images.
    """
    session = make_session(file, torch.get_num_threads(), device)
    inputs = session.get_inputs()
    refuse_inputs(file, [one.name for one in inputs])
    if inputs[0].type not in _DTYPES:
        raise KdsegError(f"{file}: its program takes {inputs[0].type}; images are tensors of {', '.join(_DTYPES)}")
    batch, size = fixed_shape(file, inputs[0].shape)
    return Opened(run=Session(session), dtype=_DTYPES[inputs[0].type], batch=batch, size=size)


def make_session(file: Path, threads: int, device: str = "cpu") -> onnxruntime.InferenceSession:
    """Make a session of an ONNX file.

    Args:
        file: the file.
        threads: of the processor.
        device: a GPU is used where this names one and the library is built for it.

    Raises:
        KdsegError: it cannot be opened, or keeps its weights elsewhere.
    """
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = _ERRORS_ALONE
    settings.intra_op_num_threads = threads
    settings.use_deterministic_compute = True
    on_gpu = device.startswith("cuda") and _GPU in onnxruntime.get_available_providers()
    providers = [(_GPU, {"device_id": torch.device(device).index or 0})] if on_gpu else []
    try:
        # From bytes, so that no file beside it is read: the recipe's hash would not hold those.
        return onnxruntime.InferenceSession(file.read_bytes(), settings, providers=[*providers, "CPUExecutionProvider"])
    except Exception as error:  # of the library's own classes, which share no other base
        raise KdsegError(f"{file}: {_refusal(str(error))}") from error


class Session:
    """A session of ONNX Runtime that takes and gives tensors of torch, on any device."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self._outputs = [one.name for one in session.get_outputs()]

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Give all outputs by name."""
        found = self._session.run(None, {self._input: images.detach().cpu().numpy()})
        return {
            name: torch.from_numpy(value).to(images.device)
            for name, value in zip(self._outputs, found, strict=True)
            if hasattr(value, "dtype")  # else a sequence or a map, of no interest here
        }

    def __deepcopy__(self, _: Any) -> Session:
        """Give itself: nothing in it ever changes."""
        return self


def _refusal(text: str) -> str:
    told = " ".join(text.split())[:300]
    if "external" in text.lower():
        return (
            "keeps its weights in other files, which the recipe's hash would not hold; write it as one file: "
            f"torch.onnx.export(…, external_data=False), or onnx.save(onnx.load(…), …). ONNX Runtime says: {told}"
        )
    return f"ONNX Runtime {onnxruntime.__version__} cannot open it: {told}"
