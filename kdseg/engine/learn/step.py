"""One optimizer step: which networks run, what each term adds, who learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import define, field, frozen

from kdseg.data.streams import stream
from kdseg.engine.learn.critics import CriticState
from kdseg.engine.learn.insight import Insight
from kdseg.engine.learn.participants import LearnerState, Participant, ShadowState
from kdseg.engine.learn.terms import Fusing, Term
from kdseg.engine.machine.processes import Processes
from kdseg.engine.machine.sharding import reshard
from kdseg.losses import LossCall, Prediction, full_precision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from kdseg.data.loader import Batch
    from kdseg.engine.learn.plan import ActiveTerm, Plan


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
    critic_values: Mapping[str, Tensor]
    """What each active term's critic learnt from, over the global batch."""
    gradient_norms: Mapping[str, Tensor]
    """Each active term's weighted gradient at its learner's prediction, where asked for."""
    cosines: Mapping[str, Tensor]
    """Between the gradients of two terms of a learner, where asked for."""
    learning_rates: Mapping[str, float]
    """What each learner that stepped stepped with."""


@frozen(eq=False)
class _Sums:
    """What a step adds up over its micro-batches."""

    divisors: Mapping[str, Tensor]
    """What each term's sum is divided by."""
    values: dict[str, Tensor]
    critics: dict[str, Tensor]

    @classmethod
    def of(
        cls,
        active: Sequence[ActiveTerm],
        divisors: Mapping[str, Tensor],
        critics: Mapping[str, CriticState],
        device: torch.device,
    ) -> _Sums:
        names = [term.name for term in active]
        zeros = [{name: torch.zeros((), device=device) for name in those} for those in (names, critics.keys() & names)]
        return cls(divisors, *zeros)


@define(kw_only=True, eq=False)
class Stepper:
    """Takes optimizer steps."""

    plan: Plan
    processes: Processes
    participants: Mapping[str, Participant]
    learners: Mapping[str, LearnerState]
    shadows: Sequence[ShadowState]
    terms: Mapping[str, Term]
    critics: Mapping[str, CriticState]
    """By the names of their terms."""
    fusing: Fusing
    seed: int
    normalise: Callable[[Tensor], Tensor]
    """Makes uint8 images N×H×W×3 what the networks take."""
    _sources: dict[tuple[str, int], tuple[int, Prediction]] = field(factory=dict, init=False)
    """Predictions of this step's sources, by participant and micro-batch, with the version of the weights."""

    def take(self, step: int, micro_batches: Sequence[Batch], *, insight: bool = False) -> StepReport:
        """Take optimizer step number `step`, from 0, on this process's micro-batches of the global batch."""
        active = self.plan.active(step)
        batches = [self._on_device(batch) for batch in micro_batches]
        look = Insight() if insight else None
        sums = _Sums.of(active, self._divisors(active, batches), self.critics, self.processes.device)
        rates = {term.learner: self.learners[term.learner].learning_rate for term in active}
        groups = self.plan.groups(active)
        for group in groups:
            for index, batch in enumerate(batches):
                self._backward(step, index, batch, group, sums, look)
                if len(groups) == 1:
                    self._sources.clear()  # only a later group could ask for this micro-batch again
            for name in dict.fromkeys(term.learner for term in group):
                self._finish(self.learners[name], [self.terms[term.name] for term in group if term.learner == name])
        self._sources.clear()
        self.processes.sum_([*sums.values.values(), *sums.critics.values()])
        norms, cosines = ({}, {}) if look is None else look.reduced(self.processes)
        return StepReport(
            active=active,
            values=sums.values,
            critic_values=sums.critics,
            gradient_norms=norms,
            cosines=cosines,
            learning_rates=rates,
        )

    def _on_device(self, batch: Batch) -> DeviceBatch:
        brought = self.processes.bring(batch)
        return DeviceBatch(images=self.normalise(brought.images), target=brought.masks.long())

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
        sums: _Sums,
        look: Insight | None,
    ) -> None:
        """Run one micro-batch through the group's networks and add to their gradients."""
        terms = {term.name: term for term in group}
        learners = {name: self._learn(name, step, index, batch) for name in {term.learner: None for term in group}}
        calls = {name: self._call(name, step, index, batch) for name in terms}
        heard = {name: self._heard(self.terms[name], step, index, batch, learners, calls[name]) for name in terms}
        scaled = []
        for learner, prediction in learners.items():
            names = [name for name, term in terms.items() if term.learner == learner]
            weighted: dict[str, Tensor] = {}
            for unit in self.fusing.units(names, plain=look is not None):
                first = self.terms[unit.terms[0]]
                mine, source = prediction.of(first.learner.name), heard[first.name]
                divisors = [sums.divisors[name] for name in unit.terms]
                if unit.fused is None:
                    (name,) = unit.terms
                    value = first.module(mine, source, batch.target, calls[name])
                    value = value / divisors[0].to(value.dtype)
                    weighted[name] = terms[name].weight * value
                    sums.values[name] += value.detach()
                else:
                    scales = torch.stack([terms[name].weight / sums.divisors[name] for name in unit.terms])
                    objective, values = unit.fused(mine, source, batch.target, calls[first.name], scales)
                    weighted[first.name] = objective
                    for name, value, divisor in zip(unit.terms, values, divisors, strict=True):
                        sums.values[name] += value / divisor
            if look is not None:
                look.look(weighted, {name: self.terms[name].learner_taps for name in names}, prediction)
            total = torch.stack(list(weighted.values())).sum()
            if total.requires_grad:
                scaled.append(self.learners[learner].scaler.scale(total))
        if scaled:
            torch.autograd.backward(scaled)
        for name, term in terms.items():
            if name in self.critics:
                mine = _detached(learners[term.learner].of(self.terms[name].learner.name))
                self._teach_critic(name, mine, heard[name], batch, calls[name], sums)

    def _teach_critic(
        self, name: str, learner: Prediction, source: Prediction | None, batch: DeviceBatch, call: LossCall, sums: _Sums
    ) -> None:
        """Add to the gradient of a term's critic."""
        critic, module = self.critics[name], self.terms[name].module
        critic.module.requires_grad_(requires_grad=True)
        value = module.critic_loss(learner, source, batch.target, call)
        value = value / sums.divisors[name].to(value.dtype)
        if value.requires_grad:
            torch.autograd.backward([critic.scaler.scale(value)])
        critic.module.requires_grad_(requires_grad=False)
        sums.critics[name] += value.detach()

    def _learn(self, name: str, step: int, index: int, batch: DeviceBatch) -> Prediction:
        participant = self.participants[name]
        participant.set_training(True)
        return self._forward(participant, step, index, batch)

    def _heard(
        self,
        term: Term,
        step: int,
        index: int,
        batch: DeviceBatch,
        learning: Mapping[str, Prediction],
        call: LossCall,
    ) -> Prediction | None:
        """Give what a term's learner is compared with: its source's prediction, or one made of those of several."""
        sources = [self._source(head.participant, step, index, batch, learning).of(head.name) for head in term.sources]
        if term.combine is None:
            return sources[0] if sources else None
        with torch.no_grad():
            logits = term.combine([full_precision(source.logits) for source in sources], batch.target, call)
        return Prediction(logits=logits)

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

    def _call(self, term: str, step: int, index: int, batch: DeviceBatch) -> LossCall:
        generator = torch.Generator(device=batch.images.device)
        generator.manual_seed(stream(self.seed, "loss", term, step, index, self.processes.rank))
        progress = step / self.plan.total_steps
        return LossCall(progress=progress, images=batch.images, generator=generator, gather=self.processes.gather)

    def _finish(self, learner: LearnerState, terms: Sequence[Term]) -> None:
        """Reduce a learner's gradients and statistics over processes, and let it, then its shadows, step."""
        reshard(learner.participant.module)
        self.processes.sum_gradients(learner.parameters)
        learner.step()
        for term in terms:
            if term.name in self.critics:
                self.critics[term.name].step(self.processes)
        modules = [learner.participant.module, *(term.module for term in terms if term.module.averages)]
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
