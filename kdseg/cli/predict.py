"""`kdseg predict RUN|FILE IMAGES…`: masks and overlays for any images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from kdseg.cli._options import refuse_for_file, view_options, which_option


@click.command(short_help="Segment any images.")
@click.argument("run", metavar="RUN|FILE", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", help="Which learner. The one named student, or the only one, if left out.")
@which_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("predictions"), show_default=True,
    help="Folder for what is written.",
)  # fmt: skip
@view_options
@click.option("--trust-code", is_flag=True, help="Run code that came with the network, where some did.")
@click.option("--format", "benchmark", help="Write what a dataset's benchmark takes, such as cityscapes or bdd100k.")
def command(
    run: Path,
    images: tuple[Path, ...],
    model: str | None,
    which: Literal["best", "last"] | None,
    output: Path,
    trust_code: bool,
    benchmark: str | None,
    **views: Any,
) -> None:
    """Segment images with a network that a run trained.

    RUN is a run's folder, or a copy of one of its models/NAME folders; FILE what `kdseg export` wrote. IMAGES are
    files, folders or videos. For each image NAME the output folder gets NAME_mask.png, class indices, and
    NAME_overlay.png, the classes' colours over the image; with --format, the file alone that the benchmark's
    evaluator looks for, at the image's own size. Images of folders within a folder are found too, and written into
    folders of the same names. The network sees an image as it is, at once, unless options say otherwise. Of a video
    NAME.mp4 comes NAME_overlay.mp4, frame by frame.
    """
    from statistics import median

    from kdseg.cli._console import console_with_log
    from kdseg.engine.judge.predict import predict_files

    if run.is_file():
        refuse_for_file(run, which=which)
    done = predict_files(
        run,
        images,
        output,
        model=model,
        which=which or "best",
        trust_code=trust_code,
        benchmark=benchmark,
        views={name: value for name, value in views.items() if value is not None},
        console=console_with_log(),
    )
    if done.images:
        what = "*_mask.png and *_overlay.png" if benchmark is None else f"*.png, as {benchmark} takes them"
        click.echo(f"{done.images} images: {output}/{what}")
    if done.videos:
        click.echo(f"{done.videos} videos: {output}/*_overlay.mp4")
    if done.left_out:
        click.echo(f"left out: {done.left_out} videos in folders; name each by itself", err=True)
    if len(done.seconds) == 1 or benchmark is not None:  # no rate, or nobody's question
        return
    rate = len(done.seconds) / done.whole
    click.echo(
        f"{1000 * median(done.seconds):.1f} ms from an image to its classes (median of {len(done.seconds)}); "
        f"{rate:.1f} images a second with all reading and writing",
        err=True,
    )
