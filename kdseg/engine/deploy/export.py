"""A run's network written as a file, held against the network, and only then given its name."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

import torch
from attrs import frozen
from rich.progress import Progress

from kdseg.components import ExportContext, Exporter
from kdseg.data.images import byte_batch
from kdseg.engine.deploy.check import LEAST_EQUAL, Comparison, Limits, refuse_loss
from kdseg.engine.deploy.graph import DeployedGraph
from kdseg.engine.deploy.images import calibration_images, spread
from kdseg.engine.folders.files import disk_told, whole_group, write_json
from kdseg.engine.folders.run_folder import RECIPE, find_run, recipe_digest
from kdseg.engine.models.exported import ExportedModel, exporter_told, make_exporter, open_exported
from kdseg.engine.models.model import load, model_folder
from kdseg.engine.splits.open import open_split, refuse_unlabelled
from kdseg.errors import KdsegError, display_path
from kdseg.recipe.load import load_recipe
from kdseg.registry import check_requirements, refuse_unmet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rich.console import Console

    from kdseg.data.samples import Samples
    from kdseg.engine.models.model import SegmentationModel
    from kdseg.recipe.load import LoadedRecipe
    from kdseg.registry import Entry, Registry

EXPORTS = "exports"
_EXAMPLE = (323, 451)
"""Height and width of what a network is traced with that is to take any: odd, at every stage of a pyramid of eight."""


@frozen(kw_only=True)
class ExportSettings:
    """What is wanted of an export."""

    to: str
    """The exporter's name."""
    precision: str = "fp32"
    logits: bool = False
    """Floats in and logits out, in place of bytes and classes."""
    size: tuple[int, int] | None = None
    """The only height and width that the file is to take, one image at a time; None: any."""
    resize: tuple[int, int] | None = None
    """At which the network sees each image, resized in the file; None: at its own."""
    calibrate: int = 64
    """Images of the training split, for int8."""
    images: int | None = None
    """Of the evaluation split, for the check; None: all."""
    max_drop: float = 1.0
    """Points of mean IoU that may be lost."""
    least_equal: float | None = None
    """Share of pixels that must keep their class; None: as `LEAST_EQUAL` says."""


def export_run(
    path: Path,
    settings: ExportSettings,
    *,
    output: Path | None,
    model: str | None,
    which: Literal["best", "last"],
    trust_code: bool,
    console: Console,
) -> dict[str, Any]:
    """Export a learner of a run.

    Args:
        path: the run.
        settings: what is wanted.
        output: the file; in ``RUN/exports``, named by the model and what is wanted, where None.
        model: which learner.
        which: its weights.
        trust_code: as `kdseg.load` takes it.
        console: shows progress.

    Returns:
        What was written and found, as `FILE.json` beside the file has it.

    Raises:
        KdsegError: there is no such run, exporter or model, a library is missing, the network cannot be written so, or
            the file lost more than it may: then none is left.
    """
    run = find_run(path)
    loaded = load_recipe(run / RECIPE)
    registry = loaded.plugins.registry
    entry = _exporter(settings, registry)
    exporter = make_exporter(entry)
    folder = model_folder(run, model)
    target = output or run / EXPORTS / f"{_default_name(folder.name, settings, which)}{exporter.suffix}"
    if target.suffix != exporter.suffix:
        raise KdsegError(f"--output {display_path(target)}: files of {entry.name} end in {exporter.suffix}")
    _refuse_strangers(target, exporter)
    reference = load(run, folder.name, which, trust_code=trust_code)
    card = _card(loaded, run, reference, entry, settings) | {"model": folder.name, "weights": which}
    samples = open_split(loaded.recipe, "val")
    refuse_unlabelled(samples, "val")
    graph = DeployedGraph(reference, logits=settings.logits, seen=settings.resize).eval()
    then = "nothing was left of the export; make room, or name another place by --output"
    with disk_told(target, then), whole_group(target) as draft:
        file = draft / target.name
        with console.status(f"writing {target.name}"):
            ctx = _context(file, graph, settings, card, loaded)
            with _named(file, target), exporter_told(settings.to, "write the network"):
                exporter.build(ctx)
            _refuse_absent(draft, target, exporter)
        with _named(file, target):
            found = _checked(file, graph, card, settings, samples, registry, console)
        found = _told(target, exporter, draft, card) | found
        found["calibration_images"] = _calibrated(settings, loaded)
        write_json(draft / f"{target.name}.json", found)
    return found


def _refuse_strangers(target: Path, exporter: Exporter) -> None:
    """Refuse to write over a file that would lie beside the export, where no export of before had it there.

    Raises:
        KdsegError: naming it.
    """
    there = [path for path in map(target.with_suffix, exporter.beside) if path.exists()]
    if not there:
        return
    ours = False
    if target.exists():
        with suppress(KdsegError), exporter_told(exporter.name, "read what is there"):
            ours = exporter.read(target) is not None
    if not ours:
        raise KdsegError(
            f"{display_path(there[0])}: would be overwritten, and belongs to no export; remove it, or name another "
            "place by --output"
        )


def _files(target: Path, exporter: Exporter) -> list[str]:
    """Name all files of an export."""
    return [target.name, *(target.with_suffix(suffix).name for suffix in exporter.beside)]


def _refuse_absent(draft: Path, target: Path, exporter: Exporter) -> None:
    """See whether an exporter wrote what it is to write.

    Raises:
        KdsegError: naming what is missing.
    """
    if absent := [name for name in _files(target, exporter) if not (draft / name).exists()]:
        raise KdsegError(f"exporter {exporter.name} wrote no {' and no '.join(absent)}; tell whoever wrote it")


def _default_name(model: str, settings: ExportSettings, which: str) -> str:
    """Name a file by all in which exports of a model differ: ``student-int8-512x1024``."""
    parts = [model, settings.precision]
    if settings.logits:
        parts.append("logits")
    if settings.size is not None:
        parts.append(f"{settings.size[0]}x{settings.size[1]}")
    if settings.resize is not None:
        parts.append(f"resize{settings.resize[0]}x{settings.resize[1]}")
    if which != "best":
        parts.append(which)
    return "-".join(parts)


@contextmanager
def _named(draft: Path, target: Path) -> Iterator[None]:
    """Name the file that was asked for in errors, where they name the draft of it, which is gone then."""
    try:
        yield
    except KdsegError as error:
        text = str(error)
        for folder in (str(draft.parent), display_path(draft.parent)):
            text = text.replace(folder, display_path(target.parent))
        raise KdsegError(text) from error


def _exporter(settings: ExportSettings, registry: Registry) -> Entry:
    """Find the exporter, and refuse what it cannot write here."""
    entry = registry.find("exporter", settings.to)
    check_requirements(entry)
    assert issubclass(entry.cls, Exporter)
    if settings.precision not in entry.cls.precisions:
        why = entry.cls.cannot.get(settings.precision, f"it writes {', '.join(entry.cls.precisions)}")
        raise KdsegError(f"--precision {settings.precision}: not by the exporter {entry.name}: {why}")
    refuse_unmet(f"exporter {entry.qualified}", entry.cls.writes_with.get(settings.precision, ()))
    return entry


def _card(
    loaded: LoadedRecipe, run: Path, model: SegmentationModel, entry: Entry, settings: ExportSettings
) -> dict[str, Any]:
    categories = loaded.recipe.data.dataset.class_table().categories
    return {
        "exporter": entry.qualified,
        "kdseg_version": metadata.version("kdseg"),
        "run": f"{loaded.recipe.name}/{run.name}",
        "recipe_digest": recipe_digest(loaded),
        "classes": list(model.classes),
        "colours": [list(colour) for colour in model.palette],
        "categories": list(categories),
        "mean": model.mean.flatten().tolist(),
        "std": model.std.flatten().tolist(),
        "input": "RGB float32 N×3×H×W in 0..1" if settings.logits else "RGB uint8 N×3×H×W",
        "output": "logits" if settings.logits else "classes",
        "size": None if settings.size is None else list(settings.size),
        "resize": None if settings.resize is None else list(settings.resize),
        "precision": settings.precision,
    }


def _context(
    file: Path, graph: DeployedGraph, settings: ExportSettings, card: Mapping[str, Any], loaded: LoadedRecipe
) -> ExportContext:
    folded = graph.folded()
    shape = (2, 3, *_EXAMPLE) if settings.size is None else (1, 3, *settings.size)
    example = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ExportContext(
        file=file,
        module=folded,
        network=folded.network,
        example=example / 255 if settings.logits else example,
        size=settings.size,
        precision=settings.precision,
        calibration=lambda: calibration_images(
            open_split(loaded.recipe, "train"), settings.calibrate, size=settings.size, floats=settings.logits
        ),
        card=card,
    )


@torch.no_grad()
def _checked(
    file: Path,
    graph: DeployedGraph,
    card: Mapping[str, Any],
    settings: ExportSettings,
    samples: Samples,
    registry: Registry,
    console: Console,
) -> dict[str, Any]:
    """Hold the file, as anybody opens it, against the network, in float32 and unfolded.

    Raises:
        KdsegError: it lost more than it may, or carries another card.
    """
    exported = open_exported(file, trust_code=True, registry=registry)
    if dict(exported.card) != dict(card):
        raise KdsegError(f"the exporter {settings.to} lost what the file must carry; tell whoever wrote it")
    # A file of one size is held against the network at that size.
    wanted_of = ExportedModel(file, card, graph)
    found = Comparison(num_classes=len(card["classes"]))
    chosen = spread(samples, settings.images)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("checking", total=len(chosen))
        for index in chosen:
            sample = samples[index]
            image = byte_batch(sample.image)
            mask = None if sample.mask is None else torch.from_numpy(sample.mask.copy())[None]
            found.add(wanted_of.predict(image), exported.predict(image), mask)
            if settings.logits:
                found.add_logits(wanted_of(image.float() / 255), exported(image.float() / 255))
            bar.advance(task)
    told = found.told()
    least = LEAST_EQUAL[settings.precision] if settings.least_equal is None else settings.least_equal
    refuse_loss(told, Limits(least_equal=least, max_drop=settings.max_drop), settings.precision)
    return told | {"least_equal": least, "max_drop": settings.max_drop}


def _told(target: Path, exporter: Exporter, draft: Path, card: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "file": display_path(target),
        "bytes": sum((draft / name).stat().st_size for name in _files(target, exporter)),
        "threads": torch.get_num_threads(),
        **{key: card[key] for key in ("exporter", "run", "model", "weights", "output", "size", "resize", "precision")},
    }


def _calibrated(settings: ExportSettings, loaded: LoadedRecipe) -> int:
    """Count the images by which int8 chose its scales: a split may hold fewer than were wanted."""
    return len(spread(open_split(loaded.recipe, "train"), settings.calibrate)) if settings.precision == "int8" else 0
