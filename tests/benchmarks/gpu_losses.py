"""Losses on a device: those that can be computed together, as loops write them and fused, and every registered one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from device_clock import median_ms, ratio
from every_loss import YARDSTICK, every_loss
from naive_losses import SCALES, naive, naive_channels

from kdseg.components import LossContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg.plugins import load_plugins
from kdseg_losses.logit import PixelKLLoss
from kdseg_losses.supervised import CrossEntropyLoss

if TYPE_CHECKING:
    from collections.abc import Callable

    from device_clock import Budget, Clock, Report
    from torch import Tensor

    Size = tuple[int, int, int, int]

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
TEMPERATURE = 4.0
IGNORED = 0.1


def report_losses(clock: Clock, report: Report, budget: Budget, size: Size, copied: float, *, compiled: bool) -> None:
    """Print cross-entropy + KL and CWD: as loops write them, compiled, as kdseg's own, and as those offer to be fused.

    Args:
        clock: of the device.
        report: takes the rows.
        budget: what it must fit into.
        size: of the logits.
        copied: bytes a second that the device reads and writes when it copies.
        compiled: whether torch.compile is measured.
    """
    report.begin(
        f"losses of {'x'.join(map(str, size))}, forward and backward",
        ("what", "ms", "of by hand", "of a copy", "peak MiB"),
    )
    for which in ("cross-entropy + KL", "CWD"):
        for precision, dtype in DTYPES.items():
            for layout in LAYOUTS:
                name = f"{which}, {precision}, {layout}"
                if budget.allows(name, 20 if compiled else 8):
                    torch.compiler.reset()
                    contestants = _contestants(which, size, dtype, layout, clock.device, compiled=compiled)
                    taken = clock.by_turns(contestants, rounds=20, times=3, seconds=3)
                    least = _least_bytes(size, dtype)
                    for one, seconds in taken.items():
                        report.row(
                            f"{name}: {one}",
                            median_ms(seconds),
                            ratio(seconds, taken["by hand"]),
                            f"{least / (median_ms(seconds) / 1000) / copied:.0%}",
                            clock.peak(contestants[one]),
                        )


def _least_bytes(size: Size, dtype: torch.dtype) -> int:
    """Give what must be moved: both logits read, the gradient written, the labels read."""
    images, classes, height, width = size
    return images * height * width * (3 * classes * dtype.itemsize + torch.int64.itemsize)


def _contestants(
    which: str, size: Size, dtype: torch.dtype, layout: str, device: torch.device, *, compiled: bool
) -> dict[str, Callable[[], object]]:
    images, classes, height, width = size
    numbers = torch.Generator().manual_seed(0)
    target = torch.randint(0, classes, (images, height, width), generator=numbers)
    target[torch.rand(target.shape, generator=numbers) < IGNORED] = IGNORE_INDEX
    target = target.to(device)
    logits, other = (
        (2 * torch.randn(size, generator=numbers)).to(device, dtype).contiguous(memory_format=LAYOUTS[layout])
        for _ in range(2)
    )
    source = Prediction(logits=other)
    call = LossCall(progress=0.5, images=torch.zeros(images, 3, 1, 1, device=device), generator=torch.Generator(device))
    count = (target != IGNORE_INDEX).sum()
    if which == "CWD":
        modules: list[Any] = [_cwd(classes)]
        scales = torch.full((1,), 1 / images, device=device)

        def hand(learner: Tensor) -> Tensor:
            return naive_channels(learner.float(), other.float(), target, TEMPERATURE) / images

    else:
        modules = [PixelKLLoss(TEMPERATURE), CrossEntropyLoss(None, 0.0)]
        scales = torch.tensor(SCALES, device=device) / count

        def hand(learner: Tensor) -> Tensor:
            return naive(learner.float(), other.float(), target, TEMPERATURE, count)

    def plain(learner: Tensor) -> Tensor:
        values = [module(Prediction(logits=learner), source, target, call) for module in modules]
        return scales @ torch.stack(values)

    objectives = {"by hand": hand, "kdseg, plain": plain}
    if compiled:
        objectives["by hand, torch.compile"] = torch.compile(hand)
    fused = modules[0].fuse(modules[1:], device=device, compiled=True)
    if fused is not None:
        objectives[f"kdseg, {fused.how}"] = lambda learner: fused(
            Prediction(logits=learner), source, target, call, scales
        )[0]
    return {
        name: lambda objective=objective: objective(logits.detach().requires_grad_()).backward()
        for name, objective in objectives.items()
    }


def _cwd(classes: int) -> torch.nn.Module:
    registry = load_plugins().registry
    component = registry.find("loss", "cwd").cls(temperature=TEMPERATURE)
    return component.build(LossContext(num_classes=classes, class_shares=None, learner_taps={}, source_taps={}))


def report_every_loss(clock: Clock, report: Report, budget: Budget, size: Size) -> None:
    """Print each registered loss beside pixel_kl."""
    title = f"every loss with its default options, {'x'.join(map(str, size))} in float32"
    report.begin(title, ("loss", "ms", f"of {YARDSTICK}", "peak MiB"))
    if not budget.allows(title, 15):
        return
    work = every_loss(*size, clock.device)
    taken = clock.by_turns(work, rounds=10, seconds=min(12.0, budget.left / 2))
    for name in sorted(work, key=lambda name: median_ms(taken[name])):
        peak = clock.peak(work[name])
        report.row(name, median_ms(taken[name]), ratio(taken[name], taken[YARDSTICK]), peak)
