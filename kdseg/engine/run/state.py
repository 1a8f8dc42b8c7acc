"""A run under way: what it holds, and what it does between steps."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from attrs import define, field

from kdseg.data.labelled import labelled
from kdseg.data.pictures import comparison, write_image
from kdseg.engine.folders.files import write_json, write_whole
from kdseg.engine.judge.evaluate import evaluate
from kdseg.engine.machine.sharding import with_whole_learners
from kdseg.engine.models.model import MODELS
from kdseg.engine.models.whole_image import WholeImage
from kdseg.engine.run.results import save_confusion, save_model
from kdseg.engine.run.step_values import StepValues, diverged
from kdseg.errors import KdsegError, did_you_mean
from kdseg.metrics.confusion import predicted_classes
from kdseg.recipe.schema import Frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    from kdseg.data.batches import Batch
    from kdseg.data.rare_classes import RareClasses
    from kdseg.data.samples import ClassTable, Sample
    from kdseg.engine.check.phases import Checked
    from kdseg.engine.judge.evaluate import Judgement
    from kdseg.engine.learn.participants import Participant
    from kdseg.engine.learn.plan import Plan
    from kdseg.engine.learn.step import Stepper
    from kdseg.engine.learn.sums import StepReport
    from kdseg.engine.machine.processes import Processes
    from kdseg.engine.machine.sharding import Sharded
    from kdseg.engine.run.callbacks import Callbacks
    from kdseg.engine.run.recorder import Recorder
    from kdseg.recipe.schema import Recipe

    Image = npt.NDArray[np.uint8]


@define(kw_only=True, eq=False)
class Run:
    """A run under way. Callbacks see it as `kdseg.RunView`."""

    checked: Checked
    folder: Path
    processes: Processes
    stepper: Stepper
    recorder: Recorder
    callbacks: Callbacks
    cards: Mapping[str, dict[str, Any]]
    """What the model folder of each learner and shadow says of its network."""
    rare_classes: RareClasses | None
    """What draws the training samples where the recipe wants it by their classes."""
    sharded: Sequence[Sharded] = ()
    """The learners that lie in parts over the processes."""
    began: float = field(factory=time.monotonic)
    """When this process took it up, by the clock that only moves on."""
    seconds_before: float = 0.0
    """What it had taken up to the checkpoint that it goes on from."""
    step: int = 0
    values: dict[str, float] = field(factory=dict)
    scores: dict[str, dict[str, Any]] = field(factory=dict)
    """The last scores of each participant."""
    best: dict[str, dict[str, float]] = field(factory=dict)
    """The step and the metric of each learner's best evaluation."""
    one_class: dict[str, int] = field(factory=dict)
    """At how many evaluations in a row each learner named one class nearly everywhere."""
    batch: Batch | None = None
    last_active: tuple[str, ...] = ()
    """The terms that counted at the step just taken: a gate has chosen the next turn by then."""
    stop_reason: str | None = None
    step_values: StepValues = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Let callbacks see gradients."""
        self.stepper.on_gradients = partial(self.emit, "on_gradients")

    @step_values.default
    def _step_values(self) -> StepValues:
        on_cpu = self.processes.device.type == "cpu"
        return StepValues(plan=self.plan, recorder=self.recorder, run=self.folder, at_once=on_cpu)

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return self.checked.loaded.recipe

    @property
    def plan(self) -> Plan:
        """What the run does, step by step."""
        return self.checked.plan

    @property
    def seconds(self) -> float:
        """What it has taken so far, in all processes one after another that lead to this step."""
        return self.seconds_before + time.monotonic() - self.began

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.plan.total_steps

    @property
    def epoch(self) -> int:
        """The epoch of the last step, from 0."""
        return self.plan.epoch(max(self.step - 1, 0))

    @property
    def participants(self) -> Mapping[str, nn.Module]:
        """The networks by name."""
        return {name: participant.module for name, participant in self.stepper.participants.items()}

    @property
    def classes(self) -> ClassTable:
        """The classes."""
        return self.checked.classes

    @property
    def times(self) -> Mapping[str, float]:
        """What took how many seconds at the last step that was read."""
        return self.step_values.times

    @property
    def images_per_step(self) -> int:
        """Images of a step, over all processes."""
        return self.recipe.train.batch_size

    @property
    def whole_image(self) -> WholeImage:
        """How an image that is judged or shown passes through a network."""
        return WholeImage.of(self.recipe.evaluate, self.recipe.evaluate.batch_size or self.recipe.train.batch_size)

    @property
    def pictures(self) -> Path:
        """The folder for pictures, made when first asked for."""
        folder = self.folder / "pictures"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.processes.is_main

    def record(self, name: str, value: float) -> None:
        """Write a callback's number."""
        number = float(value)
        self.recorder.write("callback", self.step, {name: number})
        self.values[name] = number

    @torch.no_grad()
    def predict(self, participant: str, images: Tensor) -> Tensor:
        """Give a participant's logits for uint8 images N×H×W×3, by windows and scales as `[evaluate]` says."""
        network = self.stepper.participants[participant]
        network.set_training(False)
        with self.processes.autocast():
            return self.whole_image.logits(network.logits, self.stepper.normalise(images.to(self.processes.device)))

    def samples(self, count: int) -> Sequence[Sample]:
        """Give some validation images, spread evenly over the split."""
        every = self.checked.val
        shown = min(count, len(every))
        return [labelled(every[index * len(every) // shown]) for index in range(shown)]

    def taps(self, participant: str) -> tuple[str, ...]:
        """Give the names of a participant's stages."""
        one = self.stepper.participants[participant]
        return tuple(one.backbone.taps(one.module))

    @torch.no_grad()
    def features(self, participant: str, images: Tensor, taps: Sequence[str]) -> Mapping[str, Tensor]:
        """Give what a participant makes of uint8 images N×H×W×3 at some taps."""
        network = self.stepper.participants[participant]
        network.set_training(False)
        try:
            with self.processes.autocast():
                return network.features(self.stepper.normalise(images.to(self.processes.device)), taps)
        except KeyError as error:
            lacking = next(tap for tap in taps if tap not in error.args[0])
            hint = did_you_mean(lacking, error.args[0]) or f"; there are {', '.join(self.taps(participant))}"
            raise KdsegError(f"{participant} has no tap {lacking!r}{hint}") from None

    def show(self, name: str, picture: Image, caption: str = "") -> None:
        """Write a picture of this step, and hand it to the trackers."""
        if not self.is_main:
            return
        write_whole(self.pictures / f"{name}-{self.step:08d}.png", lambda draft: write_image(draft, picture))
        if caption:
            write_json(self.pictures / f"{name}.json", {"caption": caption})
        for tracker in self.recorder.trackers:
            tracker.picture(self.step, name, picture, caption)

    def show_masks(self, name: str, images: Sequence[Image], masks: Mapping[str, Sequence[Image]]) -> None:
        """Hand masks to the trackers that draw them themselves."""
        for tracker in self.recorder.trackers:
            tracker.masks(self.step, name, images, masks)

    @with_whole_learners
    def keep_models(self, folder: Path) -> None:
        """Write every learner and shadow, ready to use, below `folder`."""
        if self.is_main:
            for name in self.cards:
                save_model(self, name, folder / name, "best")

    @with_whole_learners
    def save_comparison(self, path: Path, images: int) -> None:
        """Save some validation images with their truth and each participant's prediction."""
        if not self.is_main:
            return
        chosen = self.samples(images)
        metric = self.recipe.evaluate.metric
        masks = {
            f"{name}  {metric} {self.scores[name][metric]:.3f}": [self._mask(name, sample) for sample in chosen]
            for name in self.participants
        }
        picture = comparison(chosen, masks, self.classes.colours)
        write_whole(path, lambda draft: write_image(draft, picture))

    def _mask(self, name: str, sample: Sample) -> Image:
        logits = self.predict(name, torch.from_numpy(sample.image.copy()).unsqueeze(0))
        return predicted_classes(logits)[0].cpu().numpy()

    def stop(self, reason: str) -> None:
        """End the run as finished, in all processes."""
        self.stop_reason = reason

    def emit(self, event: str, *args: Any) -> None:
        """Tell every callback of an event."""
        self.callbacks.emit(self, event, *args)

    def due(self, every: int, unit: str) -> bool:
        """Whether something that happens every so often happens after the step just taken; always after the last."""
        period = every * (self.plan.steps_per_epoch if unit == "epoch" else 1)
        return self.step % period == 0 or self.step >= self.total_steps or self.stop_reason is not None

    def note(self, report: StepReport, seconds: float, waited: float) -> None:
        """Write the values of the step just taken, as soon as they can be had.

        Args:
            report: what the step did.
            seconds: what it took, its data included.
            waited: how many of them it waited for its data.
        """
        self.last_active = tuple(term.name for term in report.active)
        times = {"seconds": round(seconds, 6), "data_seconds": round(waited, 6)}
        self.step_values.note(self.step, report, times)
        if self.step_values.due:
            self.step_values.read(self.values)

    def refuse_lost_values(self) -> None:
        """Refuse, with a KdsegError, losses and weights that are no longer numbers: nothing may be made of them."""
        self.step_values.read(self.values)
        for name, learner in self.stepper.learners.items():
            if learner.is_lost(self.processes):
                raise diverged(f"step {self.step}: weights of {name} are no longer finite", self.folder)

    @with_whole_learners
    def evaluate(self, names: Collection[str] | None = None) -> Mapping[str, Judgement]:
        """Score participants on the validation split, and keep each learner's best weights.

        Args:
            names: whom; left out: all but the frozen ones that have their scores.
        """
        spec = self.recipe.evaluate
        judged = {
            name: participant
            for name, participant in self.stepper.participants.items()
            if (name in names if names is not None else not self._is_known(participant))
        }
        judgements = evaluate(
            judged,
            self.checked.val,
            classes=self.classes,
            metrics=spec.metrics,
            processes=self.processes,
            normalise=self.stepper.normalise,
            batch_size=self.whole_image.batch_size,
            whole_image=self.whole_image,
            workers=self.recipe.train.workers,
        )
        self.scores |= {name: judgement.scores for name, judgement in judgements.items()}
        found = self.publish({name: self.scores[name] for name in judged})
        self.recorder.write("evaluation", self.step, {"epoch": self.epoch, **found})
        if self.is_main:
            for name, judgement in judgements.items():
                save_confusion(self, name, judgement)
        for name in [name for name in self.cards if name in judged]:
            value, best = self.scores[name][spec.metric], self.best.get(name, {}).get("value", math.nan)
            if math.isnan(best) or value > best:
                self.best[name] = {"step": self.step, "value": value}
                if self.is_main:
                    save_model(self, name, self.folder / MODELS / name, "best")
        return judgements

    def _is_known(self, participant: Participant) -> bool:
        return isinstance(participant.spec, Frozen) and participant.name in self.scores

    def publish(self, scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Put scores among the values that callbacks read, and give all of them by name."""
        found = {f"val/{name}/{key}": value for name, those in scores.items() for key, value in those.items()}
        self.values.update({name: value for name, value in found.items() if isinstance(value, float)})
        return found
