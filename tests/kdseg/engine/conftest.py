from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from accelerate.state import PartialState
from attrs import frozen
from engine_runs import (  # noqa: F401 (pytest finds them here)
    assert_same_fixture,
    contents_fixture,
    folder_fixture,
    lines_fixture,
    load_fixture,
    train_fixture,
    weights_fixture,
)

from kdseg.components import BackboneContext, ClassShares, DatasetContext, LossContext
from kdseg.data.streams import numpy_generator, stream
from kdseg.engine.run.start import run_recipe
from kdseg.engine.run.summary import Finished
from kdseg.recipe.load import LoadedRecipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
STATEFUL = sorted(f"stateful/{path.name}" for path in (HERE / "stateful").glob("*.toml"))
"""Recipes of all that has a state, or a part in it: what adds some joins this folder, and with it every test that
takes the argument `stateful`."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test that takes `stateful` run over those recipes."""
    if "stateful" in metafunc.fixturenames:
        metafunc.parametrize("stateful", STATEFUL, ids=[Path(name).stem for name in STATEFUL])


@pytest.fixture(autouse=True)
def on_one_thread(one_thread: None) -> None:
    """Run every test of the engine so."""


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
def python() -> str:
    return sys.executable
