"""`kdseg data RECIPE`: what the data holds, and what is wrong with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from kdseg.cli._options import settings_option
from kdseg.cli._tables import print_rows
from kdseg.data.defects import gathered

RARE = 6
"""Classes of which the companions are printed."""
COMPANIONS = 4
TELLING = 0.05
"""How much more often than elsewhere a class occurs, at least, to be called a companion."""


@click.command(short_help="Show what a recipe's data holds, and what is wrong with it.")
@click.argument("recipe")
@settings_option
@click.option("--split", "splits", multiple=True, help="Which split; may be given again. train and val, if left out.")
@click.option("--workers", type=click.IntRange(0, 256), help="Processes that read. One a core, if left out.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("data"), show_default=True,
    help="Folder for the sheets of samples.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(
    recipe: str, settings: tuple[str, ...], splits: tuple[str, ...], workers: int | None, output: Path, as_json: bool
) -> None:
    """Read every image and label of a recipe's dataset and tell what they hold.

    Shares and weights of the classes, sizes, boundaries, classes that occur together, and every file with a defect:
    those stop a run before it trains. OUTPUT gets NAME_SPLIT.png, samples with their labels laid over. What was read is
    kept, so only files that are new or changed are read again. The exit status is 2 where there are defects.
    """
    from kdseg.recipe.load import load_recipe

    loaded = load_recipe(recipe, settings)

    from kdseg.cli._console import console_with_log
    from kdseg.data.pictures import make_folder, write_image
    from kdseg.engine.folders.files import json_text
    from kdseg.engine.splits.report import scan_splits, split_report
    from kdseg.engine.splits.sheet import sheet

    console_with_log()
    names = splits or ("train", "val")
    scanned = scan_splits(loaded, names, workers if workers is not None else os.cpu_count() or 1)
    reports = {name: split_report(one) for name, one in zip(names, scanned, strict=True)}
    make_folder(output)
    for name, one in zip(names, scanned, strict=True):
        if not all(one.scan.defects):
            file = output / f"{loaded.recipe.name}_{name}.png"
            write_image(file, sheet(one))
            reports[name]["sheet"] = str(file)
    if as_json:
        click.echo(json_text(reports, indent=2))
    else:
        for name, report in reports.items():
            _print(name, report)
    if any(report["defects"] for report in reports.values()):
        sys.exit(2)


def _print(split: str, report: dict[str, Any]) -> None:
    sizes = ", ".join(f"{count} of {size}" for size, count in report["sizes"].items())
    click.echo(f"{split}: {report['images']} images ({sizes})")
    click.echo(f"  {_percent(report['ignored'])} of the pixels are ignored")
    click.echo(f"  {_percent(report['boundary'])} of the labelled pixels lie beside another class")
    classes = report["classes"]
    rules = list(next(iter(classes.values()))["weights"])
    rows = [("", "of pixels", "of images", *rules)]
    rows += [
        (
            name,
            _percent(facts["pixels"]),
            _percent(facts["images"]),
            *(f"{facts['weights'][rule]:.3f}" for rule in rules),
        )
        for name, facts in classes.items()
    ]
    print_rows("classes, and their weights by each rule", rows)
    present = [name for name, facts in classes.items() if facts["images"]]
    rare = sorted(present, key=lambda name: classes[name]["pixels"])[:RARE]
    rows = [companions for name in rare if any((companions := _companions(report, name))[1:])]
    if rows:
        print_rows("what images with the rarest hold more often than others do, and how often", rows)
    for defect in gathered(report["defects"]):
        click.echo(f"defect: {defect}")
    if "sheet" in report:
        click.echo(f"samples: {report['sheet']}")


def _companions(report: dict[str, Any], name: str) -> tuple[str, ...]:
    """Give the other classes that an image with this one most often holds, beyond what any image holds anyway."""
    lift = {
        other: share - (report["classes"][other]["images"] or 0)
        for other, share in report["pairs"][name].items()
        if share is not None
    }
    closest = sorted((other for other in lift if lift[other] > TELLING), key=lambda other: -lift[other])[:COMPANIONS]
    cells = [f"{other} {_percent(report['pairs'][name][other])}" for other in closest]
    return (name, *cells, *[""] * (COMPANIONS - len(cells)))


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.2f} %"
