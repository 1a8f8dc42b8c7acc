"""Predictions for the frames of a video, as a video of overlays."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import cv2
import numpy as np
from rich.progress import track

from kdseg.data.images import refuse_small
from kdseg.data.pictures import overlay
from kdseg.engine.folders.files import write_whole
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from rich.console import Console

    from kdseg.engine.models.model import SegmentationModel
    from kdseg.engine.models.whole_image import WholeImage

    Image = npt.NDArray[np.uint8]

SUFFIXES = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"}
_RATE = 25.0
"""Frames a second of a video that does not say its own."""


def overlay_file(video: Path, output: Path) -> Path:
    """Give the file that is written for a video."""
    return output / f"{video.stem}_overlay.mp4"


def refuse_equal_names(videos: Sequence[Path], output: Path) -> None:
    """Refuse videos of which one would be written over another, or over itself.

    Raises:
        KdsegError: naming them.
    """
    sources: dict[Path, Path] = {}
    for video in videos:
        target = overlay_file(video, output)
        other = sources.setdefault(target, video)
        if other != video:
            raise KdsegError(
                f"{display_path(other)} and {display_path(video)} would write the same file; name them apart"
            )
        if target.resolve() in {one.resolve() for one in videos}:
            raise KdsegError(f"{display_path(target)} would be overwritten; name another folder by --output")


def predict_video(
    network: SegmentationModel, video: Path, output: Path, whole_image: WholeImage, console: Console
) -> list[float]:
    """Write a video whose frames have the classes' colours over them, in order and at the same rate.

    Args:
        network: predicts.
        video: any that OpenCV reads.
        output: the folder that is written to.
        whole_image: how a frame passes through the network.
        console: shows progress.

    Returns:
        The seconds that each frame took to predict.

    Raises:
        KdsegError: it cannot be read or holds no frame, its frames are too small, or no video can be written,
            or not the whole of it.
    """
    capture = cv2.VideoCapture(str(video))
    if not capture.isOpened():
        raise KdsegError(f"{display_path(video)}: cannot be read as a video")
    size = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    rate, count = _writable(capture.get(cv2.CAP_PROP_FPS)), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    target = overlay_file(video, output)
    seconds: list[float] = []

    def write(draft: Path) -> None:
        container = draft.with_name(f"{draft.name}.mp4")  # OpenCV chooses the format by the name
        writer = cv2.VideoWriter(str(container), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
        try:
            if not writer.isOpened():
                raise KdsegError(
                    f"{display_path(target)}: no video can be written here: MPEG-4, {size[0]}x{size[1]}, {rate:g} "
                    "frames a second"
                )
            for frame in track(
                _frames(capture), video.name, total=count if count > 0 else None, console=console, transient=True,
                disable=not console.is_terminal,
            ):  # fmt: skip
                refuse_small(frame, display_path(video))
                whole_image.refuse(*frame.shape[:2])
                began = time.perf_counter()
                mask = network.predict(frame, whole_image)
                seconds.append(time.perf_counter() - began)
                shown = cv2.cvtColor(overlay(frame, mask, network.palette), cv2.COLOR_RGB2BGR)
                if shown.shape[1::-1] != size:  # it changes within some videos; the writer would drop the frame
                    shown = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
                writer.write(shown)
            writer.release()
            if not seconds:
                raise KdsegError(f"{display_path(video)}: holds no frame that can be read")
            _refuse_cut(container, target, len(seconds))
            container.replace(draft)
        finally:
            writer.release()
            container.unlink(missing_ok=True)

    try:
        write_whole(target, write)
    finally:
        capture.release()
    return seconds


def _writable(rate: float) -> float:
    """Give the nearest rate that MPEG-4 can state: a fraction whose numerator, rate times 10, 100, …, has 16 bits."""
    if not 0 < rate < math.inf:
        return _RATE
    exact, hundredths, most = 65, 655, 65_535
    return rate if rate <= exact else round(rate, 2) if rate <= hundredths else min(round(rate), most)


def _refuse_cut(file: Path, target: Path, frames: int) -> None:
    """Refuse a video that lacks frames: OpenCV's writer tells nothing of a disk that is full.

    Raises:
        KdsegError: with how many there are.
    """
    capture = cv2.VideoCapture(str(file))
    found = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    if found != frames:
        raise KdsegError(
            f"{display_path(target)}: could not be written whole ({max(found, 0)} of {frames} frames); is the disk "
            "full? Make room, or name another folder by --output"
        )


def _frames(capture: cv2.VideoCapture) -> Iterator[Image]:
    """Give the frames that are left, RGB."""
    while True:
        there, frame = capture.read()
        if not there:
            return
        yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
