"""Steps on a GPU are the CPU's, to rounding, whoever learns from whom."""

from __future__ import annotations

import json

import pytest
from engine_runs import copy_parts
from paradigms import PARADIGMS
from safetensors.torch import load_file

from kdseg.engine.machine.processes import Processes
from kdseg.engine.run.start import run_recipe
from kdseg.recipe.load import load_recipe
from kdseg.recipe.schema_train import Train

pytestmark = pytest.mark.gpu

FROZEN = ("offline", "float64")  # the callback would change the frozen network, which the engine refuses
TOLERANCES = {"fp32": 2e-5, "float64": 1e-6}
"""Of weights after five steps: float32 adds up in another order on each device; float64 does too, and is saved as
float32."""
PRECISE = "callbacks.precise.use='float64'"
CASES = [(name, arithmetic) for name in PARADIGMS for arithmetic in TOLERANCES if (name, arithmetic) != FROZEN]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, start, finish):
    """A folder with the recipes, and in `cpu` and `cpu-float64` the runs of them all, which one process made."""
    folder = tmp_path_factory.mktemp("steps")
    copy_parts(folder)
    for name, text in PARADIGMS.items():
        (folder / f"{name}.toml").write_text(f'extends = "base.toml"\n{text}', encoding="utf-8")
    recipes = [f"{name}.toml" for name in PARADIGMS]
    exact = [f"{name}.toml" for name, arithmetic in CASES if arithmetic == "float64"]
    finish(start(folder, recipes, ["output.folder='cpu'"], on_cpu=True))
    finish(start(folder, exact, ["output.folder='cpu-float64'", PRECISE], on_cpu=True))
    return folder


def step_lines(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in line.items() if "/" in name} for line in lines if line["kind"] == "step"]


@pytest.mark.parametrize(("name", "arithmetic"), CASES)
def test_steps_are_those_of_the_cpu(workplace, device, monkeypatch, assert_same, name, arithmetic):
    """Weights, running statistics, and the values and gradients that the metrics tell of."""
    monkeypatch.chdir(workplace)
    exact = [PRECISE] if arithmetic == "float64" else []
    settings = [f"output.folder='{device.type}-runs'", "train.deterministic=true", *exact]
    run = run_recipe(load_recipe(workplace / f"{name}.toml", settings)).folder
    wanted = workplace / ("cpu-float64" if exact else "cpu") / name / "latest"
    models = sorted((wanted / "models").glob("*/last.safetensors"))
    assert models
    for file in models:
        assert_same(load_file(run / file.relative_to(wanted)), load_file(file), TOLERANCES[arithmetic])
    told = step_lines(run)
    assert len(told) == 5
    for found, like in zip(told, step_lines(wanted), strict=True):
        assert found == pytest.approx(like, rel=1e-3, abs=1e-5)


def test_the_device_under_test_is_the_one_that_works(device):
    assert Processes.start(Train(steps=1)).device.type == device.type
