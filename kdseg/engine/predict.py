"""Predictions for any images, as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from rich.progress import track

from kdseg.engine.images import refuse_small
from kdseg.engine.models import load
from kdseg.engine.pictures import overlay, read_image, write_image
from kdseg.engine.whole_image import AT_ONCE
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
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
    views: Mapping[str, Any],
    console: Console,
) -> int:
    """Write ``NAME_mask.png`` and ``NAME_overlay.png`` for each image, and give how many images there were.

    Images pass whole through the network, but for what `views` says of `kdseg.engine.whole_image.WholeImage`.

    Raises:
        KdsegError: for a path that is no image or holds none, an image smaller than 32x32, two images of one name, an
            output that cannot be written or would replace an image, or a model that cannot be loaded.
    """
    whole_image = AT_ONCE.changed(views)
    targets = _targets(images, output)
    network = load(run, model, which)
    if torch.cuda.is_available():
        network.cuda()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KdsegError(f"{display_path(output)}: no folder can be made here: {error.strerror}") from error
    each = track(targets.items(), "predicting", console=console, transient=True, disable=not console.is_terminal)
    for file, (mask_file, overlay_file) in each:
        image = read_image(file)
        refuse_small(image, display_path(file))
        whole_image.refuse(*image.shape[:2])
        mask = network.predict(image, whole_image)
        write_image(mask_file, mask)
        write_image(overlay_file, overlay(image, mask, network.palette))
    return len(targets)


def _targets(images: Sequence[Path], output: Path) -> dict[Path, tuple[Path, Path]]:
    """Give the files of mask and overlay of each image; one that is named twice comes once."""
    targets: dict[Path, tuple[Path, Path]] = {}
    stems: dict[str, Path] = {}
    for file in _image_files(images):
        other = stems.setdefault(file.stem, file)
        if other != file:
            raise KdsegError(
                f"{display_path(other)} and {display_path(file)} would write the same files; name them apart"
            )
        targets[file] = output / f"{file.stem}_mask.png", output / f"{file.stem}_overlay.png"
    originals = {file.resolve(): file for file in targets}
    for written in (written.resolve() for pair in targets.values() for written in pair):
        if written in originals:
            raise KdsegError(
                f"{display_path(originals[written])} would be overwritten; name another folder by --output"
            )
    return targets


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
