"""From a recipe to a finished run, or from a run that was stopped."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from attrs import evolve

from kdseg.engine.check.phases import Checked, check
from kdseg.engine.check.scanned import refuse_defects
from kdseg.engine.folders.files import disk_told
from kdseg.engine.folders.run_folder import LOG, RECIPE, find_run, is_finished, runs_of
from kdseg.engine.machine.allocator import raise_malloc_thresholds
from kdseg.engine.machine.arithmetic import arithmetic_told
from kdseg.engine.machine.processes import Processes
from kdseg.engine.machine.signals import StopSignals
from kdseg.engine.models.weights import settle_weights
from kdseg.engine.report.write import report_run
from kdseg.engine.run.assemble import assemble
from kdseg.engine.run.lock import run_lock
from kdseg.engine.run.log import log_file
from kdseg.engine.run.loop import train
from kdseg.engine.run.new_folder import new_folder
from kdseg.engine.run.saving import take_up
from kdseg.engine.run.summary import Finished, conclude
from kdseg.engine.splits.stores import raw_samples
from kdseg.errors import KdsegError, display_path
from kdseg.recipe.load import load_recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kdseg.hooks import Hooks
    from kdseg.recipe.load import LoadedRecipe

log = logging.getLogger("kdseg")


def run_recipe(loaded: LoadedRecipe, *, resume: bool = False, console: Callable[[], Hooks] | None = None) -> Finished:
    """Train a recipe, and before it whatever recipes its weights come from.

    Args:
        loaded: the recipe.
        resume: go on with the newest unfinished run, where there is one: its own, or that of such a recipe.
        console: makes what shows progress; called on the main process, once a run.

    Raises:
        KdsegError: for all that a person can mend.
    """
    processes = Processes.start(loaded.recipe.train)
    if resume:
        unfinished = processes.agree(next((run for run in runs_of(loaded) if not is_finished(run)), None))
        if unfinished is not None:
            return _go_on(unfinished, processes, console)

    def train_first(other: LoadedRecipe) -> Path:
        nonlocal processes
        folder = run_recipe(other, resume=resume, console=console).folder
        processes = Processes.start(loaded.recipe.train)  # the other recipe's may be another
        return folder

    checked = _checked(loaded, processes)
    _tell_of_idle_gpus(loaded, processes)
    settled = settle_weights(loaded, train_first)
    with raw_samples(evolve(checked, loaded=settled)) as checked:
        folder = processes.agree(new_folder(loaded, settled, processes) if processes.is_main else None)
        assert folder is not None
        return _train_in(folder, checked, processes, console)


def resume_run(folder: Path, *, console: Callable[[], Hooks] | None = None) -> Finished:
    """Go on with a run from its newest whole checkpoint, as if it had never stopped.

    Raises:
        KdsegError: where the folder is no run, or the run is finished.
    """
    folder = find_run(folder)
    _refuse_finished(folder)
    return _go_on(folder, None, console)


def _refuse_finished(folder: Path) -> None:
    if is_finished(folder):
        raise KdsegError(f"{display_path(folder)}: finished; there is nothing to resume")


def _go_on(folder: Path, processes: Processes | None, console: Callable[[], Hooks] | None) -> Finished:
    loaded = load_recipe(folder / RECIPE)
    processes = processes or Processes.start(loaded.recipe.train)
    with raw_samples(_checked(loaded, processes)) as checked:
        return _train_in(folder, checked, processes, console)


def _checked(loaded: LoadedRecipe, processes: Processes) -> Checked:
    return refuse_defects(check(loaded, processes.world), processes)


def _tell_of_idle_gpus(loaded: LoadedRecipe, processes: Processes) -> None:
    if processes.is_main and torch.cuda.device_count() > processes.world:
        log.info(
            "%d GPUs are here and %d is used; all of them: accelerate launch --multi_gpu -m kdseg run %s",
            torch.cuda.device_count(),
            processes.world,
            display_path(loaded.path),
        )


def _train_in(folder: Path, checked: Checked, processes: Processes, console: Callable[[], Hooks] | None) -> Finished:
    began = time.monotonic()
    way_on = f"when that is mended, go on from the last checkpoint: kdseg resume {display_path(folder)}"
    begun = (folder / LOG).exists()
    with (
        disk_told(folder, way_on),
        run_lock(folder) if processes.is_main else nullcontext(),
        log_file(folder / LOG) if processes.is_main else nullcontext(),
        StopSignals.caught() as signals,
    ):
        _refuse_finished(folder)  # by the process that held the lock before
        if processes.is_main:
            for warning in checked.warnings:
                log.warning("%s", warning)
            if processes.device.type == "cuda":
                log.info("%s", arithmetic_told(checked.loaded.recipe.train, processes.device))
        if checked.loaded.recipe.train.tune_malloc:
            raise_malloc_thresholds()
        run = assemble(folder, checked, processes, console)
        run.began = began
        take_up(run, again=begun)
        try:
            train(run, signals)
            return conclude(run)
        except BaseException as error:
            run.callbacks.tell_exception(run, error)
            if run.is_main and isinstance(error, (Exception, SystemExit)):  # a second Ctrl-C ends it at once
                report_run(folder, error)
            raise
        finally:
            run.recorder.close(complete=is_finished(folder))
