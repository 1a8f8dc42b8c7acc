"""Predictions for any images, as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from rich.progress import track

from kdseg.engine.models import load
from kdseg.engine.pictures import overlay, read_image, write_image
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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
    console: Console,
) -> int:
    """Write ``NAME_mask.png`` and ``NAME_overlay.png`` for each image, and give how many images there were.

    Raises:
        KdsegError: for a path that is no image or holds none, two images of one name, or a model that cannot be loaded.
    """
    files = list(_image_files(images))
    stems: dict[str, Path] = {}
    for file in files:
        other = stems.setdefault(file.stem, file)
        if other is not file:
            raise KdsegError(
                f"{display_path(other)} and {display_path(file)} would write the same files; name them apart"
            )
    network = load(run, model, which)
    if torch.cuda.is_available():
        network.cuda()
    output.mkdir(parents=True, exist_ok=True)
    for file in track(files, "predicting", console=console, transient=True, disable=not console.is_terminal):
        image = read_image(file)
        mask = network.predict(image)
        write_image(output / f"{file.stem}_mask.png", mask)
        write_image(output / f"{file.stem}_overlay.png", overlay(image, mask, network.palette))
    return len(files)


def _image_files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
            if not files:
                raise KdsegError(f"{display_path(path)}: holds no image ({', '.join(sorted(SUFFIXES))})")
            yield from files
        elif path.exists():
            yield path
        else:
            raise KdsegError(f"{display_path(path)}: no such image or folder")
