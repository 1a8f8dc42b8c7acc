"""What each layer of a network costs."""

from __future__ import annotations

import copy
import time
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve, frozen
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn


@frozen(kw_only=True)
class LayerCost:
    """One layer, or what a module does beside the layers in it."""

    name: str
    """Its dotted path; empty: the network itself."""
    kind: str
    """The name of its class."""
    output: tuple[int, ...]
    """The shape of what it gives; empty where that is no tensor."""
    parameters: int
    macs: int
    """Multiplications with an addition, of convolutions and matrix products; all else is not counted."""
    activation_bytes: int
    """Of what it gives."""
    milliseconds: float | None = None
    """Its median; None where it was not measured."""


@torch.no_grad()
def count_layers(network: nn.Module, batch: int, size: tuple[int, int]) -> list[LayerCost]:
    """Count what the layers of a network cost, in the order in which they run.

    Nothing is calculated: a copy without numbers is shown images without numbers.

    Args:
        network: in eval mode.
        batch: images at once.
        size: their height and width.
    """
    bare = copy.deepcopy(network).to("meta")
    images = torch.empty(batch, 3, *size, device="meta", dtype=_dtype(bare))
    names = {module: name for name, module in bare.named_modules()}
    given: dict[str, tuple[tuple[int, ...], int]] = {}

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor):
            _, size = given.get(names[module], ((), 0))
            given[names[module]] = tuple(output.shape), size + output.nbytes
        else:
            given.setdefault(names[module], ((), 0))

    for module in bare.modules():
        module.register_forward_hook(note)
    counter = FlopCounterMode(display=False)
    with counter:
        bare(images)
    own = _own_operations(bare, counter.get_flop_counts())
    rows = []
    for module, name in names.items():
        leaf = not any(module.children())
        if name in given and (leaf or own[name]):
            parameters = sum(weight.numel() for weight in module.parameters(recurse=False))
            shape, activation_bytes = given[name]
            rows.append(
                LayerCost(
                    name=name,
                    kind=type(module).__name__,
                    output=shape,
                    parameters=parameters,
                    macs=own[name] // 2,
                    activation_bytes=activation_bytes if leaf else 0,
                )
            )
    order = {name: place for place, name in enumerate(given)}
    return sorted(rows, key=lambda row: order[row.name])


def _own_operations(network: nn.Module, counts: Mapping[str, Mapping[Any, int]]) -> dict[str, int]:
    """Give the operations of each module that no module in it does."""
    root = type(network).__name__
    total: dict[str, int] = defaultdict(int)
    for path, found in counts.items():
        if path != "Global":
            total[path.removeprefix(root).removeprefix(".")] += sum(found.values())
    own = defaultdict(int, total)
    for name in filter(None, list(total)):
        holder = name.rpartition(".")[0]
        while holder and holder not in total:  # a list or dict of modules, which is never called
            holder = holder.rpartition(".")[0]
        own[holder] -= total[name]
    return own


@torch.no_grad()
def time_layers(
    network: nn.Module, images: Tensor, rows: list[LayerCost], *, rounds: int, on_round: Callable[[], object]
) -> list[LayerCost]:
    """Measure how long each leaf of a network takes, beside the others, by the clock of the images' device.

    Args:
        network: in eval mode, on the images' device.
        images: as the network takes them.
        rows: of `count_layers`.
        rounds: of which the median is taken, after two that warm up.
        on_round: called after each.
    """
    names = {module: name for name, module in network.named_modules() if not any(module.children())}
    taken: dict[str, list[float]] = defaultdict(list)
    began: dict[str, Any] = {}
    spans: list[tuple[str, Any, Any]] = []
    mark = _event if images.device.type == "cuda" else time.perf_counter
    handles = []
    for module, name in names.items():
        handles.append(module.register_forward_pre_hook(lambda _m, _i, name=name: began.__setitem__(name, mark())))
        handles.append(
            module.register_forward_hook(lambda _m, _i, _o, name=name: spans.append((name, began[name], mark())))
        )
    for number in range(-2, rounds):
        spans.clear()
        network(images)
        sums: dict[str, float] = defaultdict(float)
        for name, first, last in spans:
            sums[name] += _milliseconds(first, last)
        if number >= 0:
            for name, value in sums.items():
                taken[name].append(value)
        on_round()
    for handle in handles:
        handle.remove()
    return [evolve(row, milliseconds=median(taken[row.name])) if row.name in taken else row for row in rows]


def _event() -> torch.cuda.Event:
    event: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call] # of torch
    event.record()
    return event


def _milliseconds(first: Any, last: Any) -> float:
    if isinstance(first, float):
        return 1000 * (float(last) - first)
    last.synchronize()
    return float(first.elapsed_time(last))


def _dtype(network: nn.Module) -> torch.dtype:
    return next((weight.dtype for weight in network.parameters()), torch.float32)
