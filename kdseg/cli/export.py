"""`kdseg export RUN --to FORMAT`: a trained network as a file for programs without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from kdseg.cli._options import window_size

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command(short_help="Write a network for programs without PyTorch.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", required=True, metavar="EXPORTER", help="onnx, openvino, pt2, or an exporter of a plugin.")
@click.option(
    "--precision", type=click.Choice(["fp32", "bf16", "int8"]), default="fp32", show_default=True,
    help="Of the network in the file. int8 is calibrated on the run's training split.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The file. One in the run's folder exports, if left out."
)
@click.option("--logits", is_flag=True, help="Float images in, logits out; else bytes in, classes out.")
@click.option(
    "--size", type=window_size, metavar="HEIGHTxWIDTH",
    help="The file takes one image of this size. Any number of any size, if left out.",
)  # fmt: skip
@click.option(
    "--resize", type=window_size, metavar="HEIGHTxWIDTH",
    help="The network sees every image at this size; the file resizes, and answers at the image's own.",
)  # fmt: skip
@click.option("--model", help="Which learner. The one named student, or the only one, if left out.")
@click.option("--which", type=click.Choice(["best", "last"]), default="best", show_default=True, help="Which weights.")
@click.option(
    "--calibrate", type=click.IntRange(1, 100_000), default=64, show_default=True,
    help="Training images by which int8 chooses its scales.",
)  # fmt: skip
@click.option("--images", type=click.IntRange(1), help="Evaluation images of the check. All, if left out.")
@click.option(
    "--max-drop", type=click.FloatRange(0, 100), default=1.0, show_default=True,
    help="Points of mean IoU that the file may lose.",
)  # fmt: skip
@click.option(
    "--min-equal", "least_equal", type=click.FloatRange(0, 1),
    help="Share of pixels that must keep their class. 0.9999 in fp32, 0.99 in bf16 and 0 in int8, if left out.",
)  # fmt: skip
@click.option("--trust-code", is_flag=True, help="Run the Python file that came with the network, where one did.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(
    run: Path,
    output: Path | None,
    model: str | None,
    which: Literal["best", "last"],
    trust_code: bool,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Write a network that a run trained as one file, and hold it against the network.

    RUN is the run's folder, or the folder above it for its latest run. The file takes RGB images uint8 Nx3xHxW and
    gives classes uint8 NxHxW: normalisation and argmax are in it. It carries its classes, colours and origin.

    The file is run on the evaluation split beside the network. Where it says another class in too many pixels, or loses
    too much, that is an error, and no file is left. What was found is printed, and lies beside the file in FILE.json.
    """
    from kdseg.cli._console import console_with_log
    from kdseg.engine.deploy.export import ExportSettings, export_run

    found = export_run(
        run,
        ExportSettings(**wanted),
        output=output,
        model=model,
        which=which,
        trust_code=trust_code,
        console=console_with_log(),
    )
    if as_json:
        from kdseg.engine.folders.files import json_text

        click.echo(json_text(found, indent=2))
    else:
        _print(found)


def _print(found: Mapping[str, Any]) -> None:
    from kdseg.cli._tables import print_rows

    error = [] if found["max_error"] is None else [("largest error of a logit", f"{found['max_error']:.3g}")]
    print_rows(
        f"{found['file']}: {found['bytes'] / 2**20:.2f} MiB, {found['precision']}",
        [
            ("images of the check", str(found["images"])),
            ("pixels of the network's class", f"{found['equal_pixels']:.4%}"),
            *error,
            ("mIoU of the network", f"{found['miou_before']:.4f}"),
            ("mIoU of the file", f"{found['miou_after']:.4f}"),
        ],
    )
