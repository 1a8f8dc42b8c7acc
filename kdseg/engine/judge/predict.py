"""Predictions for any images, as files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from attrs import define, field
from rich.progress import track

from kdseg.data.image_files import read_rgb
from kdseg.data.images import refuse_small
from kdseg.data.pictures import make_folder, overlay, write_image
from kdseg.engine.judge.submissions import find_submission, refuse_other_classes, refuse_strays
from kdseg.engine.judge.video import SUFFIXES as VIDEOS
from kdseg.engine.judge.video import predict_video, refuse_equal_names
from kdseg.engine.machine.arithmetic import set_arithmetic
from kdseg.engine.models.model import load
from kdseg.engine.models.whole_image import AT_ONCE
from kdseg.errors import KdsegError, display_path
from kdseg.walk import PICTURES, is_folder, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from rich.console import Console

    from kdseg.data.submission import Submission
    from kdseg.engine.models.model import SegmentationModel
    from kdseg.engine.models.whole_image import WholeImage


@define(kw_only=True)
class Predicted:
    """What was predicted, and how fast."""

    images: int
    videos: int
    left_out: int = 0
    """Videos in folders, which are taken by their own names alone."""
    seconds: list[float] = field(factory=list)
    """Of each image or frame, from the image to its class map."""
    whole: float = 0.0
    """Seconds with all reading and writing."""


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
) -> Predicted:
    """Write ``NAME_mask.png`` and ``NAME_overlay.png`` for each image, or what a benchmark takes.

    Images of a folder that is given, and of the folders below it, are written into folders of the same names below
    `output`; what a benchmark takes lies in `output` itself. For a video ``NAME_overlay.mp4`` is written.

    Args:
        run: a run's folder, or a copy of one of its models' folders, or an exported file.
        images: files or folders; videos by themselves.
        output: the folder that is written to.
        model: which learner.
        which: its weights.
        trust_code: as `kdseg.load` takes it.
        benchmark: a dataset by name; `Dataset.submission` says what is written.
        views: fields of `kdseg.engine.models.whole_image.WholeImage`; images pass whole through the network otherwise.
        console: shows progress.

    Raises:
        KdsegError: for a path that is no image or holds none, an image smaller than 32x32, two images of one name, an
            output that cannot be written or would replace an image, a model that cannot be loaded, or images or a model
            that are not the benchmark's.
    """
    whole_image = AT_ONCE.changed(views)
    submission = None if benchmark is None else find_submission(run, benchmark, trust_code=trust_code)
    named_videos = {path.resolve(): path for path in images if path.suffix.lower() in VIDEOS and path.is_file()}
    videos = [*named_videos.values()]
    if videos and submission is not None:
        raise KdsegError(f"{display_path(videos[0])}: is a video, of which {benchmark} takes none")
    named = _plain_files if submission is None else lambda file, _: (Path(submission.file_name(file)),)
    targets = _targets([path for path in images if path.resolve() not in named_videos], output, named)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = load(run, model, which, trust_code=trust_code, device=device)
    if submission is not None:
        refuse_other_classes(network.classes, submission)
        refuse_strays(output / path for file in targets for path in _plain_files(file, Path()))
    if device == "cuda":
        set_arithmetic(network.mean.device)
    for folder in sorted({output, *(path.parent for written in targets.values() for path in written)}):
        make_folder(folder)
    refuse_equal_names(videos, output)
    left_out = {video.resolve() for path in images if path.is_dir() for video in _files(path, output, VIDEOS)}
    done = Predicted(images=len(targets), videos=len(videos), left_out=len(left_out - named_videos.keys()))
    began = time.perf_counter()
    for video in videos:
        done.seconds += predict_video(network, video, output, whole_image, console)
    done.seconds += _predict_images(network, targets, submission, whole_image, console)
    done.whole = time.perf_counter() - began
    return done


def _predict_images(
    network: SegmentationModel,
    targets: Mapping[Path, Sequence[Path]],
    submission: Submission | None,
    whole_image: WholeImage,
    console: Console,
) -> Iterator[float]:
    """Write what is wanted of each image, and give the seconds from the image to its class map."""
    each = track(targets.items(), "predicting", console=console, transient=True, disable=not console.is_terminal)
    for file, written in each:
        image = read_rgb(file, upright=submission is None)  # a benchmark's truth lies as its images are stored
        refuse_small(image, display_path(file))
        whole_image.refuse(*image.shape[:2])
        at = time.perf_counter()
        mask = network.predict(image, whole_image)
        yield time.perf_counter() - at
        if submission is None:
            pictures = [mask, overlay(image, mask, network.palette)]
        else:
            pictures = [np.array(submission.values, np.uint8)[mask]]
        for path, picture in zip(written, pictures, strict=True):
            write_image(path, picture)


def _plain_files(file: Path, below: Path) -> tuple[Path, ...]:
    return below / f"{file.stem}_mask.png", below / f"{file.stem}_overlay.png"


def _targets(
    images: Sequence[Path], output: Path, files: Callable[[Path, Path], Sequence[Path]]
) -> dict[Path, tuple[Path, ...]]:
    """Give the files that are written for each image; one that is named twice comes once.

    Args:
        images: files or folders.
        output: the folder that is written to.
        files: gives those of an image by its own path and the folder below `output`.
    """
    targets: dict[Path, tuple[Path, ...]] = {}
    sources: dict[Path, Path] = {}
    for file, below in _image_files(images, output):
        if file in targets:
            continue
        targets[file] = tuple(output / path for path in files(file, below))
        other = sources.setdefault(targets[file][0], file)
        if other != file and other.resolve() == file.resolve():  # named twice, once by another path
            del targets[file]
        elif other != file:
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


def _image_files(paths: Sequence[Path], output: Path) -> Iterator[tuple[Path, Path]]:
    """Give the images with the folder of each, as seen from the one that was named."""
    for path in paths:
        if path.is_dir():
            files = _files(path, output, PICTURES)
            if not files:
                videos = len(_files(path, output, VIDEOS))
                mend = f"; it holds {videos} videos, each of which must be named by itself" if videos else ""
                raise KdsegError(f"{display_path(path)}: holds no image ({', '.join(PICTURES)}){mend}")
            yield from ((file, file.relative_to(path).parent) for file in files)
        elif path.exists():
            yield path, Path()
        else:
            raise KdsegError(f"{display_path(path)}: no such image or folder")


def _files(folder: Path, output: Path, suffixes: Collection[str]) -> list[Path]:
    """Give the files in a folder and those below it that have one of some suffixes; hidden ones are left out."""
    found = [
        place / entry.name
        for _, place, entries in walk(folder)
        for entry in entries
        if Path(entry.name).suffix.lower() in suffixes and not is_folder(entry)
    ]
    written, whole = output.resolve(), folder.resolve()
    if written not in (whole, *whole.parents):  # what was written there before is nothing to segment
        found = [file for file in found if written not in file.resolve().parents]
    return sorted(found)
