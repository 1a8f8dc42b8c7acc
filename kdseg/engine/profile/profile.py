"""What a network costs here, all in one: counts, layers, and runtimes against each other."""

from __future__ import annotations

import os
import platform
import re
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from attrs import asdict, frozen
from rich.progress import Progress

from kdseg.components import KINDS, BackboneContext
from kdseg.data.samples import ClassTable
from kdseg.engine.folders.run_folder import file_instead
from kdseg.engine.models.model import SegmentationModel, card_of, load
from kdseg.engine.profile.clock import WARM_UP, Timing, as_milliseconds, by_turns, peak_matmul, ratio
from kdseg.engine.profile.layers import count_layers, time_layers
from kdseg.engine.profile.runtimes import precision_of, prediction, runtime
from kdseg.errors import KdsegError, component_told, did_you_mean, one_line
from kdseg.plugins import load_plugins
from kdseg.recipe.single import component_from_settings, plain_component

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rich.console import Console
    from torch import nn

GIGA = 1e9
DEFAULT = ("eager", "channels_last", "optimized", "bf16")
CLASSES = 19
"""Of a backbone, where nothing else is said."""
_LAYER_ROUNDS = 10
_PLAIN = "channels_last"
"""The runtime by which layers are timed."""


@frozen(kw_only=True)
class Subject:
    """A network to be looked at."""

    name: str
    network: nn.Module
    """In eval mode, on the CPU, in float32."""
    card: Mapping[str, Any]
    """Its classes, mean and std, among others."""


def subject_of_run(run: Path, *, model: str | None, trust_code: bool) -> Subject:
    """Take a run's learner.

    Raises:
        KdsegError: it cannot be loaded.
    """
    loaded = load(run, model, trust_code=trust_code)
    card = {
        "classes": loaded.classes,
        "colours": loaded.palette,
        "mean": loaded.mean.flatten().tolist(),
        "std": loaded.std.flatten().tolist(),
    }
    return Subject(name=run.name, network=loaded.network, card=card)


def subject_of_backbone(name: str, settings: Sequence[str], classes: int) -> Subject:
    """Take a backbone by its name, with random weights.

    Args:
        name: the component's.
        settings: its options, each as ``base=8``.
        classes: how many its logits tell apart.

    Raises:
        KdsegError: there is none of this name, it runs a program, or its options do not fit.
    """
    registry = load_plugins().registry
    entry = registry.find("backbone", name)
    if entry.cls.program:  # type: ignore[attr-defined] # it is a backbone's
        raise KdsegError(f"{name}: runs the program in a file, and is no network without one; name one of modules")
    backbone: Any = component_from_settings(name, settings, KINDS["backbone"], registry)
    table = ClassTable(names=tuple(f"class {number}" for number in range(classes)), colours=((0, 0, 0),) * classes)
    ctx = BackboneContext(in_channels=3, num_classes=classes)
    torch.manual_seed(0)
    with component_told(f"backbone {entry.qualified}"):
        network = backbone.build(ctx).eval()
    return Subject(
        name=name, network=network, card=card_of(plain_component(backbone, registry), table, ctx.mean, ctx.std)
    )


def find_subject(
    text: str, settings: Sequence[str], classes: int | None, *, model: str | None, trust_code: bool
) -> Subject:
    """Take a run's learner where there is such a folder, else a backbone of this name.

    Raises:
        KdsegError: it is neither, or options of the one are given to the other.
    """
    if Path(text).is_file():
        raise KdsegError(f"{text}: is a file; give the RUN that it came from, and --runtime {text}")
    if not Path(text).is_dir():
        _refuse_path(text)
        if model is not None:
            raise KdsegError(f"--model {model}: is for a run; {text} is a backbone")
        return subject_of_backbone(text, settings, CLASSES if classes is None else classes)
    if classes is not None:
        raise KdsegError(f"--classes {classes}: the network of a run has its own classes; this is a backbone's")
    if settings:
        raise KdsegError(f"--set {settings[0]}: the network of a run is built already; options are a backbone's")
    return subject_of_run(Path(text), model=model, trust_code=trust_code)


def _refuse_path(text: str) -> None:
    """Refuse what can be no backbone's name; ``kdseg/unet1m`` is one."""
    if Path(text).suffix:
        raise KdsegError(f"{text}: no such file or run{file_instead(Path(text))}")
    known = {entry.distribution for entry in load_plugins().registry.of_kind("backbone")}
    if (os.sep in text or "/" in text) and text.partition("/")[0] not in known:
        raise KdsegError(f"{text}: no such run, and no backbone")


@contextmanager
def rounds_told(console: Console, rounds: int) -> Iterator[Callable[[], object]]:
    """Show how many rounds are over, where a person watches; what is given is called after each."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("measured", total=rounds + WARM_UP + min(rounds, _LAYER_ROUNDS) + 2)
        yield lambda: bar.advance(task)


def profile(
    subject: Subject,
    *,
    size: tuple[int, int],
    batch: int,
    device: str,
    threads: int | None,
    runtimes: Sequence[str] = (),
    rounds: int,
    seconds: float,
    trust_code: bool = False,
    on_round: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Count and measure a network.

    Args:
        subject: the network.
        size: height and width of the images.
        batch: images at once.
        device: where it runs.
        threads: of PyTorch on the CPU; None leaves them.
        runtimes: as `kdseg.engine.profile.runtimes.runtime` knows them, measured by turns; ratios are to the first.
            None: the first four.
        rounds: of the measurement.
        seconds: all runtimes together take about so long at most.
        trust_code: open files even where that can run code of their makers'.
        on_round: called after each round.

    Returns:
        Plain data: the network's sums, the machine, each runtime's milliseconds, and its layers.

    Raises:
        KdsegError: there is no such device or runtime.
    """
    runtimes = runtimes or DEFAULT
    where = _device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    layers = count_layers(subject.network, batch, size)
    images = torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8, device=where)
    with _models(subject, (*runtimes, _PLAIN), size=size, device=where, trust_code=trust_code) as models:
        precisions = {name: precision_of(name, models[name], where) for name in runtimes}
        peaks = {"fp32": torch.float32} | ({"bf16": torch.bfloat16} if "bf16" in precisions.values() else {})
        products = {f"peak {name}": peak_matmul(where, dtype) for name, dtype in peaks.items()}
        timings = by_turns(
            {name: prediction(models[name], images) for name in runtimes}
            | {name: action for name, (action, _) in products.items()},
            device=where,
            rounds=rounds,
            seconds=seconds,
            on_round=on_round,
        )
        plain = models[_PLAIN]
        layers = time_layers(
            plain.network, _as_taken(plain, images), layers, rounds=min(rounds, _LAYER_ROUNDS), on_round=on_round
        )
    flops = {name: operations / timings[f"peak {name}"].median for name, operations in _operations(products)}
    macs = sum(layer.macs for layer in layers)
    return {
        "name": subject.name,
        "size": [*size],
        "batch": batch,
        "parameters": sum(weight.numel() for weight in subject.network.parameters()),
        "macs": macs,
        "activation_bytes": sum(layer.activation_bytes for layer in layers),
        "machine": _machine(where) | {f"peak_gflops_{name}": value / GIGA for name, value in flops.items()},
        "runtimes": {
            name: _told(timings[name], timings[runtimes[0]], 2 * macs, flops.get(precisions[name] or ""), batch)
            for name in runtimes
        },
        "layers": [asdict(layer) for layer in layers],
    }


@contextmanager
def _models(
    subject: Subject, runtimes: Iterable[str], *, size: tuple[int, int], device: torch.device, trust_code: bool
) -> Iterator[dict[str, SegmentationModel]]:
    registry = load_plugins().registry
    with ExitStack() as opened:
        makers = {
            name: opened.enter_context(
                runtime(name, size=size, device=device, registry=registry, trust_code=trust_code)
            )
            for name in runtimes
        }
        yield {name: make(subject.network, subject.card) for name, make in makers.items()}


def _operations(products: Mapping[str, tuple[Any, float]]) -> list[tuple[str, float]]:
    return [(name.removeprefix("peak "), operations) for name, (_, operations) in products.items()]


def _told(timing: Timing, first: Timing, operations: int, peak: float | None, batch: int) -> dict[str, Any]:
    return {
        **as_milliseconds(timing),
        "times_as_fast": ratio(first, timing),
        "images_per_second": batch / timing.median,
        # PyTorch has no matrix product in int8 that would say what the most is, and exported files leave the GPU idle.
        "share_of_peak": None if peak is None else operations / timing.median / peak,
    }


def _as_taken(model: SegmentationModel, images: torch.Tensor) -> torch.Tensor:
    normalised = (images / 255 - model.mean) / model.std
    return normalised.contiguous(memory_format=torch.channels_last)


def _machine(device: torch.device) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "device": str(device),
        "gpu": gpu,
        "processor": platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _device(name: str) -> torch.device:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise KdsegError(f"--device {name}: cpu, cuda or cuda:N is needed{did_you_mean(name, ('cpu', 'cuda'))}")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for a GPU
        raise KdsegError(f"--device {name}: not here: {one_line(error)}") from error
    return device
