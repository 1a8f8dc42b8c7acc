"""From a recipe to a finished run."""

from __future__ import annotations

import functools
import json
import logging
import os
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from attrs import asdict, evolve, frozen

from kdseg.components import CallbackContext
from kdseg.data.images import Normalise
from kdseg.data.rare_classes import RareClasses, rare_classes
from kdseg.engine.check.phases import Checked, check
from kdseg.engine.folders.checkpoint import prune_checkpoints, read_checkpoint, whole_checkpoints
from kdseg.engine.folders.files import disk_told, write_json
from kdseg.engine.folders.run_folder import (
    METRICS,
    RECIPE,
    SUMMARY,
    copy_plugin_files,
    find_run,
    is_finished,
    make_run_folder,
    runs_of,
    write_environment,
)
from kdseg.engine.folders.tensor_files import load_weights
from kdseg.engine.learn.build import all_taps, build_learners, build_participants, build_shadows, build_term, term_taps
from kdseg.engine.learn.critics import build_critics
from kdseg.engine.learn.step import Stepper
from kdseg.engine.learn.terms import Fusing
from kdseg.engine.machine.allocator import raise_malloc_thresholds
from kdseg.engine.machine.processes import Processes
from kdseg.engine.machine.sharding import Sharded
from kdseg.engine.machine.signals import StopSignals
from kdseg.engine.models.model import card_of
from kdseg.engine.models.weights import settle_weights, weighted_models, weights_file
from kdseg.engine.run.log import log_file
from kdseg.engine.run.loop import train
from kdseg.engine.run.recorder import Recorder, WandbTracker
from kdseg.engine.run.state import CHECKPOINTS, Run
from kdseg.engine.splits.scans import refuse_defects, scan_training
from kdseg.engine.splits.stores import raw_samples
from kdseg.errors import KdsegError, display_path
from kdseg.recipe.load import load_recipe
from kdseg.recipe.save import plain, save_recipe
from kdseg.recipe.schema import Frozen
from kdseg.recipe.single import plain_component

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kdseg.data.scan import Scan
    from kdseg.hooks import Hooks
    from kdseg.recipe import schema
    from kdseg.recipe.load import LoadedRecipe

COMPARED_IMAGES = 4
LOG = "log.txt"
log = logging.getLogger("kdseg")


@frozen(kw_only=True)
class Finished:
    """A run that took its last step."""

    folder: Path
    summary: dict[str, Any]


def run_recipe(loaded: LoadedRecipe, *, resume: bool = False, console: Callable[[], Hooks] | None = None) -> Finished:
    """Train a recipe, and before it whatever recipes its weights come from.

    Args:
        loaded: the recipe.
        resume: go on with the newest unfinished run, where there is one: its own, or that of such a recipe.
        console: makes what shows progress; called on the main process, once a run.

    Raises:
        KdsegError: for all that a person can mend.
    """
    processes = Processes.start(loaded.recipe.train.precision)
    checked = check(loaded, processes.world)
    if resume:
        unfinished = processes.agree(next((run for run in runs_of(loaded) if not is_finished(run)), None))
        if unfinished is not None:
            return resume_run(unfinished, console=console)
    if processes.is_main and torch.cuda.device_count() > processes.world:
        log.info(
            "%d GPUs are here and %d is used; all of them: accelerate launch --multi_gpu -m kdseg run %s",
            torch.cuda.device_count(),
            processes.world,
            display_path(loaded.path),
        )
    refuse_defects(checked, processes)
    settled = settle_weights(loaded, lambda other: run_recipe(other, resume=resume, console=console).folder)
    processes = Processes.start(loaded.recipe.train.precision)
    with raw_samples(evolve(checked, loaded=settled)) as checked:
        folder = processes.agree(_new_folder(loaded, settled, processes) if processes.is_main else None)
        assert folder is not None
        return _train_in(folder, checked, processes, console)


def resume_run(folder: Path, *, console: Callable[[], Hooks] | None = None) -> Finished:
    """Go on with a run from its newest whole checkpoint, as if it had never stopped.

    Raises:
        KdsegError: where the folder is no run, or the run is finished.
    """
    folder = find_run(folder)
    if is_finished(folder):
        raise KdsegError(f"{display_path(folder)}: finished; there is nothing to resume")
    loaded = load_recipe(folder / RECIPE)
    processes = Processes.start(loaded.recipe.train.precision)
    checked = check(loaded, processes.world)
    refuse_defects(checked, processes)
    with raw_samples(checked) as checked:
        return _train_in(folder, checked, processes, console)


def _new_folder(asked: LoadedRecipe, settled: LoadedRecipe, processes: Processes) -> Path:
    folder = make_run_folder(asked)
    with disk_told(folder, "no run began"):
        recipe = evolve(settled.recipe, plugins=copy_plugin_files(settled.recipe.plugins, folder))
        save_recipe(recipe, settled.plugins.registry, folder / RECIPE)
        write_environment(folder, asked, hardware(processes))
    return folder


def _train_in(folder: Path, checked: Checked, processes: Processes, console: Callable[[], Hooks] | None) -> Finished:
    began = time.monotonic()
    way_on = f"when that is mended, go on from the last checkpoint: kdseg resume {display_path(folder)}"
    logged = log_file(folder / LOG) if processes.is_main else nullcontext()
    with disk_told(folder, way_on), logged, StopSignals.caught() as signals:
        if processes.is_main:
            for warning in checked.warnings:
                log.warning("%s", warning)
        if checked.loaded.recipe.train.tune_malloc:
            raise_malloc_thresholds()
        run = _assemble(folder, checked, processes, console)
        _take_up(run)
        try:
            train(run, signals)
            return _conclude(run, time.monotonic() - began)
        except BaseException as error:
            run.tell_exception(error)
            raise
        finally:
            run.recorder.close()


def _assemble(folder: Path, checked: Checked, processes: Processes, console: Callable[[], Hooks] | None) -> Run:
    recipe = checked.loaded.recipe
    registry = checked.loaded.plugins.registry
    num_classes = len(checked.classes)
    participants = build_participants(recipe, num_classes, processes.device)
    for name, _, weights in weighted_models(recipe):
        load_weights(participants[name].module, weights_file(name, weights))

    @functools.cache
    def training_scan() -> Scan:
        return scan_training(checked)

    taps = {name: term_taps(term, participants) for name, term in recipe.terms.items()}
    terms = {
        name: build_term(
            recipe,
            name,
            taps[name],
            checked.tap_shapes,
            num_classes=num_classes,
            class_shares=lambda: training_scan().shares(),
            device=processes.device,
        )
        for name in recipe.terms
    }
    for name, wanted in all_taps(taps, recipe).items():
        participants[name].watch(wanted)
        if isinstance(recipe.models[name], Frozen):
            participants[name].module.requires_grad_(requires_grad=False).eval()
        if recipe.train.compile:
            if processes.sharded:
                raise KdsegError("train.compile: cannot run with FSDP2; set it to false, or launch without FSDP")
            participants[name].module.compile()
    learners = build_learners(checked.plan, participants, terms, recipe.train.precision)
    stepper = Stepper(
        plan=checked.plan,
        processes=processes,
        participants=participants,
        learners=learners,
        shadows=build_shadows(participants, learners),
        terms=terms,
        critics=build_critics(recipe, terms, recipe.train.precision),
        fusing=Fusing(terms=terms, fuse=recipe.train.fuse, device=processes.device),
        seed=recipe.seed,
        normalise=Normalise.of(recipe.data.mean, recipe.data.std, processes.device),
    )
    sharded = [Sharded.of(learner, processes.accelerator) for learner in learners.values()] if processes.sharded else []
    cards = {
        name: card_of(
            plain_component(participant.backbone, registry), checked.classes, recipe.data.mean, recipe.data.std
        )
        for name, participant in participants.items()
        if not isinstance(participant.spec, Frozen)
    }
    hooks = {
        label: callback.build(CallbackContext(label=label, metric=recipe.evaluate.metric))
        for label, callback in recipe.callbacks.items()
    }
    return Run(
        checked=checked,
        folder=folder,
        processes=processes,
        stepper=stepper,
        recorder=_recorder(folder, checked.loaded, processes),
        hooks=hooks,
        watchers=[console()] if console is not None and processes.is_main else [],
        cards=cards,
        sharded=sharded,
        rare_classes=None
        if recipe.data.rare_classes is None
        else _rare_classes(recipe.data.rare_classes, training_scan()),
    )


def _rare_classes(options: schema.RareClasses, scan: Scan) -> RareClasses:
    return rare_classes(scan.labelled_pixels, scan.pixels.sum(1), **asdict(options))


def _take_up(run: Run) -> None:
    """Restore the newest whole checkpoint; without one, what a killed run wrote is begun again."""
    checkpoint = next(whole_checkpoints(run.folder / CHECKPOINTS), None)
    if checkpoint is None:
        if any((run.folder / CHECKPOINTS).glob("step-*")):
            log.warning("no checkpoint of this run is whole: it begins again")
        run.recorder.rewind(0)
        return
    run.restore(read_checkpoint(checkpoint, run.parts()))
    log.info("resumed at step %d of %d", run.step, run.total_steps)


def _recorder(folder: Path, loaded: LoadedRecipe, processes: Processes) -> Recorder:
    if not processes.is_main:
        return Recorder(None)
    wandb = loaded.recipe.tracking.wandb
    config = plain(loaded.recipe, loaded.plugins.registry) if wandb is not None else {}
    return Recorder(folder / METRICS, None if wandb is None else WandbTracker.start(wandb, folder, config))


def _conclude(run: Run, seconds: float) -> Finished:
    """Write the run's summary and picture. From now on it counts as finished."""
    summary = {
        "name": run.recipe.name,
        "folder": str(run.folder),
        "steps": run.step,
        "seconds": round(seconds, 1),
        "stopped": run.stop_reason,
        "metric": run.recipe.evaluate.metric,
        "participants": {
            name: {
                "backbone": run.checked.loaded.plugins.registry.entry_of(type(participant.backbone)).qualified,
                "parameters": run.checked.parameters[name],
                "steps": run.stepper.learners[name].steps if name in run.stepper.learners else 0,
                **{key: value for key, value in run.scores[name].items() if isinstance(value, float)},
                "best": run.best.get(name),
            }
            for name, participant in run.stepper.participants.items()
        },
    }
    run.save_comparison(run.pictures / "comparison.png", COMPARED_IMAGES)
    if run.is_main:
        prune_checkpoints(run.folder / CHECKPOINTS, run.step, keep=1)
        write_json(run.folder / SUMMARY, summary)
    run.processes.wait()
    return Finished(folder=run.folder, summary=summary)


def hardware(processes: Processes) -> dict[str, Any]:
    """Give what the run runs on."""
    device = processes.device
    return {
        "processes": processes.world,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def read_summary(folder: Path) -> dict[str, Any]:
    """Give a finished run's summary."""
    summary: dict[str, Any] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    return summary
