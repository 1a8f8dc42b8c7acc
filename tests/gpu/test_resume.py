"""A run on a GPU that is killed and resumed ends as one that never was."""

from __future__ import annotations

import signal

import pytest
import torch
from engine_runs import copy_parts
from safetensors.torch import load_file

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

RECIPES = ("turns_by_step", "shadow", "fused", "critic", "mixed_precision")
"""Of what has a state: with dropout, noise and running statistics, all drawn and kept on the device."""
TOLERANCE = 1e-3
"""Of weights after eight steps where sums on the device come in any order."""


@pytest.fixture(scope="module", params=[True, False], ids=["deterministic", "as it comes"])
def ended(request, tmp_path_factory, start, finish):
    """Give where the runs are: `whole` of those that nobody killed, `killed` of the others; and whether to the bit."""
    folder = tmp_path_factory.mktemp("resume")
    copy_parts(folder)
    exact = request.param
    settings = [f"train.deterministic={str(exact).lower()}"]
    for name in RECIPES:
        (folder / f"{name}.toml").write_text(f'extends = "stateful/{name}.toml"\n', encoding="utf-8")
    recipes = [f"{name}.toml" for name in RECIPES]
    whole = start(folder, recipes, [*settings, "output.folder='whole'"])
    into = [*settings, "output.folder='killed'"]
    for killed in [start(folder, [recipe, "--kill-at", "5"], into) for recipe in recipes]:
        finish(killed, -signal.SIGKILL)
    finish(start(folder, [*recipes, "--resume"], into))
    finish(whole)
    return folder, exact


@pytest.mark.parametrize("name", RECIPES)
def test_a_killed_run_ends_as_one_that_was_not(ended, contents, name):
    folder, exact = ended
    whole, killed = ((folder / which / name / "latest").resolve() for which in ("whole", "killed"))
    assert "resumed at step 4 of 8" in (killed / "log.txt").read_text(encoding="utf-8")
    found, wanted = contents(killed), contents(whole)
    assert found.keys() == wanted.keys()
    if exact:
        assert [file for file in found if found[file] != wanted[file]] == []
        return
    for file in whole.glob("models/*/last.safetensors"):
        torch.testing.assert_close(
            load_file(killed / file.relative_to(whole)), load_file(file), rtol=TOLERANCE, atol=TOLERANCE
        )
