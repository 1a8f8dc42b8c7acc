"""`kdseg evaluate RUN|FILE`: scores on a split."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import click

from kdseg.cli._options import refuse_for_file, view_options, which_option
from kdseg.cli._tables import print_rows
from kdseg.errors import KdsegError


@click.command(short_help="Score a run's networks on a split.")
@click.argument("run", metavar="RUN|FILE", type=click.Path(path_type=Path))
@click.option("--split", default="val", show_default=True, help="Which split of the run's dataset.")
@click.option("--model", "models", multiple=True, help="Which learner; may be given again. All, if left out.")
@which_option
@click.option("--metric", "metrics", multiple=True, help="A metric beside those of the recipe; may be given again.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Images at once. The recipe's, if left out.")
@view_options
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="RECIPE",
    help="A recipe (a file, or a bundled one's name) or run, on whose data a FILE is scored. The run that it lies in, "
    "if left out.",
)  # fmt: skip
@click.option("--trust-code", is_flag=True, help="Open a FILE even where that can run code of its maker's.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(
    run: Path,
    split: str,
    models: tuple[str, ...],
    which: Literal["best", "last"] | None,
    metrics: tuple[str, ...],
    batch_size: int | None,
    data: Path | None,
    trust_code: bool,
    as_json: bool,
    **views: Any,
) -> None:
    """Score the networks that a run trained, on a whole split of its dataset.

    RUN is the run's folder, or the folder above it for its latest run; FILE what `kdseg export` wrote, which runs image
    by image on the processor. Windows, scales and mirroring are as the run's recipe says, unless options say otherwise.
    """
    from kdseg.cli._console import console_with_log
    from kdseg.engine.folders.files import json_text

    shared: dict[str, Any] = {
        "split": split,
        "metrics": metrics,
        "views": {name: value for name, value in views.items() if value is not None},
        "console": console_with_log(),
    }
    if run.is_file():
        from kdseg.engine.judge.evaluate_file import evaluate_file

        if models:
            raise KdsegError(f"--model {models[0]}: {run} holds one network, in which no model can be named")
        refuse_for_file(run, which=which, batch_size=batch_size)
        scores = evaluate_file(run, data=data, trust_code=trust_code, **shared)
    else:
        from kdseg.engine.judge.evaluate_run import evaluate_run

        if data is not None:
            raise KdsegError(f"--data {data}: is for an exported file; a run's own recipe says its data")
        scores = evaluate_run(run, models=models, which=which or "best", batch_size=batch_size, **shared)
    if as_json:
        click.echo(json_text(scores, indent=2))
    else:
        _print(scores, split)


def _print(scores: dict[str, dict[str, Any]], split: str) -> None:
    names = list(scores)
    totals = [key for key, value in scores[names[0]].items() if isinstance(value, float)]
    rows = [("", *names)]
    rows += [(key, *(_number(scores[name][key]) for name in names)) for key in totals]
    tables = [key for key, value in scores[names[0]].items() if isinstance(value, dict)]
    rows += [
        (f"{'IoU' if key == 'iou' else key} {label}", *(_number(scores[name][key][label]) for name in names))
        for key in tables
        for label in scores[names[0]][key]
    ]
    print_rows(f"{split} split", rows)


def _number(value: float) -> str:
    return "absent" if math.isnan(value) else f"{value:.4f}"
