"""Images a second of the training loader, against the bare cost of decoding the same files, by turns.

Run it on an idle machine: ``python tests/benchmarks/loader.py``. It is no part of the test suite. The pictures are
CamVid's where KDSEG_CAMVID is set, enlarged, with noise so that they are as hard to decode as photographs of that
size; else noise alone. Each loader gives its batches to a main process that does nothing with them.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kdseg.data.augment import Augmentation
from kdseg.data.image_samples import ImageSamples
from kdseg.data.loader import train_steps
from kdseg.data.samples import IGNORE_INDEX
from kdseg.data.store import StoredSamples, write_store
from kdseg.data.workers import read_in_workers
from kdseg.engine.machine.allocator import raise_malloc_thresholds
from kdseg_road.cityscapes_labels import TRAIN_IDS
from kdseg_road.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kdseg.data.samples import Samples

Files = tuple[tuple[Path, Path], ...]
KINDS = {
    "2048x1024 PNG": ((1024, 2048), (512, 1024), ".png"),
    "1280x720 JPEG": ((720, 1280), (512, 1024), ".jpg"),
    "480x360 PNG": ((360, 480), (360, 480), ".png"),
}
"""Height and width of the files and of the crops, and the images' format; masks are PNG."""
LABELS = {
    "2048x1024 PNG": TRAIN_IDS,
    "1280x720 JPEG": range(19),
    "480x360 PNG": (*range(11), IGNORE_INDEX),
}
"""The train index of each label, as Cityscapes, BDD100K and CamVid have them."""
BATCH = 4
LIMITS = {0: 0.92, 2: 0.80}
"""The least share of the bare decoding rate, by workers."""
STORE_LIMIT = 5.0
"""The least multiple of the bare decoding rate for the raw store, where crops are of 512x1024."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=24, help="files of each kind")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement, about")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--kind", choices=list(KINDS), action="append")
    args = parser.parse_args()
    raise_malloc_thresholds()  # as a run does, unless train.tune_malloc = false
    cv2.setNumThreads(0)  # as in a loader's workers
    loadavg = Path("/proc/loadavg")
    load = loadavg.read_text(encoding="utf-8").split()[0] if loadavg.exists() else "unknown"
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, OpenCV {cv2.__version__}, load {load}"
    )
    print(f"batches of {BATCH}; images a second, medians of {args.rounds} rounds; in brackets the median of the ratios")
    print(f"{'files':16} {'workers':>7} {'decoding':>9} {'loader':>16} {'raw store':>18}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in args.kind or KINDS:
            size, crop, suffix = KINDS[kind]
            files = tuple(write_files(Path(folder), args.images, size, suffix))
            ids = tuple(str(number) for number in range(len(files)))
            labels = Labels.of(LABELS[kind], "labels go from 0 to 11")
            samples = ImageSamples(ids, files, (), labels)
            store = Path(folder) / "store"
            write_store(store, samples, [size] * len(files), workers=0)
            stored = StoredSamples.of(store, samples.files)
            for workers in (0, 2):
                told(kind, workers, rounds(files, samples, stored, crop, workers, args.rounds, args.seconds))


def rounds(
    files: Files, samples: Samples, stored: Samples, crop: tuple[int, int], workers: int, number: int, seconds: float
) -> list[tuple[float, float, float]]:
    """Measure each, by turns."""
    runs: Sequence[Callable[[int], Iterator[int]]] = (
        lambda batches: decoded(files, batches, workers),
        lambda batches: loaded(samples, batches, crop, workers),
        lambda batches: loaded(stored, batches, crop, workers),
    )
    counts = [max(3, round(seconds * rate(run(3)) / BATCH)) for run in runs]
    return [tuple(rate(run(count)) for run, count in zip(runs, counts, strict=True)) for _ in range(number)]  # type: ignore[misc]


def rate(batches: Iterator[int]) -> float:
    """Images a second after the first batch, which waits for the workers to start; further ones are made meanwhile."""
    next(batches)
    began = time.perf_counter()
    return sum(batches) / (time.perf_counter() - began)


def decoded(files: Files, batches: int, workers: int) -> Iterator[int]:
    """Decode images and masks and give nothing but their number."""
    keys = ([files[(batch * BATCH + number) % len(files)] for number in range(BATCH)] for batch in range(batches + 1))
    return read_in_workers(decode, keys, workers)


def decode(pairs: Sequence[tuple[Path, Path]]) -> int:
    """Read and decode as the loader does; a PNG takes 2% longer as BGR, OpenCV's default."""
    for image, mask in pairs:
        cv2.imdecode(np.frombuffer(image.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        cv2.imdecode(np.frombuffer(mask.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    return len(pairs)


def loaded(samples: Samples, batches: int, crop: tuple[int, int], workers: int) -> Iterator[int]:
    """Give the training loader's batches, by their number of images."""
    augmentation = Augmentation(
        [("RandomCrop", {"height": crop[0], "width": crop[1]}), ("HorizontalFlip", {"p": 0.5})], seed=0
    )
    steps = train_steps(
        samples, augmentation, seed=0, batch_size=BATCH, micro_batches=1, last_step=batches + 1, workers=workers
    )
    return (len(batch.ids) for (batch,) in steps)


def told(kind: str, workers: int, rates: Sequence[tuple[float, float, float]]) -> None:
    decoding, loader, store = (statistics.median(those) for those in zip(*rates, strict=True))
    share = statistics.median(loader / bare for bare, loader, _ in rates)
    gain = statistics.median(store / bare for bare, _, store in rates)
    kept = share >= LIMITS[workers] and (gain >= STORE_LIMIT or KINDS[kind][1] != (512, 1024))
    miss = "" if kept else "  missed"
    print(
        f"{kind:16} {workers:7} {decoding:9.1f} {loader:9.1f} ({share:.2f}) {store:9.0f} ({gain:5.1f}){miss}",
        flush=True,
    )


def write_files(folder: Path, number: int, size: tuple[int, int], suffix: str) -> Iterator[tuple[Path, Path]]:
    """Write images and masks of a size."""
    numbers = np.random.default_rng(0)
    camvid = os.environ.get("KDSEG_CAMVID")
    originals = sorted((Path(camvid) / "train").glob("*.png"))[:: 300 // number] if camvid else []
    height, width = size
    for index in range(number):
        if originals:
            image = cv2.imread(str(originals[index]))
            mask = cv2.imread(str(originals[index].parent.with_name("trainannot") / originals[index].name), -1)
        else:
            image = numbers.integers(0, 256, (36, 48, 3), dtype=np.uint8)
            mask = numbers.integers(0, 12, (36, 48), dtype=np.uint8)
        if image.shape[:2] != size:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
            noise = numbers.normal(0, 2, image.shape)
            image = np.clip(image + noise, 0, 255).astype(np.uint8)
            mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
        files = folder / f"{height}-{index}{suffix}", folder / f"{height}-{index}-mask.png"
        cv2.imwrite(str(files[0]), image)
        cv2.imwrite(str(files[1]), mask)
        yield files


if __name__ == "__main__":
    main()
