"""A run's whole state, to a checkpoint and back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kdseg.engine.folders.checkpoint import (
    Checkpointed,
    prune_checkpoints,
    read_checkpoint,
    whole_checkpoints,
    write_checkpoint,
)
from kdseg.engine.folders.run_folder import CHECKPOINTS
from kdseg.engine.machine.sharding import with_whole_learners
from kdseg.engine.run.results import save_models
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdseg.engine.run.state import Run

log = logging.getLogger("kdseg")


@with_whole_learners
def save(run: Run) -> None:
    """Write all that a resumed run needs."""
    if run.is_main:
        save_models(run, "last")  # before the checkpoint: a run killed between the two writes them again
        state = {
            "metrics_position": run.recorder.position(),
            "values": run.values,
            "scores": run.scores,
            "best": run.best,
            "one_class": run.one_class,
            "seconds": run.seconds,
            "stop_reason": run.stop_reason,
            "turns": run.stepper.turns.state_dict(),
            **run.callbacks.state_dict(run),
        }
        write_checkpoint(run.folder / CHECKPOINTS, run.step, parts_of(run), state)
        prune_checkpoints(run.folder / CHECKPOINTS, run.step, run.recipe.checkpoint.keep)
    run.processes.wait()


def take_up(run: Run, *, again: bool) -> None:
    """Restore the newest whole checkpoint; without one, what a killed run wrote is begun again.

    Args:
        run: as it was assembled.
        again: whether it began before.

    Raises:
        KdsegError: where the run is shorter or built otherwise now, or a callback cannot read what it wrote then.
    """
    checkpoint = next(whole_checkpoints(run.folder / CHECKPOINTS), None)
    if checkpoint is None:
        if any((run.folder / CHECKPOINTS).glob("step-*")):
            log.warning("no checkpoint of this run is whole: it begins again")
        elif again:
            log.info("no checkpoint of this run is there: it begins again")
        run.recorder.rewind(0)
        return
    _restore(run, read_checkpoint(checkpoint, parts_of(run)))
    log.info("resumed at step %d of %d", run.step, run.total_steps)


def parts_of(run: Run) -> Checkpointed:
    """Give what a checkpoint holds."""
    return Checkpointed(
        networks={name: run.stepper.participants[name].module for name in run.cards},
        learners=run.stepper.learners,
        losses={name: term.module for name, term in run.stepper.terms.items()},
        critics=run.stepper.critics,
    )


def _restore(run: Run, state: Mapping[str, Any]) -> None:
    """Take up a checkpoint's plain state; networks and optimizers have theirs by now."""
    if state["step"] > run.total_steps:
        raise KdsegError(
            f"the checkpoint is of step {state['step']}, but the recipe ends at {run.total_steps}: it was changed "
            "after the run began; give it its old length, or begin a run of its own"
        )
    run.step, run.stop_reason = state["step"], state["stop_reason"]
    run.values, run.scores, run.best = state["values"], state["scores"], state["best"]
    run.one_class = state["one_class"]
    run.seconds_before = state.get("seconds", 0.0)
    run.publish(run.scores)
    run.stepper.turns.load_state_dict(state["turns"])
    run.recorder.rewind(state["metrics_position"], run.step)
    run.callbacks.load_state_dict(state)
