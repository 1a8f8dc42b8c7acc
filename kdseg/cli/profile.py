"""`kdseg profile RUN|BACKBONE`: what a network costs on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdseg.cli._options import window_size

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command(short_help="What a network costs: counts, latency, layers.")
@click.argument("subject", metavar="RUN|BACKBONE")
@click.option(
    "--size", type=window_size, default="512x1024", show_default=True, metavar="HEIGHTxWIDTH", help="Of images."
)
@click.option("--batch", type=click.IntRange(1, 1024), default=1, show_default=True, help="Images at once.")
@click.option("--device", default="cpu", show_default=True, help="Where it runs: cpu, cuda, cuda:1.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Of PyTorch on the CPU; its own choice if left out.")
@click.option(
    "--runtime", "runtimes", multiple=True, metavar="NAME|FILE",
    help="eager, channels_last, optimized, bf16, compiled, compiled-bf16, an exporter with its precision "
    "(openvino-bf16), or a file that kdseg export wrote; may be given again. They are measured by turns, and ratios "
    "are to the first. The first four, if left out.",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(5, 100_000), default=30, show_default=True, help="Of the measurement.")
@click.option(
    "--seconds", type=click.FloatRange(0), default=60.0, show_default=True,
    help="After so many it ends, though not before three rounds to warm up and five that count.",
)  # fmt: skip
@click.option("--layers", type=click.IntRange(0), default=12, show_default=True, help="How many layers are shown.")
@click.option("--set", "settings", multiple=True, metavar="OPTION=VALUE", help="An option of the backbone.")
@click.option("--classes", type=click.IntRange(2, 254), help="Of the backbone. 19, if left out.")
@click.option("--model", help="Which learner of the run. The one named student, or the only one, if left out.")
@click.option("--trust-code", is_flag=True, help="Run code that came with the network, where some did.")
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the layers into this PNG file.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, for programs.")
def command(
    subject: str,
    settings: tuple[str, ...],
    classes: int | None,
    model: str | None,
    trust_code: bool,
    runtimes: tuple[str, ...],
    layers: int,
    picture: Path | None,
    as_json: bool,
    rounds: int,
    **measured: Any,
) -> None:
    """Count and measure what a network costs on this machine.

    RUN is a run's folder, or one of its models/NAME folders; BACKBONE a name that `kdseg list-plugins` lists, which
    gets random weights. Parameters, multiplications and the memory of all layers' outputs are counted; the time from an
    image to its class map is measured by turns of all runtimes, after rounds that warm up.
    """
    from kdseg.cli._console import console_with_log
    from kdseg.engine.profile.profile import find_subject, profile, rounds_told

    console = console_with_log()
    if picture is not None:
        from kdseg.data.pictures import refuse_unwritable

        refuse_unwritable(picture)
    found = find_subject(subject, settings, classes, model=model, trust_code=trust_code)
    with rounds_told(console, rounds) as on_round:
        result = profile(found, runtimes=runtimes, rounds=rounds, trust_code=trust_code, on_round=on_round, **measured)
    if picture is not None:
        from kdseg.data.pictures import write_image
        from kdseg.engine.profile.picture import draw_profile

        write_image(picture, draw_profile(result))
    if as_json:
        from kdseg.engine.folders.files import json_text

        click.echo(json_text(result, indent=2))
    else:
        _print(result, layers, picture)


def _print(found: Mapping[str, Any], layers: int, picture: Path | None) -> None:
    from kdseg.cli._tables import print_rows
    from kdseg.engine.profile.picture import costliest

    machine = found["machine"]
    height, width = found["size"]
    peaks = ", ".join(
        f"{machine[f'peak_gflops_{name}']:.0f} GFLOP/s {name}"
        for name in ("fp32", "bf16")
        if f"peak_gflops_{name}" in machine
    )
    where = machine["gpu"] or f"{machine['processor']} ({machine['capability']}), {machine['threads']} threads"
    print_rows(
        f"{found['name']}: {found['batch']}x{height}x{width} on {where}, PyTorch {machine['torch']}",
        [
            ("parameters", f"{found['parameters'] / 1e6:.3f} M"),
            ("multiplications", f"{found['macs'] / 1e9:.2f} G"),
            ("outputs of all layers", f"{found['activation_bytes'] / 2**20:.0f} MiB"),
            ("a large matrix product", peaks),
        ],
    )
    print_rows(
        "from an image to its class map",
        [
            ("runtime", "p50 ms", "95 % interval", "p95 ms", "p99 ms", "times as fast", "images/s", "share of peak"),
            *(_runtime(name, told) for name, told in found["runtimes"].items()),
        ],
    )
    shown = costliest(found, layers)
    if shown:
        print_rows(
            f"the costliest layers, in channels_last, each by itself ({len(found['layers'])} in all)",
            [("layer", "kind", "ms", "multiplications, M", "parameters", "output"), *map(_layer, shown)],
        )
    if picture is not None:
        click.echo(f"picture: {picture}")


def _runtime(name: str, told: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{told['p50']:.2f}",
        f"{told['low']:.2f} to {told['high']:.2f}",
        *("" if told[name] is None else f"{told[name]:.2f}" for name in ("p95", "p99")),
        f"{told['times_as_fast']:.2f}",
        f"{told['images_per_second']:.1f}",
        "unknown" if told["share_of_peak"] is None else f"{told['share_of_peak']:.0%}",
    )


def _layer(layer: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        layer["name"] or "itself",
        layer["kind"],
        f"{layer['milliseconds']:.2f}",
        f"{layer['macs'] / 1e6:.1f}",
        f"{layer['parameters']}",
        "x".join(map(str, layer["output"])),
    )
