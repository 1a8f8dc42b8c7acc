"""Each registered loss as a call, forward and backward, on made predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kdseg.components import ClassShares, LossContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg.plugins import load_plugins

if TYPE_CHECKING:
    from collections.abc import Callable

YARDSTICK = "pixel_kl"
CHANNELS = 192, 1536
"""Of the bottlenecks of unet1m and unet70m, which losses between taps compare."""
STRIDES = 16, 32
IGNORED = 0.1


def every_loss(
    images: int, classes: int, height: int, width: int, device: torch.device | str = "cpu"
) -> dict[str, Callable[[], None]]:
    """Give each loss, with its default options."""
    numbers = torch.Generator().manual_seed(0)
    shares = ClassShares(pixels=(1,) * classes, pixels_where_present=(1,) * classes, images=(1,) * classes)
    shapes = [(c, height // stride, width // stride) for c, stride in zip(CHANNELS, STRIDES, strict=True)]
    ctx = LossContext(
        num_classes=classes,
        class_shares=lambda: shares,
        learner_taps={"bottleneck": shapes[0]},
        source_taps={"bottleneck": shapes[1]},
    )
    call = LossCall(
        progress=0.5,
        images=torch.zeros(images, 3, height, width, device=device),
        generator=torch.Generator(device).manual_seed(0),
    )
    target = torch.randint(0, classes, (images, height // 16, width // 16), generator=numbers)
    target = target.repeat_interleave(16, 1).repeat_interleave(16, 2)
    target[torch.rand(target.shape, generator=numbers) < IGNORED] = IGNORE_INDEX
    target = target.to(device)
    logits, other = ((2 * torch.randn(images, classes, height, width, generator=numbers)).to(device) for _ in range(2))
    mine, its = (torch.randn(images, *shape, generator=numbers).to(device) for shape in shapes)
    source = Prediction(logits=other, taps={"bottleneck": its})

    def work(module: torch.nn.Module, *, distils: bool) -> Callable[[], None]:
        def once() -> None:
            taps = {"bottleneck": mine.detach().requires_grad_()}
            learner = Prediction(logits=logits.detach().requires_grad_(), taps=taps)
            module(learner, source if distils else None, target, call).backward()

        return once

    found = {}
    for entry in load_plugins().registry.of_kind("loss"):
        component = entry.cls()
        found[entry.name] = work(component.build(ctx).to(device), distils=component.role == "distillation")
    return found
