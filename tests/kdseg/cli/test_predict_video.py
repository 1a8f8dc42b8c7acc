"""`predict` of videos: real files, written and read back by OpenCV."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from kdseg import load
from kdseg.data.pictures import overlay
from kdseg.engine.judge import video

FRAMES, RATE = 7, 12.5


def write_video(path, frames, rate=RATE):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, frames[0].shape[1::-1])
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame[..., ::-1])
    writer.release()


def read_video(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (found := capture.read())[0]:
        frames.append(found[1][..., ::-1])
    return frames, capture.get(cv2.CAP_PROP_FPS)


def apart(one, other):
    """Give how far two frames are apart, in means over cells: the codec keeps colours coarsely."""
    cells = [cv2.resize(np.ascontiguousarray(frame), (12, 8), interpolation=cv2.INTER_AREA) for frame in (one, other)]
    return np.abs(cells[0].astype(int) - cells[1]).mean()


@pytest.fixture
def frames():
    numbers = np.random.default_rng(0)
    return [numbers.integers(0, 256, (2, 3, 3), np.uint8).repeat(32, 0).repeat(32, 1) for _ in range(FRAMES)]


@pytest.fixture
def run(kdseg, write):
    write()
    assert kdseg("run", "recipe.toml").status == 0
    return "runs/job"


def test_a_video_of_overlays_in_order_and_at_the_same_rate(kdseg, run, frames):
    write_video("drive.avi", frames)
    done = kdseg("predict", run, "drive.avi", "-o", "out")
    assert done.status == 0, done.err
    assert done.out == "1 videos: out/*_overlay.mp4\n"
    assert re.search(r"\d+\.\d ms from an image to its classes \(median of 7\); \d+\.\d images a second", done.err)
    assert [path.name for path in Path("out").iterdir()] == ["drive_overlay.mp4"]
    found, rate = read_video("out/drive_overlay.mp4")
    assert (len(found), rate) == (FRAMES, RATE)
    network = load(run)
    seen, _ = read_video("drive.avi")
    for frame, shown in zip(seen, found, strict=True):
        wanted = overlay(frame, network.predict(frame), network.palette)
        assert apart(shown, wanted) < 15  # the codec loses some
        assert apart(found[0], found[1]) > 30  # while frames differ by far more


def test_images_and_videos_go_together(kdseg, run, frames):
    write_video("drive.avi", frames)
    cv2.imwrite("one.png", frames[0])
    done = kdseg("predict", run, "one.png", "drive.avi")
    assert done.out == "1 images: predictions/*_mask.png and *_overlay.png\n1 videos: predictions/*_overlay.mp4\n"
    assert "median of 8" in done.err


@pytest.mark.parametrize(("rate", "written"), [(120.003, 120.0), (333.333, 333.33), (700.2, 700.0), (0.0, 25.0)])
def test_a_rate_that_mpeg4_cannot_state_becomes_the_nearest(kdseg, run, frames, monkeypatch, rate, written):
    write_video("drive.avi", frames)

    class Capture:
        def __init__(self, path):
            self.capture = video_capture(path)

        def __getattr__(self, name):
            return getattr(self.capture, name)

        def get(self, key):
            return rate if key == cv2.CAP_PROP_FPS else self.capture.get(key)

    video_capture = cv2.VideoCapture
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "VideoCapture", Capture)
        done = kdseg("predict", run, "drive.avi", "-o", "out")
    assert done.status == 0, done.err
    assert read_video("out/drive_overlay.mp4")[1] == pytest.approx(written)


def test_frames_of_another_size_are_not_dropped(kdseg, run, frames, monkeypatch):
    write_video("drive.avi", frames)
    monkeypatch.setattr(video, "_frames", lambda _capture: iter([*frames, frames[0].transpose(1, 0, 2)]))
    done = kdseg("predict", run, "drive.avi", "-o", "out")
    assert done.status == 0, done.err
    assert len(read_video("out/drive_overlay.mp4")[0]) == FRAMES + 1


@pytest.mark.skipif(sys.platform != "linux", reason="it needs a limit on files that errors come of")
def test_a_disk_that_is_full_is_told_and_leaves_the_video_before(run, frames):
    write_video("drive.avi", frames)
    Path("out").mkdir()
    Path("out/drive_overlay.mp4").write_bytes(b"the one before")
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); "
        "from kdseg.cli import main; main(sys.argv[1:])"
    )
    words = ("predict", run, "drive.avi", "-o", "out")
    done = subprocess.run([sys.executable, "-c", limited, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "out/drive_overlay.mp4: could not be written whole (" in done.stderr
    assert [(path.name, path.read_bytes()) for path in Path("out").iterdir()] == [
        ("drive_overlay.mp4", b"the one before")
    ]


def test_videos_in_a_folder_are_told_of(kdseg, run, frames):
    Path("drive").mkdir()
    write_video("drive/one.avi", frames)
    write_video("drive/two.avi", frames)
    done = kdseg("predict", run, "drive")
    assert done.status == 2
    assert "drive: holds no image (" in done.err
    assert "it holds 2 videos, each of which must be named by itself" in done.err
    cv2.imwrite("drive/street.png", frames[0])
    twice = str(Path("drive/one.avi").resolve())
    done = kdseg("predict", run, "drive", str(Path("drive/street.png").resolve()), "drive/one.avi", twice)
    assert done.status == 0, done.err
    assert "1 images: " in done.out
    assert "1 videos: " in done.out
    assert "left out: 1 videos in folders; name each by itself" in done.err


def test_mistakes_with_videos_are_told_and_leave_nothing(kdseg, run, frames):
    Path("broken.mp4").write_bytes(b"no video at all")
    small = [frame[:16, :16] for frame in frames]
    write_video("small.avi", small)
    Path("sub").mkdir()
    write_video("sub/small.mkv", frames)
    write_video("drive_overlay.avi", frames)
    for words, told in (
        (("broken.mp4",), "broken.mp4: cannot be read as a video"),
        (("small.avi",), "small.avi"),
        (("small.avi", "sub/small.mkv"), "small.avi and sub/small.mkv would write the same file; name them apart"),
        (("drive_overlay.avi", "--format", "cityscapes"), "is a video, of which cityscapes takes none"),
        (("none.mp4",), "none.mp4: no such image or folder"),
    ):
        done = kdseg("predict", run, *words, "-o", "out")
        assert (done.status, done.out) == (2, ""), words
        assert told in done.err
        assert "Traceback" not in done.err
        assert not [path for path in Path().glob("out/*") if path.is_file()]
