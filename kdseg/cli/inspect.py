"""`kdseg inspect RUN IMAGE`: what goes through a run's networks for one picture, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from kdseg.cli._tables import print_rows

if TYPE_CHECKING:
    from kdseg.engine.judge.inspect import Layer


@click.command(short_help="Look at what a picture becomes inside the networks.")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--model", "models", multiple=True, help="Which participant; may be given again. All, if left out.")
@click.option("--which", type=click.Choice(["best", "last"]), default="best", show_default=True, help="Which weights.")
@click.option(
    "--tap", "taps", multiple=True, help="A stage, or a submodule by its dotted path; may be given again. All stages, "
    "if left out.",
)  # fmt: skip
@click.option("--every-layer", is_flag=True, help="Look at all innermost modules.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("inspect.png"), show_default=True,
    help="The picture that is written.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(
    run: Path,
    image: Path,
    models: tuple[str, ...],
    which: Literal["best", "last"],
    taps: tuple[str, ...],
    every_layer: bool,
    output: Path,
    as_json: bool,
) -> None:
    """Look at what goes through the networks of a run for one picture.

    RUN is the run's folder, or the folder above it for its latest run. IMAGE is any picture; the networks see it at its
    own size, at once. For each stage of each participant, learners and frozen ones, the table has the shape, the
    smallest, mean and greatest value, their standard deviation, the share of zeros, and how many channels are dead: the
    same value everywhere in this picture. The PNG shows where each stage looks and its principal components.
    """
    if taps and every_layer:
        raise click.UsageError("--tap and --every-layer exclude each other")
    from kdseg.engine.folders.files import json_text
    from kdseg.engine.judge.inspect import as_plain, inspect_run

    found = inspect_run(run, image, output, models=models, which=which, taps=taps, every_layer=every_layer)
    if as_json:
        plain = {name: {layer: as_plain(one) for layer, one in those.items()} for name, those in found.items()}
        click.echo(json_text({"picture": str(output), "participants": plain}, indent=2))
        return
    print_rows(f"{image}, {which} weights", _rows(found))
    click.echo(f"picture: {output}")


def _rows(found: dict[str, dict[str, Layer]]) -> list[tuple[str, ...]]:
    """Give a line for each layer of each participant, those of one name together."""
    from kdseg.engine.judge.inspect_sheet import merged

    rows: list[tuple[str, ...]] = [("", "", "shape", "min", "mean", "max", "std", "zeros", "dead", "")]
    for layer in merged([[*those] for those in found.values()]):
        named = layer
        for name, those in found.items():
            if layer in those:
                rows.append((named, name, *_cells(those[layer])))
                named = ""
    return rows


def _cells(layer: Layer) -> tuple[str, ...]:
    numbers = (f"{value:.3g}" for value in (layer.min, layer.mean, layer.max, layer.std))
    dead = "" if layer.dead is None else f"{len(layer.dead)} of {layer.shape[0]}"
    lost = f"{layer.not_finite:.1%} not finite" if layer.not_finite else ""
    return "x".join(map(str, layer.shape)), *numbers, f"{layer.zeros:.0%}", dead, lost
