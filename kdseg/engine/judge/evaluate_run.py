"""Scores of a run's networks on any split of its dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.progress import Progress

from kdseg.data.images import Normalise
from kdseg.engine.folders.run_folder import RECIPE, find_run
from kdseg.engine.judge.evaluate import evaluate
from kdseg.engine.judge.evaluate_file import judges_of
from kdseg.engine.judge.participants import refuse_unknown, trained_participants
from kdseg.engine.machine.processes import Processes
from kdseg.engine.models.whole_image import WholeImage
from kdseg.engine.splits.open import open_split, refuse_unlabelled
from kdseg.recipe.load import load_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console


def evaluate_run(
    path: Path,
    *,
    split: str,
    models: Sequence[str],
    which: str,
    metrics: Sequence[str],
    batch_size: int | None,
    views: Mapping[str, Any],
    console: Console,
) -> dict[str, dict[str, Any]]:
    """Score participants of a run, all unless named, on a whole split.

    Args:
        path: the run.
        split: of the run's dataset.
        models: participants by name; all, where none is named.
        which: their weights, "best" or "last".
        metrics: metrics by name, beside those of the recipe.
        batch_size: images, or windows of one, at once; the recipe's, where None.
        views: fields of `kdseg.engine.models.whole_image.WholeImage` that are not to be as the recipe says.
        console: shows progress.

    Returns:
        For each participant its scores, as `kdseg.engine.judge.evaluate.Judgement` has them.

    Raises:
        KdsegError: where the run, the split, a participant or a metric is not there.
    """
    run = find_run(path)
    loaded = load_recipe(run / RECIPE)
    recipe = loaded.recipe
    judges = judges_of(recipe.evaluate.metrics, metrics, loaded.plugins.registry)
    refuse_unknown(recipe, models)
    samples = open_split(recipe, split, judges)
    refuse_unlabelled(samples, split)
    processes = Processes.start(recipe.train)
    classes = recipe.data.dataset.class_table()
    participants = trained_participants(run, recipe, models, which, processes.device)
    at_once = batch_size or recipe.evaluate.batch_size or recipe.train.batch_size
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("evaluating", total=-(-len(samples) // processes.world))
        judgements = evaluate(
            participants,
            samples,
            classes=classes,
            metrics=judges,
            processes=processes,
            normalise=Normalise.of(recipe.data.mean, recipe.data.std, processes.device),
            batch_size=at_once,
            whole_image=WholeImage.of(recipe.evaluate, at_once).changed(views),
            workers=recipe.train.workers,
            on_batch=lambda images: bar.advance(task, images),
        )
    return {name: judgement.scores for name, judgement in judgements.items()}
