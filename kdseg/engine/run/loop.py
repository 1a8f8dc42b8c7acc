"""The loop: steps, evaluations, checkpoints, events."""

from __future__ import annotations

import logging
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kdseg.data.loader import train_steps
from kdseg.engine.run.collapse import refuse_collapse
from kdseg.engine.run.floors import judge_frozen
from kdseg.engine.run.saving import save
from kdseg.engine.splits.feeds import unlabelled_of, views_of
from kdseg.errors import KdsegError
from kdseg.recipe.schema import Frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from kdseg.data.batches import Batch
    from kdseg.engine.machine.signals import StopSignals
    from kdseg.engine.run.state import Run
    from kdseg.recipe.schema import Recipe

log = logging.getLogger(__name__)


def train(run: Run, signals: StopSignals) -> None:
    """Take the run from where it stands to its last step.

    Raises:
        SystemExit: after a signal, with a checkpoint written.
        KdsegError: where training diverged, a learner came to nothing, or a frozen participant changed or is below its
            floor.
    """
    recipe = run.recipe
    frozen = {
        name: participant.digest()
        for name, participant in run.stepper.participants.items()
        if isinstance(participant.spec, Frozen)
    }
    last_step = run.total_steps if run.stop_reason is None else run.step  # a resumed run may have been over
    signals.ending = "this step"
    run.emit("on_run_start")
    judge_frozen(run)
    compiled: set[tuple[str, bool]] = set()
    began = asked = time.perf_counter()
    for micro_batches in _steps(run, last_step):
        waited = time.perf_counter() - asked
        signals.ending = "this step"
        if run.step % run.plan.steps_per_epoch == 0:
            run.emit("on_epoch_start")
        run.batch = micro_batches[-1]
        with _compiling_told(run, compiled):
            report = run.stepper.take(run.step, micro_batches, insight=_looks(recipe, run.step))
        run.step += 1
        now = time.perf_counter()
        run.note(report, now - began, waited)
        began = now
        did_more = _after_step(run, signals)
        if run.stop_reason is not None:
            break
        asked = time.perf_counter()
        if did_more:
            began = asked  # a step's seconds are its own
    for name, digest in frozen.items():
        if run.stepper.participants[name].digest() != digest:
            raise KdsegError(f"models.{name}: frozen, but its weights or buffers changed during the run")
    run.emit("on_run_end")


def _after_step(run: Run, signals: StopSignals) -> bool:
    """Do what is due after the step just taken, and tell whether anything was.

    Raises:
        SystemExit: after a signal.
    """
    run.emit("on_step_end")
    interrupted = _meet(run, signals)
    evaluated = _evaluate_where_due(run, signals)
    if evaluated:
        interrupted = _meet(run, signals)
    saved = _save_where_due(run, interrupted=interrupted is not None)
    if interrupted is not None:
        raise SystemExit(128 + interrupted)
    if saved:
        _meet(run, signals)
    if run.stop_reason is not None:
        if not evaluated:  # it was stopped by what its checkpoint told
            _evaluate_where_due(run, signals)
            _save_where_due(run, interrupted=False)
        log.info("stopped at step %d: %s", run.step, run.stop_reason)
    return evaluated or saved


def _steps(run: Run, last_step: int) -> Iterator[list[Batch]]:
    """Load the micro-batches of each step to come, up to a last one."""
    recipe = run.recipe
    return train_steps(
        run.checked.train,
        run.checked.augmentation,
        seed=recipe.seed,
        batch_size=recipe.train.batch_size,
        micro_batches=recipe.train.micro_batches,
        rank=run.processes.rank,
        world=run.processes.world,
        first_step=run.step,
        last_step=last_step,
        num_classes=len(run.classes),
        workers=recipe.train.workers,
        rare_classes=run.rare_classes,
        views=views_of(recipe),
        unlabelled=unlabelled_of(recipe, run.checked.unlabelled),
        pinned=run.processes.device.type == "cuda",
    )


def _meet(run: Run, signals: StopSignals) -> int | None:
    """Let all processes know where one of them stops the run, and give the signal that any received."""
    number, stopping = signals.received(run.processes, stopping=run.stop_reason is not None)
    if stopping and run.processes.world > 1:
        run.stop_reason = run.processes.first_of_all(run.stop_reason)
    return number


def _looks(recipe: Recipe, step: int) -> bool:
    """Whether this step looks at the gradients of its terms."""
    every = recipe.tracking.insight_every
    turns = 1 if recipe.turns is None else len(recipe.turns.order)  # at each turn, not at one for ever
    return every > 0 and step % every < turns


@contextmanager
def _compiling_told(run: Run, compiled: set[tuple[str, bool]]) -> Iterator[None]:
    """Say that a step compiles networks, and how long that took.

    Args:
        run: which takes the step.
        compiled: the participants that ran before, each as learner and as mere source, which are compiled apart.
    """
    active = run.stepper.active(run.step) if run.recipe.train.compile else ()
    learning = {(term.learner, True) for term in active}
    sources = {(source, False) for term in active for source in term.sources}
    fresh = (learning | {one for one in sources if (one[0], True) not in learning}) - compiled
    if not fresh:
        yield
        return
    names = " and ".join(sorted(f"{name}{'' if learns else ' as a source'}" for name, learns in fresh))
    log.info("train.compile: step %d compiles %s first", run.step + 1, names)
    began = time.perf_counter()
    yield
    compiled |= fresh
    log.info("train.compile: step %d took %.1f s", run.step + 1, time.perf_counter() - began)


def _evaluate_where_due(run: Run, signals: StopSignals) -> bool:
    """Evaluate where that is due, and tell whether it was."""
    if not run.due(run.recipe.evaluate.every, run.recipe.evaluate.unit):
        return False
    run.refuse_lost_values()
    signals.ending = "this evaluation"
    judgements = run.evaluate()
    _warn_of_no_score(run, judgements)
    run.emit("on_evaluation_end")
    refuse_collapse(run, judgements)
    return True


def _warn_of_no_score(run: Run, judged: Collection[str]) -> None:
    metric = run.recipe.evaluate.metric
    lost = [name for name in judged if math.isnan(run.scores[name][metric])]
    if lost and run.is_main:
        log.warning(
            "step %d: %s of %s is nan, so nothing says which weights are best; are the validation images labelled?",
            run.step,
            metric,
            " and ".join(lost),
        )


def _save_where_due(run: Run, *, interrupted: bool) -> bool:
    """Write a checkpoint where that is due, and tell whether it was."""
    due = run.due(run.recipe.checkpoint.every, run.recipe.checkpoint.unit)  # always once the run is to stop
    if not due and not interrupted:
        return False
    run.refuse_lost_values()
    save(run)
    run.emit("on_checkpoint")
    return True
