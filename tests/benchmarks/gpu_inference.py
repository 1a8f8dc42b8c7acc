"""Inference of the small networks: as PyTorch runs them, and as one CUDA graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from device_clock import median_ms

from kdseg.components import BackboneContext
from kdseg.plugins import load_plugins

if TYPE_CHECKING:
    from collections.abc import Callable

    from device_clock import Budget, Clock, Report

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
NETWORKS = ("unet1m", "unet1m_fast")


@torch.inference_mode()
def report_inference(clock: Clock, report: Report, budget: Budget, sizes: list[tuple[int, int]]) -> None:
    """Print milliseconds an image, one image at a time, in channels_last."""
    report.begin("inference, one image", ("network", "eager, ms", "graph, ms", "images/s", "peak MiB"))
    registry = load_plugins().registry
    for name in NETWORKS:
        for height, width in sizes:
            for precision, dtype in DTYPES.items():
                title = f"{name} {height}x{width} {precision}"
                if not budget.allows(title, 5):
                    continue
                context = BackboneContext(in_channels=3, num_classes=19)
                network = registry.find("backbone", name).cls().build(context).eval()
                network.to(clock.device, dtype, memory_format=torch.channels_last)
                images = torch.randn(1, 3, height, width, device=clock.device, dtype=dtype)
                images = images.contiguous(memory_format=torch.channels_last)
                contestants = {"eager": lambda network=network, images=images: network(images)}
                if clock.device.type == "cuda":
                    contestants["graph"] = _graph(contestants["eager"])
                taken = clock.by_turns(contestants, rounds=20, times=5, seconds=2)
                best = min(median_ms(seconds) for seconds in taken.values())
                graph = median_ms(taken["graph"]) if "graph" in taken else None
                report.row(title, median_ms(taken["eager"]), graph, 1000 / best, clock.peak(contestants["eager"]))


def _graph(action: Callable[[], object]) -> Callable[[], object]:
    """Record what an action does, after it was done some times on a stream of its own, and give its replay."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            action()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        action()
    return graph.replay
