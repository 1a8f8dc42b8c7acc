"""A diagnostic over trained networks: all see the same images, in one pass."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from attrs import evolve, frozen
from rich.progress import Progress

from kdseg.components import KINDS, Diagnostic, DiagnosticContext
from kdseg.data.images import unit_images
from kdseg.data.labelled import labelled
from kdseg.data.loader import eval_batches
from kdseg.data.pictures import make_folder, write_image
from kdseg.data.resample import resampled
from kdseg.diagnostics import Example
from kdseg.engine.judge.trials import (
    find_network,
    find_trials,
    known_by_all,
    refuse_other_classes,
    refuse_the_same_twice,
)
from kdseg.engine.learn.class_map import Known
from kdseg.engine.machine.processes import Processes
from kdseg.engine.models.whole_image import WholeImage
from kdseg.engine.splits.open import open_split, refuse_unlabelled
from kdseg.errors import KdsegError, did_you_mean, display_path
from kdseg.recipe.single import component_from_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import Console
    from torch import Tensor

    from kdseg.data.samples import Sample, Samples
    from kdseg.diagnostics import Findings
    from kdseg.engine.judge.arms import ArmRuns
    from kdseg.engine.models.model import SegmentationModel
    from kdseg.recipe.load import LoadedRecipe

EXAMPLES = 4
"""Images that are shown again for pictures."""


@frozen
class Chosen:
    """Some of a split's samples, spread evenly over it."""

    samples: Samples
    count: int

    def __len__(self) -> int:
        return min(self.count, len(self.samples))

    def __getitem__(self, index: int, /) -> Sample:
        return self.samples[index * len(self.samples) // len(self)]


@frozen
class _Shown:
    """The logits of each trial for some images; one trial's are in memory at a time, computed at each reading."""

    networks: _Networks
    images: Tensor
    """uint8, N×H×W×3."""

    def __iter__(self) -> Iterator[Tensor]:
        """Compute them, one after the other."""
        return self.networks.logits(self.images)


@frozen
class _Networks:
    """The trials at work."""

    models: Sequence[SegmentationModel]
    whole_image: WholeImage
    processes: Processes
    known: Known | None
    """The classes that all know, where one does not know every class of the images."""

    @torch.no_grad()
    def logits(self, images: Tensor) -> Iterator[Tensor]:
        """Give the logits of each trial for uint8 images N×H×W×3."""
        seen = unit_images(images)
        for model in self.models:
            yield self._of(model, seen)  # held by no name here: the next trial's would lie beside them

    def _of(self, model: SegmentationModel, images: Tensor) -> Tensor:
        with self.processes.autocast():
            logits = self.whole_image.logits(model, images)
        return logits if self.known is None else self.known.logits(logits)

    def target(self, masks: Tensor) -> Tensor:
        """Give labels N×H×W among the classes that all know; the others are ignored."""
        return masks if self.known is None else self.known.target(masks.long())

    def examples(self, samples: Samples) -> Iterator[Example]:
        """Show images again."""
        for sample in (labelled(samples[index]) for index in range(len(samples))):
            assert sample.mask is not None  # labelled
            images = torch.from_numpy(sample.image.copy()).unsqueeze(0).to(self.processes.device)
            target = self.target(torch.from_numpy(sample.mask.copy()).to(images.device)).cpu().numpy()
            shown = _Shown(self, images)
            yield Example(image=sample.image, target=target.astype(np.uint8), id=sample.id, trials=shown)


def diagnose(
    name: str,
    arms: Sequence[ArmRuns],
    *,
    settings: Sequence[str],
    reference: Path | None = None,
    reference_model: str | None = None,
    shown: LoadedRecipe | None = None,
    split: str,
    models: Sequence[str],
    which: Literal["best", "last"],
    images: int | None,
    batch_size: int | None,
    trust_code: bool,
    console: Console,
    pictures: Sequence[str] = (),
) -> Findings:
    """Run a diagnostic over networks, each a trial, on a split of a dataset.

    Args:
        name: the diagnostic's.
        arms: the trials; of a second arm as many as of the first.
        settings: what each `--set` says of the diagnostic's options.
        reference: where the network lies whose probabilities are a target beside the labels; None without one.
        reference_model: which participant, where that is a run's folder.
        shown: the recipe whose dataset, windows, scales, mirroring and precision hold; that of the first run, where
            None.
        split: of the dataset.
        models: as `find_trials` takes them.
        which: weights, "best" or "last".
        images: how many, spread evenly over the split; all, where None.
        batch_size: images, or windows of one, at once; the recipe's, where None.
        trust_code: as `find_trials` takes it.
        console: shows progress.
        pictures: ids of the samples that are pictured; some, spread evenly over the images, where none is given.

    Raises:
        KdsegError: where the diagnostic, an option, a network or the split is not there, or they do not fit.
    """
    found = [find_trials(each.paths, models, which, trust_code=trust_code) for each in arms]
    loaded = shown or found[0].loaded
    recipe = loaded.recipe
    component = diagnostic(name, settings, loaded)
    trials = [trial for each in found for trial in each.each]
    if reference is not None:
        trials.insert(0, find_network(reference, reference_model, which, trust_code=trust_code))
    elif reference_model is not None:
        raise KdsegError("--reference-model names a participant of the run that --reference gives; give both")
    _refuse(component, arms, reference)
    if component.trainings() is not None:  # it tells how trainings differ
        for each in found:
            refuse_the_same_twice(each.each)
    refuse_other_classes(trials, loaded)
    whole_split = open_split(recipe, split)
    refuse_unlabelled(whole_split, split)
    samples = Chosen(whole_split, images or len(whole_split))
    pictured = _named(whole_split, pictures) if pictures else Chosen(samples, EXAMPLES)
    processes = Processes.start(recipe.train)
    table = recipe.data.dataset.class_table()
    numbers = known_by_all(trials, table)
    classes = table.of(numbers)
    at_once = batch_size or recipe.evaluate.batch_size or recipe.train.batch_size
    networks = _Networks(
        [trial.network().to(processes.device) for trial in trials],
        WholeImage.of(recipe.evaluate, at_once),
        processes,
        None if len(classes) == len(table) else Known.of(numbers, processes.device),
    )
    accumulator = component.build(
        DiagnosticContext(
            classes=classes,
            trials=len(trials),
            arms=tuple(each.arm for each in arms),
            reference=None if reference is None else display_path(reference),
            images=len(samples),
            examples=lambda: networks.examples(pictured) if processes.is_main else (),
        )
    )
    loader = eval_batches(
        samples,
        batch_size=at_once,
        rank=processes.rank,
        world=processes.world,
        num_classes=len(table),
        workers=recipe.train.workers,
        pinned=processes.device.type == "cuda",
    )
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("diagnosing", total=-(-len(samples) // processes.world))
        mine = range(processes.rank, len(samples), processes.world)
        for batch in loader:
            brought, count = processes.bring(batch), len(batch.ids)
            accumulator.update(_Shown(networks, brought.images), networks.target(brought.masks), mine[:count])
            mine = mine[count:]
            bar.advance(task, count)
    processes.sum_(accumulator.tensors())
    findings = accumulator.compute()
    unknown = [name for name in table.names if name not in classes.names]
    if not unknown:
        return findings
    told = f"Not all of these networks know {', '.join(unknown)}: pixels labelled so, and these classes, are left out."
    return evolve(findings, notes=(*findings.notes, told))


def diagnostic(name: str, settings: Sequence[str], loaded: LoadedRecipe) -> Diagnostic:
    """Make a diagnostic of its name and settings.

    Raises:
        KdsegError: there is none, or an option does not fit.
    """
    component = component_from_settings(name, settings, KINDS["diagnostic"], loaded.plugins.registry)
    assert isinstance(component, Diagnostic)
    return component


def _named(samples: Samples, ids: Sequence[str]) -> Samples:
    """Give the samples of these ids.

    Raises:
        KdsegError: there is none of a name.
    """
    there = {samples[index].id: index for index in range(len(samples))}
    for name in ids:
        if name not in there:
            raise KdsegError(
                f"no image is called {name!r}{did_you_mean(name, there)}; the first is {next(iter(there))!r}"
            )
    return resampled(samples, np.array([there[name] for name in ids]))


def _refuse(component: Diagnostic, arms: Sequence[ArmRuns], reference: Path | None) -> None:
    """Refuse what a diagnostic cannot look at.

    Raises:
        KdsegError: saying what.
    """
    if len(arms) > 1 and not component.compares:
        raise KdsegError(f"{component.name} holds no trials against others; leave --against out")
    if reference is not None and not component.refers:
        raise KdsegError(f"{component.name} takes no network as a target; leave --reference out")
    counts = {each.arm.name: len(each.paths) for each in arms}
    if len({*counts.values()}) > 1:
        told = ", ".join(f"{count} of {label}" for label, count in counts.items())
        raise KdsegError(f"trials are held against each other one by one; found {told}: give as many of both")


def write_pictures(findings: Findings, folder: Path) -> dict[str, Path]:
    """Write the pictures of findings as ``NAME.png``, and give the files by name.

    Raises:
        KdsegError: where one cannot be written, or its name names no file.
    """
    for name in findings.pictures:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name):
            raise KdsegError(
                f"the diagnostic calls a picture {name!r}, where letters, digits, - and _ make a file's name; tell the "
                "plugin's author"
            )
    files = {name: folder / f"{name}.png" for name in findings.pictures}
    if files:
        make_folder(folder)
    for name, file in files.items():
        write_image(file, findings.pictures[name])
    return files
