"""How hard synthroad is: shares, cost, and what a classifier of single pixels and a unet1m reach, in any weather.

Run it as ``python tests/benchmarks/synthroad_difficulty.py``; its figures stand in docs/synthroad.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdseg.components import BackboneContext, DatasetContext
from kdseg.data.images import Normalise
from kdseg.data.samples import IGNORE_INDEX
from kdseg.engine.machine.allocator import raise_malloc_thresholds
from kdseg.metrics.confusion import confusion_matrix, iou, mean_iou, predicted_classes
from kdseg_road import SynthRoad
from kdseg_unet import UNet1M

CLASSES = SynthRoad().class_table().names
BATCH = 8
PIXELS = 8192
PIXEL_STEPS = 1500
SHIFTS: dict[str, dict[str, Any]] = {
    "rain": {"weather": "rain"},
    "fog": {"weather": "fog"},
    "night": {"night": True},
    "rain at night": {"weather": "rain", "night": True},
}
OTHERS: dict[str, dict[str, Any]] = {
    "label_flips": {"label_flips": 0.1},
    "label_jitter": {"label_jitter": 2.0},
    "frequency": {"frequency": {"rider": 0.1}},
}


def split(name: str, images: int, **options: Any) -> tuple[Tensor, Tensor]:
    """Draw a split: images N×H×W×3 and masks N×H×W."""
    samples = SynthRoad(images=images, **options).build(DatasetContext(split=name, seed=0))
    drawn = [samples[index] for index in range(images)]
    return (
        torch.from_numpy(np.stack([sample.image for sample in drawn])),
        torch.from_numpy(np.stack([sample.mask for sample in drawn])).long(),
    )


def milliseconds(size: tuple[int, int], images: int = 100, repeats: int = 10, **options: Any) -> float:
    """Give the median over images of the time of one on one core, the best of several draws: others use the machine."""
    cv2.setNumThreads(0)
    samples = SynthRoad(size=size, images=images, **options).build(DatasetContext(split="train", seed=0))
    best = []
    for index in range(images):
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            samples[index]
            times.append(1000 * (time.perf_counter() - start))
        best.append(min(times))
    return statistics.median(best)


def train_unet(images: Tensor, masks: Tensor, steps: int, rate: float, seed: int) -> nn.Module:
    """Train a unet1m by a plain loop: AdamW, poly, flips."""
    torch.manual_seed(seed)
    network = UNet1M().build(BackboneContext(in_channels=3, num_classes=len(CLASSES)))
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 - step / steps) ** 0.9)
    order = torch.cat([torch.randperm(len(images)) for _ in range(1 + BATCH * steps // len(images))])
    for step in range(steps):
        chosen = order[step * BATCH : (step + 1) * BATCH]
        flipped = torch.rand(BATCH) < 0.5
        batch, target = NORMALISE(images[chosen]), masks[chosen]
        batch = torch.where(flipped[:, None, None, None], batch.flip(-1), batch)
        target = torch.where(flipped[:, None, None], target.flip(-1), target)
        loss = F.cross_entropy(network(batch), target, ignore_index=IGNORE_INDEX)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def features(images: Tensor) -> Tensor:
    """Give colour and position of each pixel, in -1..1: N×5."""
    count, height, width, _ = images.shape
    rows = torch.linspace(-1, 1, height).view(1, height, 1, 1).expand(count, height, width, 1)
    columns = torch.linspace(-1, 1, width).view(1, 1, width, 1).expand(count, height, width, 1)
    return torch.cat([images.float() / 127.5 - 1, rows, columns], dim=-1).reshape(-1, 5)


def train_pixels(images: Tensor, masks: Tensor) -> nn.Module:
    """Train a perceptron of three hidden layers on single pixels."""
    torch.manual_seed(0)
    inputs, targets = features(images), masks.reshape(-1)
    labelled = (targets != IGNORE_INDEX).nonzero()[:, 0]
    layers = [nn.Linear(5, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Linear(64, len(CLASSES)))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, PIXEL_STEPS)
    for _ in range(PIXEL_STEPS):
        chosen = labelled[torch.randint(len(labelled), (PIXELS,))]
        loss = F.cross_entropy(network(inputs[chosen]), targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network


NORMALISE = Normalise.of((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), torch.device("cpu"))


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--rate", type=float, default=5e-3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    raise_malloc_thresholds()
    torch.set_num_threads(options.threads)
    print(f"96x192: {milliseconds((96, 192)):.2f} ms an image, 64x128: {milliseconds((64, 128)):.2f} ms, one core")
    for name, changed in (SHIFTS | OTHERS).items():
        print(f"  {name:14} {milliseconds((64, 128), **changed):.2f} ms")
    images, masks = split("train", 2000)
    counts = torch.bincount(masks.reshape(-1), minlength=256)[: len(CLASSES)]
    for name, share in zip(CLASSES, (counts / counts.sum()).tolist(), strict=True):
        print(f"  {name:14} {100 * share:6.2f} %")
    val_images, val_masks = split("val", 100)
    pixels = train_pixels(images, masks)
    with torch.no_grad():
        said = pixels(features(val_images)).argmax(1)
    by_pixel = mean_iou(confusion_matrix(said, val_masks.reshape(-1), len(CLASSES)))
    print(f"classifier of single pixels: mIoU {by_pixel:.3f}")
    for seed in range(options.seeds):
        network = train_unet(images, masks, options.steps, options.rate, seed)
        with torch.no_grad():
            said = torch.cat([predicted_classes(network(NORMALISE(part))) for part in val_images.split(20)])
        matrix = confusion_matrix(said, val_masks, len(CLASSES))
        reached = mean_iou(matrix)
        print(f"unet1m, {options.steps} steps, seed {seed}: mIoU {reached:.3f}; ratio {by_pixel / reached:.2f}")
        for name, changed in SHIFTS.items():
            shifted, same = split("val", 100, **changed)
            with torch.no_grad():
                said = torch.cat([predicted_classes(network(NORMALISE(part))) for part in shifted.split(20)])
            print(f"  in {name}: mIoU {mean_iou(confusion_matrix(said, same, len(CLASSES))):.3f}")
        by_class = zip(CLASSES, iou(matrix).tolist(), strict=True)
        print("  " + ", ".join(f"{name} {value:.2f}" for name, value in by_class))


if __name__ == "__main__":
    main()
