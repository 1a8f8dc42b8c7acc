"""Measure the family on this machine: `python -m kdseg_unet` prints the table of the README."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from kdseg.components import BackboneContext
from kdseg_unet.options import UNet, UNet1M, UNet1MFast, UNet70M

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdseg.components import Backbone

FAMILY: Mapping[str, Backbone] = {
    "`unet70m`": UNet70M(),
    "`unet`": UNet(),
    "`unet1m`": UNet1M(),
    "`unet1m_fast`": UNet1MFast(),
    "`unet`, base 12, depthwise": UNet(base=12, block="depthwise"),
    "`unet`, base 12, stem_stride 4": UNet(base=12, stem_stride=4),
}


def main(height: int = 512, width: int = 1024, repeats: int = 7) -> None:
    """Print parameters, multiply-adds and the median time of one image, for 19 classes, in float32 and eval mode."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    hardware = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print(f"| backbone | parameters | GMAC at {height}x{width} | ms on {hardware} |")  # noqa: T201 (its whole purpose)
    print("| --- | ---: | ---: | ---: |")  # noqa: T201
    images = torch.randn(1, 3, height, width, device=device).contiguous(memory_format=torch.channels_last)
    for name, backbone in FAMILY.items():
        network = backbone.build(BackboneContext(in_channels=3, num_classes=19)).eval()
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stub lacks it
        parameters = sum(p.numel() for p in network.parameters())
        times = []
        with torch.inference_mode():
            with FlopCounterMode(display=False) as counter:  # also warms up
                network(images)
            for _ in range(repeats):
                start = time.perf_counter()
                network(images)
                if device.type == "cuda":
                    torch.cuda.synchronize()
                times.append(1000 * (time.perf_counter() - start))
        macs = counter.get_total_flops() / 2e9
        print(f"| {name} | {parameters:,} | {macs:.2f} | {statistics.median(times):.0f} |")  # noqa: T201


if __name__ == "__main__":
    main()
