"""FSDP2 in two processes on a CPU: what it shards ends as what one process has whole.

Accelerate turns to FSDP on GPUs only. Here its state is switched by hand; all else is the code that GPUs would run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from types import SimpleNamespace

import accelerate
import pytest
import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from safetensors.torch import load_file
from terms import term
from torch.distributed.tensor import DTensor

import kdseg
from kdseg.engine.check.phases import check
from kdseg.engine.machine import processes as engine_processes
from kdseg.engine.machine.sharding import refuse_unfit_for_sharding
from kdseg.engine.run.start import resume_run, run_recipe
from kdseg.errors import KdsegError
from kdseg.hooks import Hooks

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

RECIPE = """
[train]
steps = 12
batch_size = 12
[models.teacher]
backbone = { use = "tiny", norm = "group", width = 6 }
optimizer = { use = "AdamW", lr = 1e-2 }
clip = 0.05
[models.student]
backbone = { use = "tiny", norm = "group" }
optimizer = { use = "SGD", lr = 1e-2, momentum = 0.9 }
clip = 0.05
[models.mean]
shadow_of = "student"
[turns]
order = ["teach", "study", "squeeze", "both"]
sync = "sequential"
[data]
dataset = { use = "squares", images = 26 }
[evaluate]
every = 5
unit = "step"
[checkpoint]
every = 4
unit = "step"
[callbacks.best]
use = "checkpoint"
[callbacks.witness]
use = "witness"
"""
STUDY = '["study", "both"]'
RECIPE += term("teacher-labels", "teacher", turn='["teach", "both"]')
RECIPE += term("labels", "student", turn=STUDY)
RECIPE += term("mimic", "student", '{ use = "feature_mimic", norm = "group" }', source="teacher", turn=STUDY)
RECIPE += term("self", "student", "pixel_kl", source="mean", turn="study")
RECIPE += term("small", "student", "small_features", turn="squeeze")
PRECISE = '[callbacks.precise]\nuse = "float64"\n'


class Sharding(accelerate.Accelerator):
    """An Accelerator as it is on GPUs when it was told to use FSDP."""

    def __init__(self, **options):
        super().__init__(**options)
        self.state.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
        self.state.fsdp_plugin = FullyShardedDataParallelPlugin()


@pytest.fixture
def fsdp(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    monkeypatch.setattr(engine_processes, "Accelerator", Sharding)


class Look(Hooks):
    """Sees that learners are sharded, and nobody else."""

    def on_step_end(self, run):
        for name in ("teacher", "student"):
            state = run.stepper.learners[name]
            network = state.optimizer.param_groups[0]["params"]
            assert all(isinstance(p, DTensor) for p in network)
            here, whole = sum(p.to_local().numel() for p in network), sum(p.numel() for p in network)
            assert here < 0.6 * whole  # the first of two processes has the larger half
            kept = [v for p in network for v in state.optimizer.state.get(p, {}).values() if v is not None and v.ndim]
            assert all(isinstance(value, DTensor) for value in kept)
            assert not any(isinstance(p, DTensor) for g in state.optimizer.param_groups[1:] for p in g["params"])
        assert not any(isinstance(p, DTensor) for p in run.participants["mean"].parameters())


def sharded_run(together, loaded, folder, world=2):
    assert together(world, lambda: run_recipe(loaded, console=Look)) == [0] * world
    return (folder / "runs" / "recipe" / "latest").resolve()


@pytest.mark.parametrize("parts", [1, 6])
def test_sharded_learners_take_the_steps_of_one_process(
    request, parts, together, load, train, folder, lines, witness, assert_same, assert_ranks_agree
):
    alone = train(RECIPE + PRECISE, name="alone")
    request.getfixturevalue("fsdp")
    run = sharded_run(together, load(RECIPE + PRECISE, f"train.micro_batches={parts}"), folder)
    assert_ranks_agree(run, 2)
    assert_same(witness(run), witness(alone), 1e-10)
    for found, wanted in zip(lines(run), lines(alone), strict=True):
        assert found.keys() == wanted.keys()
        for name in found.keys() - {"seconds", "data_seconds"}:
            assert found[name] == (
                pytest.approx(wanted[name], rel=1e-5)
                if name.partition("/")[0] in ("loss", "grad", "cosine")
                else wanted[name]
            ), name
    assert sorted(str(f.relative_to(run)) for f in run.rglob("*.safetensors")) == sorted(
        str(f.relative_to(alone.folder)) for f in alone.folder.rglob("*.safetensors")
    )
    student = kdseg.load(run, trust_code=True)
    torch.testing.assert_close(
        student.network.state_dict(), kdseg.load(alone.folder, trust_code=True).network.state_dict()
    )


def test_callbacks_see_the_same_gradients_and_weights(request, together, load, train, folder, lines):
    norms = '[callbacks.norms]\nuse = "gradient_norms"\nevery = 1\nby_stage = true\nupdates = true\n'
    alone = train(RECIPE + PRECISE + norms, name="alone")
    request.getfixturevalue("fsdp")
    run = sharded_run(together, load(RECIPE + PRECISE + norms), folder)
    found, wanted = lines(run, "callback"), lines(alone, "callback")
    assert len(found) > 50
    assert [[*line] for line in found] == [[*line] for line in wanted]
    for line, like in zip(found, wanted, strict=True):
        assert line == {
            name: value if name == "kind" else pytest.approx(value, rel=1e-5) for name, value in like.items()
        }


def test_a_run_is_resumed_bit_for_bit_with_or_without_sharding(
    fsdp, together, load, folder, witness, assert_same, monkeypatch
):
    """A checkpoint holds whole tensors: it does not tell whether the run that wrote it was sharded."""
    loaded = load(RECIPE)
    whole = sharded_run(together, loaded, folder)
    wanted = witness(whole)
    assert together(2, lambda: run_recipe(loaded, console=Kill)) == [-signal.SIGKILL, 1]
    run = (folder / "runs" / "recipe" / "latest").resolve()
    assert run != whole
    killed = folder / "killed"
    shutil.copytree(run, killed)
    assert together(2, lambda: resume_run(run)) == [0, 0]
    assert_same(witness(run), wanted)
    monkeypatch.delenv("ACCELERATE_USE_FSDP")
    monkeypatch.setattr(engine_processes, "Accelerator", accelerate.Accelerator)
    assert together(2, lambda: resume_run(killed)) == [0, 0]
    assert_same(witness(killed), wanted, 1e-4)
    plain = run_recipe(loaded).folder
    assert_same(witness(plain), wanted, 1e-4)
    assert {file.relative_to(plain) for file in plain.rglob("*") if "step-" in str(file)} == {
        file.relative_to(run) for file in run.rglob("*") if "step-" in str(file)
    }
    for file in plain.rglob("checkpoints/**/*.safetensors"):
        found, like = load_file(run / file.relative_to(plain)), load_file(file)
        assert {name: (value.shape, value.dtype) for name, value in found.items()} == {
            name: (value.shape, value.dtype) for name, value in like.items()
        }
    for file in plain.rglob("checkpoints/**/*.training.pt"):
        found, like = torch.load(run / file.relative_to(plain)), torch.load(file)
        torch.testing.assert_close(found["optimizer"], like["optimizer"], rtol=1e-4, atol=1e-4)
        assert found["schedule"] == like["schedule"]


def test_a_sharded_run_takes_up_what_one_that_was_not_has_written(
    together, load, folder, witness, assert_same, request
):
    loaded = load(RECIPE)
    plain = run_recipe(loaded)
    with contextlib.suppress(RuntimeError):
        run_recipe(loaded, console=Stop)
    run = (folder / "runs" / "recipe" / "latest").resolve()
    request.getfixturevalue("fsdp")
    assert together(2, lambda: resume_run(run)) == [0, 0]
    assert_same(witness(run), witness(plain), 1e-4)


class Kill(Hooks):
    def on_step_end(self, run):
        if run.step == 5:
            os.kill(os.getpid(), signal.SIGKILL)


class Stop(Hooks):
    def on_step_end(self, run):
        if run.step == 7:
            raise RuntimeError


def test_fsdp_without_gpus_is_refused(load, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    with pytest.raises(KdsegError, match="FSDP2, which shards learners over several GPUs, and it found none"):
        run_recipe(load(RECIPE))


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "owns the backward pass, the optimizer step and the checkpoints of one"),
        ({"ACCELERATE_USE_MEGATRON_LM": "true"}, "trains language models of its own"),
        ({"ACCELERATE_USE_PARALLELISM_CONFIG": "true"}, "told to split networks or images"),
        ({"ACCELERATE_USE_FSDP": "true"}, "FSDP of version 1"),
        ({"ACCELERATE_USE_FSDP": "TRUE", "FSDP_VERSION": "1"}, "FSDP of version 1"),
    ],
)
def test_engines_that_cannot_train_several_learners_are_refused(load, folder, monkeypatch, variables, reason):
    """Before Accelerate asks for libraries that are not installed and would not help."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(KdsegError, match=reason) as told:
        run_recipe(load(RECIPE))
    assert "launch with --multi_gpu, or with torchrun" in str(told.value)
    assert not (folder / "runs").exists()


def test_check_says_that_it_is_experimental(fsdp, load):
    (told,) = [warning for warning in check(load(RECIPE), 2).warnings if "FSDP2" in warning]
    assert "experimental" in told
    assert "never yet on GPUs" in told


def test_what_cannot_be_sharded_is_refused(fsdp, load, together, capfd):
    loaded = load(RECIPE, "train.compile=true")
    assert together(2, lambda: run_recipe(loaded)) == [1, 1]
    assert "train.compile: cannot run with FSDP2" in capfd.readouterr().err
    with pytest.raises(KdsegError, match="'fp16' cannot run with FSDP2; 'bf16' can"):
        refuse_unfit_for_sharding(SimpleNamespace(distributed_type=DistributedType.FSDP), "fp16")


def sound(stateful):
    """Leave out the callback that fails: where learners are sharded, one that does ends the run."""
    return 'drop = ["callbacks.falters"]\n' if stateful == "stateful/callbacks.toml" else ""


@pytest.mark.slow
def test_whatever_has_a_state_steps_as_it_does_unsharded(
    request, together, load, folder, witness, assert_same, stateful
):
    loaded = load(f'{sound(stateful)}[callbacks.witness]\nuse = "witness"\n{PRECISE}', extends=stateful)
    runs = []
    for _ in range(2):
        assert together(2, lambda: run_recipe(loaded)) == [0, 0]
        runs.append((folder / "runs" / "recipe" / "latest").resolve())
        request.getfixturevalue("fsdp")
    for rank in (0, 1):
        assert_same(witness(runs[1], rank), witness(runs[0], rank), 1e-10)


@pytest.mark.slow
def test_whatever_has_a_state_is_resumed_bit_for_bit(fsdp, together, load, folder, witness, assert_same, stateful):
    loaded = load(f'{sound(stateful)}[callbacks.witness]\nuse = "witness"\n', extends=stateful)
    assert together(2, lambda: run_recipe(loaded)) == [0, 0]
    whole = (folder / "runs" / "recipe" / "latest").resolve()
    assert together(2, lambda: run_recipe(loaded, console=Kill)) == [-signal.SIGKILL, 1]
    run = (folder / "runs" / "recipe" / "latest").resolve()
    assert together(2, lambda: resume_run(run)) == [0, 0]
    for rank in (0, 1):
        assert_same(witness(run, rank), witness(whole))
