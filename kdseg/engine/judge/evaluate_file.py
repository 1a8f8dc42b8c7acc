"""Scores of an exported file on any split of a recipe's dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from rich.progress import Progress

from kdseg.components import KINDS, Metric, MetricContext
from kdseg.data.loader import eval_batches
from kdseg.engine.folders.run_folder import RECIPE, find_run
from kdseg.engine.models.exported import open_exported
from kdseg.engine.models.whole_image import WholeImage
from kdseg.engine.splits.open import open_split, refuse_unlabelled
from kdseg.errors import KdsegError, display_path, one_line
from kdseg.metrics.confusion import confusion_matrix
from kdseg.metrics.measure import made
from kdseg.metrics.segmentation import scores
from kdseg.recipe.load import load_recipe
from kdseg.recipe.single import component_from_plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from kdseg.registry import Registry


@torch.no_grad()
def evaluate_file(
    file: Path,
    *,
    data: Path | None,
    split: str,
    metrics: Sequence[str],
    views: Mapping[str, Any],
    trust_code: bool,
    console: Console,
) -> dict[str, dict[str, Any]]:
    """Score an exported file on a whole split, image by image.

    Args:
        file: the file.
        data: a recipe, by its name where it is bundled, or a run: its dataset is taken; that of the run in which
            the file lies, where None.
        split: of that dataset.
        metrics: metrics by name, beside those of the recipe.
        views: fields of `kdseg.engine.models.whole_image.WholeImage` that are not to be as the recipe says.
        trust_code: as `kdseg.load` takes it.
        console: shows progress.

    Returns:
        The scores, under the file's name, as `kdseg.engine.judge.evaluate.Judgement` has them.

    Raises:
        KdsegError: the file, the recipe, the split or a metric is not there, or the classes are others.
    """
    loaded = load_recipe(_recipe_of(file, data))
    recipe, registry = loaded.recipe, loaded.plugins.registry
    model = open_exported(file, trust_code=trust_code, registry=registry)
    classes = recipe.data.dataset.class_table()
    if model.classes != classes.names:
        raise KdsegError(
            f"{display_path(file)}: tells {', '.join(model.classes)} apart; the recipe's dataset has "
            f"{', '.join(classes.names)}"
        )
    judges = judges_of(recipe.evaluate.metrics, metrics, registry)
    samples = open_split(recipe, split, judges)
    refuse_unlabelled(samples, split)
    whole_image = WholeImage.of(recipe.evaluate, 1).changed(views)
    measures = {judge.name: made(judge, MetricContext(classes=classes)) for judge in judges}
    matrix = torch.zeros(len(classes), len(classes), dtype=torch.int64)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("evaluating", total=len(samples))
        for batch in eval_batches(samples, batch_size=1, num_classes=len(classes), workers=recipe.train.workers):
            predicted = model.predict(batch.images.permute(0, 3, 1, 2), whole_image)
            matrix += confusion_matrix(predicted, batch.masks, len(classes))
            for measure in measures.values():
                measure.update(predicted, batch.masks, batch.extras)
            bar.advance(task)
    further = {f"{name}/{score}": value for name, one in measures.items() for score, value in one.compute().items()}
    return {file.name: scores(matrix, classes.names) | further}


def judges_of(own: Sequence[Metric], names: Sequence[str], registry: Registry) -> list[Metric]:
    """Give a recipe's metrics and, after them, those of some names.

    Raises:
        KdsegError: there is no metric of a name, or it cannot be used by its name alone.
    """
    judges = [*own]
    for name in names:
        try:
            registry.find("metric", name)  # else `component_from_plain` would tell it at the key of a recipe
            judge = component_from_plain({"use": name}, KINDS["metric"], registry)
        except KdsegError as error:
            raise KdsegError(f"--metric {name}: {one_line(error)}") from error
        assert isinstance(judge, Metric)
        if judge not in judges:
            judges.append(judge)
    return judges


def _recipe_of(file: Path, data: Path | None) -> Path:
    """Name the recipe that says on which data a file is evaluated."""
    if data is not None:
        return find_run(data) / RECIPE if data.is_dir() else data
    for folder in file.resolve().parents:
        if (folder / RECIPE).exists():
            return folder / RECIPE
    raise KdsegError(f"{display_path(file)}: lies in no run; --data RECIPE says on which data it is evaluated")
