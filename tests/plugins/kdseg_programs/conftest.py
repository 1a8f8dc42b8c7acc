from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch
from torch import nn

from kdseg.components import BackboneContext
from kdseg.engine.folders.tensor_files import save_weights
from kdseg.engine.learn.participants import initialise
from kdseg_programs import Exported, Onnx, TorchScript
from kdseg_unet import UNet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTEXT = BackboneContext(in_channels=3, num_classes=19)
OPTIONS = {"exported": {"trust_code": True}, "torchscript": {"trust_code": True}, "onnx": {}}
COMPONENTS = {"exported": Exported, "torchscript": TorchScript, "onnx": Onnx}


class Written(NamedTuple):
    """A network, and the folder that holds it as programs and as weights."""

    network: nn.Module
    folder: Path
    """With `teacher.pt2`, `teacher.ts`, `teacher.onnx` and `teacher.safetensors`."""


@pytest.fixture(scope="session")
def writer():
    """The module that writes programs, where ONNX's libraries are."""
    for library in ("onnxruntime", "onnx", "onnxscript"):
        pytest.importorskip(library)
    import programs

    return programs


@pytest.fixture(scope="session")
def written(writer, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A UNet of 19 classes whose running statistics are no longer the first ones."""
    folder = tmp_path_factory.mktemp("programs")
    network = initialise(lambda: UNet(base=2, downsamplings=1).build(CONTEXT), 0)
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)
    save_weights(network, folder / "teacher.safetensors")
    for suffix in writer.SORTS.values():
        writer.write_program(network, folder / f"teacher.{suffix}")
    return Written(network.eval(), folder)


@pytest.fixture
def opened() -> Callable[..., nn.Module]:
    """Open a file as a backbone does it, on the meta device where that is asked for."""

    def opened(sort: str, file: Path, ctx: BackboneContext = CONTEXT, *, meta: bool = False, **options) -> nn.Module:
        backbone = COMPONENTS[sort](**(OPTIONS[sort] | options))
        with torch.device("meta" if meta else "cpu"):
            module = backbone.build(ctx)
        backbone.open(module, file)
        return module.eval()

    return opened
