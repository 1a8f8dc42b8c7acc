"""Exports against PyTorch as it comes, in one interleaved run: `python tests/benchmarks/exports.py`.

For each network a line a runtime: the median of a 512x1024 image to its class map, its 95 % interval, and how many
times as fast as eager it is, the median over rounds. Weights are random, batch normalisation settled on drawn scenes.
"""

from __future__ import annotations

import argparse

import torch

from kdseg.data.images import byte_batch
from kdseg.engine.models.model import SegmentationModel
from kdseg.engine.profile.profile import profile, subject_of_backbone
from kdseg.plugins import load_plugins

NETWORKS = ("unet1m", "unet1m_fast")
PYTORCH = ("eager", "channels_last", "optimized", "bf16")
CLASSES = 19


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--size", type=int, nargs=2, default=(512, 1024))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    size = tuple(options.size)
    exporters = [entry.cls for entry in load_plugins().registry.of_kind("exporter")]
    exports = [f"{exporter.name}-{precision}" for exporter in exporters for precision in exporter.precisions]
    for name in NETWORKS:
        subject = subject_of_backbone(name, [], CLASSES)
        settle(subject, size)
        found = profile(
            subject, size=size, batch=1, device="cpu", threads=options.threads, runtimes=(*PYTORCH, *exports),
            rounds=options.rounds, seconds=float("inf"),
        )  # fmt: skip
        print(f"\n{name}, {size[0]}x{size[1]}, {options.threads} threads")
        print("| runtime | median ms | 95 % interval | times as fast as eager |\n| --- | ---: | --- | ---: |")
        for runtime, told in found["runtimes"].items():
            interval = f"{told['low']:.1f} to {told['high']:.1f}"
            print(f"| {runtime} | {told['p50']:.1f} | {interval} | {told['times_as_fast']:.2f} |")


@torch.no_grad()
def settle(subject, size, images=8):
    """Give batch normalisation the statistics of drawn scenes: random weights would have features fade or explode."""
    from kdseg import DatasetContext

    synthroad = load_plugins().registry.find("dataset", "synthroad").cls
    samples = synthroad(size=size, images=images).build(DatasetContext(split="train", seed=0))
    model = SegmentationModel(subject.network, subject.card)
    model.train()
    for index in range(images):
        model(byte_batch(samples[index].image).float() / 255)
    model.eval()


if __name__ == "__main__":
    main()
