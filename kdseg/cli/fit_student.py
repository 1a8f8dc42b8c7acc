"""`kdseg fit-student`: students that hold a budget on this machine."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdseg.cli._options import window_size

if TYPE_CHECKING:
    from kdseg.engine.profile.fit_student import Candidate, Fitted
    from kdseg.registry import Registry


@click.command("fit-student", short_help="Students that hold a budget on this machine.")
@click.option("--params", "parameters", type=click.FloatRange(1), metavar="N", help="The most parameters, as 1e6.")
@click.option("--macs", type=click.FloatRange(1), metavar="N", help="The most multiplications for an image, as 5e9.")
@click.option(
    "--latency-ms", "milliseconds", type=click.FloatRange(0, min_open=True), metavar="MS",
    help="The longest time from an image to its class map, in the median.",
)  # fmt: skip
@click.option(
    "--size", type=window_size, default="512x1024", show_default=True, metavar="HEIGHTxWIDTH", help="Of images."
)
@click.option(
    "--runtime",
    default="bf16",
    show_default=True,
    metavar="NAME",
    help="As in kdseg profile, or an exporter: openvino-bf16.",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="Of PyTorch; its own choice if left out.")
@click.option("--backbone", "family", default="unet", show_default=True, help="The family.")
@click.option("--classes", type=click.IntRange(2, 254), default=19, show_default=True, help="That are told apart.")
@click.option(
    "--most", type=click.IntRange(1, 100), default=8, show_default=True, help="How many are measured and shown."
)
@click.option("--picture", type=click.Path(path_type=Path), help="Draw all into this PNG file.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, for programs.")
def command(
    parameters: float | None,
    macs: float | None,
    milliseconds: float | None,
    family: str,
    runtime: str,
    picture: Path | None,
    as_json: bool,
    **search: Any,
) -> None:
    """Search a family of networks for the students that hold every budget on this machine.

    What a network has and does is counted; how long it takes is measured on some, fitted to these for all, and measured
    again on those that matter. Shown are networks than which none has as many parameters and multiplications and is as
    fast, each with the line that a recipe needs.
    """
    import torch

    from kdseg.cli._console import console_with_log
    from kdseg.engine.profile.fit_student import Budget, fit_student
    from kdseg.engine.profile.runtimes import runtime as opened_runtime
    from kdseg.engine.profile.telling import counted_networks
    from kdseg.errors import KdsegError, component_told
    from kdseg.plugins import load_plugins

    if Path(runtime).is_file():
        raise KdsegError(f"--runtime {runtime}: is one network, whatever is made; name an exporter, as openvino-bf16")
    if picture is not None:
        from kdseg.data.pictures import refuse_unwritable

        refuse_unwritable(picture)
    registry = load_plugins().registry
    entry = registry.find("backbone", family)
    with component_told(f"backbone {entry.qualified}"):
        networks = [*entry.cls.variants()]  # type: ignore[attr-defined] # it is a backbone's
    if not networks:
        raise KdsegError(f"--backbone {family}: names one network, no family to search; unet is one")
    budget = Budget(parameters=parameters, macs=macs, milliseconds=milliseconds)
    told = counted_networks(console_with_log(), len(networks))
    made = opened_runtime(runtime, size=search["size"], device=torch.device("cpu"), registry=registry)
    with made as make, told as on_network:
        found = fit_student(networks, budget, make=make, registry=registry, on_network=on_network, **search)
    if picture is not None:
        from kdseg.data.pictures import write_image
        from kdseg.engine.profile.fit_picture import draw_front

        write_image(picture, draw_front(found, budget))
    if as_json:
        from kdseg.engine.folders.files import json_text

        click.echo(json_text(_as_data(found, registry), indent=2))
    else:
        _print(found, runtime, registry, picture)


def _print(found: Fitted, runtime: str, registry: Registry, picture: Path | None) -> None:
    from kdseg.cli._tables import print_rows
    from kdseg.engine.profile.telling import recipe_line

    print_rows(
        f"students within the budget, by {runtime}: {len(found.front)} of {len(found.considered)} networks",
        [
            ("parameters", "multiplications", "ms, measured", "ms, fitted before", "network"),
            *(
                (
                    f"{one.parameters / 1e6:.3f} M",
                    f"{one.work.macs / 1e9:.2f} G",
                    f"{one.milliseconds:.1f}",
                    "" if one.fitted is None else f"{one.fitted:.1f}",
                    recipe_line(one.backbone, registry),
                )
                for one in found.front
            ),
        ],
    )
    error = "unknown: one network was measured" if math.isnan(found.error) else f"{found.error:.0%} in the median"
    click.echo(f"How far a fitted latency is off: {error}. In a recipe, for the first of them:\n")
    click.echo(f"[models.student]\nbackbone = {recipe_line(found.front[0].backbone, registry)}")
    if picture is not None:
        click.echo(f"\npicture: {picture}")


def _as_data(found: Fitted, registry: Registry) -> dict[str, Any]:
    from kdseg.recipe.single import plain_component

    def told(one: Candidate) -> dict[str, Any]:
        return {
            "backbone": plain_component(one.backbone, registry),
            "parameters": one.parameters,
            "macs": one.work.macs,
            "activation_bytes": one.work.activation_bytes,
            "fitted_ms": one.fitted,
            "measured_ms": one.measured,
        }

    return {
        "front": [told(one) for one in found.front],
        "considered": [told(one) for one in found.considered],
        "fit_error": found.error,
    }
