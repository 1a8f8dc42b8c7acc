"""Exports against PyTorch as it comes, in one interleaved run: `python tests/benchmarks/exports.py`.

For each network a line a runtime: the median of a 512x1024 image to its class map, its 95 % interval, and how many
times as fast as eager it is, the median over rounds. Weights are random, batch normalisation settled on drawn scenes.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from kdseg.components import ExportContext
from kdseg.data.images import byte_batch
from kdseg.engine.deploy.graph import DeployedGraph
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
    parser.add_argument("--any-size", action="store_true", help="files that take any size, not this one alone")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    size = tuple(options.size)
    images = scenes(size)
    for name in NETWORKS:
        subject = subject_of_backbone(name, [], CLASSES)
        settle(subject, images)
        with tempfile.TemporaryDirectory() as folder:
            files = write(subject, Path(folder), None if options.any_size else size, images)
            found = profile(
                subject, size=size, batch=1, device="cpu", threads=options.threads, trust_code=True,
                runtimes=(*PYTORCH, *files), rounds=options.rounds, seconds=float("inf"),
            )  # fmt: skip
        print(f"\n{name}, {size[0]}x{size[1]}, {options.threads} threads")
        print("| runtime | median ms | 95 % interval | times as fast as eager |\n| --- | ---: | --- | ---: |")
        for runtime, told in found["runtimes"].items():
            interval = f"{told['low']:.1f} to {told['high']:.1f}"
            print(f"| {Path(runtime).name} | {told['p50']:.1f} | {interval} | {told['times_as_fast']:.2f} |")


def scenes(size, count=16):
    """Draw images uint8 1×3×H×W."""
    from kdseg import DatasetContext

    synthroad = load_plugins().registry.find("dataset", "synthroad").cls
    samples = synthroad(size=size, images=count).build(DatasetContext(split="train", seed=0))
    return [byte_batch(samples[index].image) for index in range(count)]


@torch.no_grad()
def settle(subject, images):
    """Give batch normalisation the statistics of the images: random weights would have features fade or explode."""
    model = SegmentationModel(subject.network, subject.card)
    model.train()
    for image in images[:8]:
        model(image.float() / 255)
    model.eval()


def write(subject, folder, size, images):
    """Write every export that there is, and give the files."""
    model = SegmentationModel(subject.network, subject.card).eval()
    files = []
    for entry in load_plugins().registry.of_kind("exporter"):
        exporter = entry.cls()
        for precision in exporter.precisions:
            graph = DeployedGraph(model, logits=False, seen=None).eval().folded()
            file = folder / f"{entry.name}-{precision}{exporter.suffix}"
            card = dict(subject.card) | {
                "exporter": entry.qualified, "output": "classes", "precision": precision,
                "size": None if size is None else list(size),
            }  # fmt: skip
            exporter.build(
                ExportContext(
                    file=file, module=graph, network=graph.network, size=size, precision=precision, card=card,
                    example=images[0] if size else torch.randint(0, 256, (2, 3, 323, 451), dtype=torch.uint8),
                    calibration=lambda: images,
                )
            )  # fmt: skip
            files.append(str(file))
    return files


if __name__ == "__main__":
    main()
