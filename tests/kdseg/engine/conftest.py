from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from accelerate.state import PartialState
from attrs import frozen
from safetensors.torch import load_file

from kdseg.components import BackboneContext, ClassShares, DatasetContext, LossContext
from kdseg.data.streams import numpy_generator, stream
from kdseg.engine.run.start import run_recipe
from kdseg.engine.run.summary import Finished
from kdseg.recipe.load import LoadedRecipe, load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kdseg.hooks import Hooks

HERE = Path(__file__).parent
PLUGINS = ("parts.py", "part_losses.py")
RECIPES = ("base.toml", "pair.toml")
STATEFUL = sorted(f"stateful/{path.name}" for path in (HERE / "stateful").glob("*.toml"))
"""Recipes of all that has a state, or a part in it: what adds some joins this folder, and with it every test that
takes the argument `stateful`."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test that takes `stateful` run over those recipes."""
    if "stateful" in metafunc.fixturenames:
        metafunc.parametrize("stateful", STATEFUL, ids=[Path(name).stem for name in STATEFUL])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from threads, and a child by fork could not use them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the plugin files and the recipes that the tests' recipes extend."""
    for name in (*PLUGINS, *RECIPES):
        shutil.copy(HERE / name, tmp_path)
    shutil.copytree(HERE / "stateful", tmp_path / "stateful")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _handle: None)  # no test pulls the plug, and it takes half of the time
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Callable[..., LoadedRecipe]:
    """Write what a recipe says beyond the one that it extends, and load it."""

    def load(text: str, *settings: str, name: str = "recipe", extends: str = "base.toml") -> LoadedRecipe:
        path = folder / f"{name}.toml"
        path.write_text(f'extends = "{extends}"\n{text}', encoding="utf-8")
        return load_recipe(path, settings)

    return load


@pytest.fixture
def train(load: Callable[..., LoadedRecipe]) -> Callable[..., Finished]:
    """Run a recipe to its end in this process, watched by a `Hooks` where one is given."""

    def train(text: str, *settings: str, watcher: Hooks | None = None, **named: str) -> Finished:
        return run_recipe(load(text, *settings, **named), console=None if watcher is None else lambda: watcher)

    return train


def weights_of(run: Finished | Path, name: str, which: str = "last") -> dict[str, torch.Tensor]:
    """Give the weights that a run left of a participant."""
    folder = run.folder if isinstance(run, Finished) else run
    return load_file(folder / "models" / name / f"{which}.safetensors")


@pytest.fixture
def weights() -> Callable[..., dict[str, torch.Tensor]]:
    return weights_of


@pytest.fixture
def in_child() -> Callable[[Callable[[], object]], int]:
    """Call a function in a forked process, and give how that ended: its status, or minus the signal."""

    def in_child(function: Callable[[], object]) -> int:
        child = multiprocessing.get_context("fork").Process(target=function)
        child.start()
        child.join(120)
        assert child.exitcode is not None, "the child hangs"
        return child.exitcode

    return in_child


@pytest.fixture
def contents() -> Callable[[Path], dict[str, Any]]:
    """Give all that a run leaves, but for what tells the time, a place, or the length of a text that tells the time."""

    def without(text: str, *keys: str) -> dict[str, Any]:
        return {key: value for key, value in json.loads(text).items() if key not in keys}

    def contents(run: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for file in sorted(run.rglob("*")):
            name = str(file.relative_to(run))
            if name == "metrics.jsonl":
                found[name] = [without(line, "seconds") for line in file.read_text(encoding="utf-8").splitlines()]
            elif file.name == "state.json":
                found[name] = without(file.read_text(encoding="utf-8"), "metrics_position")
            elif file.name == "summary.json":
                found[name] = without(file.read_text(encoding="utf-8"), "seconds", "folder", "name")
            elif file.is_file() and file.name not in ("log.txt", "environment.json", "recipe.toml", "checksums.json"):
                found[name] = file.read_bytes()
        return found

    return contents


@pytest.fixture
def free_port() -> str:
    """Give a port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def together(free_port: str) -> Callable[[int, Callable[[], object]], list[int | None]]:
    """Call a function in several processes that know of each other, as a launcher starts them; give their statuses."""

    def together(world: int, function: Callable[[], object]) -> list[int | None]:
        def work(rank: int) -> None:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port, "ACCELERATE_USE_CPU": "1"}
            PartialState._reset_state()
            function()

        children = [multiprocessing.get_context("fork").Process(target=work, args=(rank,)) for rank in range(world)]
        for child in children:
            child.start()
        for child in children:
            child.join(120)
        return [child.exitcode for child in children]

    return together


@pytest.fixture
def processes(
    load: Callable[..., LoadedRecipe], folder: Path, together: Callable[..., list[int | None]]
) -> Callable[..., Path]:
    """Run a recipe in several processes at once, and give the run's folder."""

    def processes(world: int, text: str, *settings: str, **named: str) -> Path:
        loaded = load(text, *settings, **named)
        assert together(world, lambda: run_recipe(loaded)) == [0] * world
        return (folder / "runs" / loaded.recipe.name / "latest").resolve()

    return processes


@pytest.fixture
def witness() -> Callable[..., dict[str, torch.Tensor]]:
    """Give what the callback `witness` wrote in one process of a run: every tensor by its place."""

    def flat(tree: Any, place: str = "") -> dict[str, torch.Tensor]:
        if isinstance(tree, torch.Tensor):
            return {place: tree}
        return {at: tensor for name, value in tree.items() for at, tensor in flat(value, f"{place}/{name}").items()}

    def witness(run: Finished | Path, rank: int = 0) -> dict[str, torch.Tensor]:
        folder = run.folder if isinstance(run, Finished) else run
        return flat(torch.load(folder / f"witness-{rank}.pt"))

    return witness


@pytest.fixture
def assert_ranks_agree(
    witness: Callable[..., dict[str, torch.Tensor]], assert_same: Callable[..., None]
) -> Callable[[Path, int], None]:
    """Hold what the processes of a run end with against each other, bit for bit."""

    def assert_ranks_agree(run: Path, world: int) -> None:
        for rank in range(1, world):
            assert_same(witness(run, rank), witness(run))

    return assert_ranks_agree


@frozen
class ByHand:
    """What a loop written by hand starts from: the recipe's first weights and batches, by the documented streams."""

    loaded: LoadedRecipe

    def network(self, name: str) -> torch.nn.Module:
        """A participant's network in float64, with the weights that its seed gives."""
        torch.manual_seed(stream(self.loaded.recipe.seed, "weights", name))
        return self.loaded.recipe.models[name].backbone.build(BackboneContext(in_channels=3, num_classes=3)).double()

    def loss(self, name: str, learner: int, source: int) -> torch.nn.Module:
        """A term's loss in float64, for encoders of so many channels, with the weights that its seed gives."""
        even = ClassShares(pixels=(1, 1, 1), pixels_where_present=(1, 1, 1), images=(1, 1, 1))
        taps = [{"encoder.1": (channels, 32, 32)} for channels in (learner, source)]
        ctx = LossContext(num_classes=3, class_shares=lambda: even, learner_taps=taps[0], source_taps=taps[1])
        torch.manual_seed(stream(self.loaded.recipe.seed, "loss-weights", name))
        return self.loaded.recipe.terms[name].loss.build(ctx).double()

    def batches(self, steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Images N×3×H×W, normalised, in float64, and targets N×H×W, step by step."""
        recipe = self.loaded.recipe
        samples = recipe.data.train.build(DatasetContext(split="train", seed=recipe.seed))
        size = recipe.train.batch_size
        mean, std = (np.array(values, np.float32) for values in (recipe.data.mean, recipe.data.std))
        for step in range(steps):
            epoch, number = divmod(step, len(samples) // size)
            order = numpy_generator(recipe.seed, "order", epoch).permutation(len(samples))
            batch = [samples[int(index)] for index in order[number * size : (number + 1) * size]]
            images = np.stack([(sample.image.astype(np.float32) / np.float32(255) - mean) / std for sample in batch])
            target = np.stack([sample.mask for sample in batch])
            yield torch.from_numpy(images).permute(0, 3, 1, 2).double(), torch.from_numpy(target).long()


@pytest.fixture
def by_hand() -> type[ByHand]:
    return ByHand


@pytest.fixture
def assert_same() -> Callable[..., None]:
    """Hold weights by name against others; to the bit unless a tolerance is given."""

    def assert_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], tolerance: float = 0.0) -> None:
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(
                found[name], value, rtol=tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
            )

    return assert_same


@pytest.fixture
def python() -> str:
    return sys.executable


@pytest.fixture
def lines() -> Callable[..., list[dict[str, Any]]]:
    """Give the lines of a run's metrics file, of one kind where one is named."""

    def lines(run: Finished | Path, kind: str | None = None) -> list[dict[str, Any]]:
        folder = run.folder if isinstance(run, Finished) else run
        every = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        return [line for line in every if kind in (None, line["kind"])]

    return lines
