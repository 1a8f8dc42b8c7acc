"""Predictions for any images, as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from rich.progress import track

from kdseg.data.image_files import read_rgb
from kdseg.data.images import refuse_small
from kdseg.data.pictures import make_folder, overlay, write_image
from kdseg.engine.judge.submissions import find_submission, refuse_other_classes, refuse_strays
from kdseg.engine.machine.arithmetic import set_arithmetic
from kdseg.engine.models.model import load
from kdseg.engine.models.whole_image import AT_ONCE
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


def predict_files(
    run: Path,
    images: Sequence[Path],
    output: Path,
    *,
    model: str | None,
    which: Literal["best", "last"],
    trust_code: bool,
    benchmark: str | None,
    views: Mapping[str, Any],
    console: Console,
) -> int:
    """Write ``NAME_mask.png`` and ``NAME_overlay.png`` for each image, or what a benchmark takes.

    Args:
        run: a run's folder, or a copy of one of its models' folders.
        images: files or folders.
        output: the folder that is written to.
        model: which learner.
        which: its weights.
        trust_code: as `kdseg.load` takes it.
        benchmark: a dataset by name; `Dataset.submission` says what is written.
        views: fields of `kdseg.engine.models.whole_image.WholeImage`; images pass whole through the network otherwise.
        console: shows progress.

    Returns:
        How many images there were.

    Raises:
        KdsegError: for a path that is no image or holds none, an image smaller than 32x32, two images of one name, an
            output that cannot be written or would replace an image, a model that cannot be loaded, or images or a model
            that are not the benchmark's.
    """
    whole_image = AT_ONCE.changed(views)
    submission = None if benchmark is None else find_submission(run, benchmark, trust_code=trust_code)
    targets = _targets(
        images, output, _plain_names if submission is None else lambda file: (submission.file_name(file),)
    )
    network = load(run, model, which, trust_code=trust_code)
    if submission is not None:
        refuse_other_classes(network.classes, submission)
        refuse_strays(output / name for file in targets for name in _plain_names(file))
    if torch.cuda.is_available():
        network.cuda()
        set_arithmetic(network.mean.device)
    make_folder(output)
    each = track(targets.items(), "predicting", console=console, transient=True, disable=not console.is_terminal)
    for file, written in each:
        image = read_rgb(file, upright=submission is None)  # a benchmark's truth lies as its images are stored
        refuse_small(image, display_path(file))
        whole_image.refuse(*image.shape[:2])
        mask = network.predict(image, whole_image)
        if submission is None:
            pictures = [mask, overlay(image, mask, network.palette)]
        else:
            pictures = [np.array(submission.values, np.uint8)[mask]]
        for path, picture in zip(written, pictures, strict=True):
            write_image(path, picture)
    return len(targets)


def _plain_names(file: Path) -> tuple[str, ...]:
    return f"{file.stem}_mask.png", f"{file.stem}_overlay.png"


def _targets(
    images: Sequence[Path], output: Path, names: Callable[[Path], Sequence[str]]
) -> dict[Path, tuple[Path, ...]]:
    """Give the files that are written for each image; one that is named twice comes once."""
    targets: dict[Path, tuple[Path, ...]] = {}
    sources: dict[Path, Path] = {}
    for file in _image_files(images):
        targets[file] = tuple(output / name for name in names(file))
        other = sources.setdefault(targets[file][0], file)
        if other != file:
            raise KdsegError(
                f"{display_path(other)} and {display_path(file)} would write the same files; name them apart"
            )
    originals = {file.resolve(): file for file in targets}
    for written in (path.resolve() for paths in targets.values() for path in paths):
        if written in originals:
            raise KdsegError(
                f"{display_path(originals[written])} would be overwritten; name another folder by --output"
            )
    return targets


def _image_files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = (file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
            files = sorted(
                file for file in found if not file.name.startswith(".")
            )  # such as macOS leaves beside copies
            if not files:
                raise KdsegError(f"{display_path(path)}: holds no image ({', '.join(sorted(SUFFIXES))})")
            yield from files
        elif path.exists():
            yield path
        else:
            raise KdsegError(f"{display_path(path)}: no such image or folder")
