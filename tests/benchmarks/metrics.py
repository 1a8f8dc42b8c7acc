"""What does a score cost an image? python tests/benchmarks/metrics.py

Prints the median milliseconds, on one thread, in which each metric takes a map of 1024x2048.
"""

from __future__ import annotations

import statistics
import time

import cv2
import numpy as np
import torch

from kdseg.metrics.confusion import confusion_matrix
from kdseg_road.cityscapes_labels import LABEL_IDS
from kdseg_road.classes import CITYSCAPES
from kdseg_road.scores.bdd100k import BDD100KMeasure
from kdseg_road.scores.cityscapes import CityscapesMeasure

ROUNDS = 21


def blocks(numbers, highest):
    """A map of squares of 32x32 pixels, each of one number."""
    small = numbers.integers(0, highest, (32, 64)).astype(np.uint16)
    return cv2.resize(small, (2048, 1024), interpolation=cv2.INTER_NEAREST)


def median_ms(work):
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return 1e3 * statistics.median(took)


def main():
    torch.set_num_threads(1)
    numbers = np.random.default_rng(0)
    truth = blocks(numbers, 19)
    labels = np.array(LABEL_IDS, np.uint16)[truth]
    instances = np.where(labels >= 24, labels * 1000 + blocks(numbers, 8), labels).astype(np.uint16)
    wrong = numbers.random(truth.shape) < 0.1
    target = torch.from_numpy(truth.astype(np.uint8))[None]
    prediction = torch.from_numpy(np.where(wrong, numbers.integers(0, 19, truth.shape), truth).astype(np.uint8))[None]
    target[:, :40] = 255
    cityscapes, bdd100k = CityscapesMeasure(), BDD100KMeasure(CITYSCAPES.names)
    for name, work in {
        "confusion matrix": lambda: confusion_matrix(prediction, target, 19),
        "bdd100k": lambda: bdd100k.update(prediction, target, [{}]),
        "cityscapes without instance ids": lambda: cityscapes.update(prediction, target, [{}]),
        "cityscapes": lambda: cityscapes.update(prediction, target, [{"instances": instances}]),
    }.items():
        print(f"{name:32} {median_ms(work):5.1f} ms")


if __name__ == "__main__":
    main()
