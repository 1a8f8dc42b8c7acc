"""One optimizer step: which networks run, what each term adds, who learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import define, field, frozen

from kdseg.data.streams import stream
from kdseg.engine.participants import LearnerState, Participant, ShadowState
from kdseg.engine.processes import Processes
from kdseg.engine.sharding import reshard
from kdseg.losses import LossCall, LossModule, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from kdseg.components import Loss
    from kdseg.data.loader import Batch
    from kdseg.engine.plan import ActiveTerm, Plan


@frozen(kw_only=True, eq=False)
class Term:
    """A term of the recipe with its loss at work."""

    name: str
    learner: str
    source: str | None
    loss: Loss
    module: LossModule
    learner_taps: tuple[str, ...]


@frozen(kw_only=True, eq=False)
class DeviceBatch:
    """One micro-batch as the networks and losses take it."""

    images: Tensor
    """N×3×H×W, normalised."""
    target: Tensor
    """N×H×W, int64."""


@frozen(kw_only=True)
class StepReport:
    """What a step did: tensors, so that no step waits for the device."""

    active: tuple[ActiveTerm, ...]
    values: Mapping[str, Tensor]
    """Each active term's value over the global batch, without its weight."""
    gradient_norms: Mapping[str, Tensor]
    """Each active term's weighted gradient at its learner's prediction, where asked for."""
    learning_rates: Mapping[str, float]
    """What each learner that stepped stepped with."""


@define(kw_only=True, eq=False)
class Stepper:
    """Takes optimizer steps."""

    plan: Plan
    processes: Processes
    participants: Mapping[str, Participant]
    learners: Mapping[str, LearnerState]
    shadows: Sequence[ShadowState]
    terms: Mapping[str, Term]
    seed: int
    normalise: Callable[[Tensor], Tensor]
    """Makes uint8 images N×H×W×3 what the networks take."""
    _sources: dict[tuple[str, int], tuple[int, Prediction]] = field(factory=dict, init=False)
    """Predictions of this step's sources, by participant and micro-batch, with the version of the weights."""

    def take(self, step: int, micro_batches: Sequence[Batch], *, insight: bool = False) -> StepReport:
        """Take optimizer step number `step`, from 0, on this process's micro-batches of the global batch."""
        active = self.plan.active(step)
        batches = [self._on_device(batch) for batch in micro_batches]
        divisors = self._divisors(active, batches)
        values = {term.name: torch.zeros((), device=self.processes.device) for term in active}
        squares = {term.name: torch.zeros((), device=self.processes.device) for term in active} if insight else {}
        rates = {term.learner: self.learners[term.learner].learning_rate for term in active}
        groups = self.plan.groups(active)
        for group in groups:
            for index, batch in enumerate(batches):
                self._backward(step, index, batch, group, divisors, values, squares)
                if len(groups) == 1:
                    self._sources.clear()  # only a later group could ask for this micro-batch again
            for name in dict.fromkeys(term.learner for term in group):
                self._finish(self.learners[name], [self.terms[term.name] for term in group if term.learner == name])
        self._sources.clear()
        self.processes.sum_([*values.values(), *squares.values()])
        return StepReport(
            active=active,
            values=values,
            gradient_norms={name: square.sqrt() for name, square in squares.items()},
            learning_rates=rates,
        )

    def _on_device(self, batch: Batch) -> DeviceBatch:
        return DeviceBatch(
            images=self.normalise(batch.images.to(self.processes.device, non_blocking=True)),
            target=batch.masks.to(self.processes.device, non_blocking=True).long(),
        )

    def _divisors(self, active: Sequence[ActiveTerm], batches: Sequence[DeviceBatch]) -> dict[str, Tensor]:
        """What each term's sum is divided by: its count over the global batch, known before the first forward."""
        divisors = {}
        for term in active:
            loss = self.terms[term.name]
            if loss.loss.per == "batch":
                count = torch.ones((), dtype=torch.float64, device=self.processes.device) * len(batches)
            else:
                count = torch.stack([loss.module.count(batch.target).double() for batch in batches]).sum()
            divisors[term.name] = count
        self.processes.sum_(list(divisors.values()))
        return {name: torch.where(count > 0, count, 1) for name, count in divisors.items()}

    def _backward(
        self,
        step: int,
        index: int,
        batch: DeviceBatch,
        group: Sequence[ActiveTerm],
        divisors: Mapping[str, Tensor],
        values: dict[str, Tensor],
        squares: dict[str, Tensor],
    ) -> None:
        """Run one micro-batch through the group's networks and add to their gradients."""
        predictions = {name: self._learn(name, step, index, batch) for name in {term.learner: None for term in group}}
        objectives: dict[str, Tensor] = {}
        for term in group:
            loss, learner = self.terms[term.name], predictions[term.learner]
            source = None if term.source is None else self._source(term.source, step, index, batch, predictions)
            value = loss.module(learner, source, batch.target, self._call(term, step, index, batch))
            value = value / divisors[term.name].to(value.dtype)
            weighted = term.weight * value
            if squares:
                squares[term.name] += _squared_gradient(weighted, learner, loss.learner_taps)
            values[term.name] += value.detach()
            objectives[term.learner] = objectives.get(term.learner, 0) + weighted
        scaled = [
            self.learners[name].scaler.scale(objective)
            for name, objective in objectives.items()
            if objective.requires_grad
        ]
        if scaled:
            torch.autograd.backward(scaled)

    def _learn(self, name: str, step: int, index: int, batch: DeviceBatch) -> Prediction:
        participant = self.participants[name]
        participant.set_training(True)
        return self._forward(participant, step, index, batch)

    def _source(
        self, name: str, step: int, index: int, batch: DeviceBatch, learning: Mapping[str, Prediction]
    ) -> Prediction:
        """Give a source's prediction, detached: a learner's of this very step, or one by these weights, once."""
        if name in learning:
            return _detached(learning[name])
        participant = self.participants[name]
        version, prediction = self._sources.get((name, index), (None, None))
        if prediction is None or version != participant.version:
            with torch.no_grad(), participant.as_source():
                prediction = _detached(self._forward(participant, step, index, batch))
            self._sources[name, index] = participant.version, prediction
        return prediction

    def _forward(self, participant: Participant, step: int, index: int, batch: DeviceBatch) -> Prediction:
        if participant.module.training:  # dropout draws from torch's global generator: one stream a participant
            seed = stream(self.seed, "forward", participant.name, step, index, self.processes.rank)
            _seed_dropout(seed, batch.images.device)
        with self.processes.autocast():
            return participant.predict(batch.images)

    def _call(self, term: ActiveTerm, step: int, index: int, batch: DeviceBatch) -> LossCall:
        generator = torch.Generator(device=batch.images.device)
        generator.manual_seed(stream(self.seed, "loss", term.name, step, index, self.processes.rank))
        return LossCall(progress=step / self.plan.total_steps, images=batch.images, generator=generator)

    def _finish(self, learner: LearnerState, terms: Sequence[Term]) -> None:
        """Reduce a learner's gradients and statistics over processes, and let it, then its shadows, step."""
        reshard(learner.participant.module)
        self.processes.sum_gradients(learner.parameters)
        learner.step()
        modules = [learner.participant.module, *(term.module for term in terms)]
        self.processes.average_(
            buffer for module in modules for buffer in module.buffers() if buffer.is_floating_point()
        )
        for shadow in self.shadows:
            if shadow.of is learner:
                shadow.follow()


def _seed_dropout(seed: int, device: torch.device) -> None:
    """Seed the global generators that this device draws from; torch.manual_seed takes half a millisecond for all."""
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def _detached(prediction: Prediction) -> Prediction:
    return Prediction(
        logits=prediction.logits.detach(),
        taps={name: tap.detach() for name, tap in prediction.taps.items()},
        heads={name: head.detach() for name, head in prediction.heads.items()},
    )


def _squared_gradient(weighted: Tensor, prediction: Prediction, taps: Sequence[str]) -> Tensor:
    """The squared norm of a term's gradient at the logits, at further heads, and at the taps that it reads."""
    outputs = [prediction.logits, *prediction.heads.values(), *(prediction.taps[tap] for tap in taps)]
    at = [output for output in outputs if output.requires_grad]
    if not at or not weighted.requires_grad:
        return torch.zeros_like(weighted)
    gradients = torch.autograd.grad(weighted, at, retain_graph=True, allow_unused=True)
    squares = [gradient.float().square().sum() for gradient in gradients if gradient is not None]
    return torch.stack(squares).sum() if squares else torch.zeros_like(weighted)
