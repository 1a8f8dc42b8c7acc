from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from rich.console import Console

from kdseg.engine.deploy.export import ExportSettings, export_run
from kdseg.engine.run.start import run_recipe
from kdseg.recipe.load import load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
RECIPE = """
plugins = ["planted.py"]
name = "drive"
seed = 1
[train]
steps = 120
batch_size = 8
workers = 0
[data]
dataset = { use = "synthroad", size = [40, 72], images = 32 }
[data.val]
images = 12
[models.student]
backbone = { use = "unet", base = 8, downsamplings = 1 }
optimizer = { use = "AdamW", lr = 5e-3 }
[terms.labels]
learner = "student"
loss = "cross_entropy"
[evaluate]
every = 1000
[tracking]
"""


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that trained a student on drawn roads; its recipe names the planted exporters."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copy(HERE / "planted.py", folder)
    (folder / "drive.toml").write_text(RECIPE, encoding="utf-8")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run_recipe(load_recipe(folder / "drive.toml", [f"output.folder='{folder / 'runs'}'"]))
    torch.set_num_threads(threads)
    return next((folder / "runs" / "drive").glob("2*"))


@pytest.fixture
def run(trained: Path, tmp_path: Path, one_thread: None) -> Path:
    """A copy of that run."""
    return shutil.copytree(trained, tmp_path / "runs" / "drive" / trained.name)


@pytest.fixture(scope="session")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of that run with an export to ONNX, and one to torch.export."""
    for library in ("onnxruntime", "onnx", "onnxscript"):
        pytest.importorskip(library)
    copy = shutil.copytree(trained, tmp_path_factory.mktemp("exported") / "drive" / trained.name)
    for to in ("onnx", "pt2"):
        settings = ExportSettings(to=to, images=1)
        export_run(
            copy, settings, output=None, model=None, which="best", trust_code=False, console=Console(file=io.StringIO())
        )
    return copy


@pytest.fixture
def onnx_run(exported: Path, tmp_path: Path, one_thread: None) -> Path:
    """A copy of the run with exports."""
    return shutil.copytree(exported, tmp_path / "drive" / exported.name)


@pytest.fixture
def onnx_file(onnx_run: Path) -> Path:
    """The file of ONNX in it."""
    return onnx_run / "exports" / "student-fp32.onnx"


@pytest.fixture
def export(kdseg: Callable, run: Path) -> Callable:
    """Export the run: ``export("--to", "onnx")`` gives the outcome."""
    return lambda *words: kdseg("export", str(run), *words)


@pytest.fixture
def libraries() -> None:
    for library in ("onnxruntime", "onnx", "onnxscript"):
        pytest.importorskip(library)


@pytest.fixture
def openvino(libraries: None) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
