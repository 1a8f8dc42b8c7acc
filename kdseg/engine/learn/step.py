"""One optimizer step: which networks run, what each term adds, who learns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from attrs import define, field

from kdseg.data.streams import stream
from kdseg.engine.learn.critics import CriticState
from kdseg.engine.learn.insight import Insight
from kdseg.engine.learn.participants import LearnerState, Participant, ShadowState
from kdseg.engine.learn.sums import DeviceBatch, Heard, StepReport, Sums
from kdseg.engine.learn.terms import Fusing, Term, Unit
from kdseg.engine.learn.turns import TurnState
from kdseg.engine.machine.processes import Processes
from kdseg.engine.machine.sharding import reshard
from kdseg.losses import LossCall, Prediction, full_precision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from kdseg.data.batches import Batch
    from kdseg.engine.learn.plan import ActiveTerm, Plan


@define(kw_only=True, eq=False)
class Stepper:
    """Takes optimizer steps."""

    plan: Plan
    turns: TurnState
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
    on_gradients: Callable[[str], object] = lambda _learner: None
    """Called before a learner steps, by its name."""
    _sources: dict[tuple[str, int], tuple[int, Prediction]] = field(factory=dict, init=False)
    """Predictions of this step's sources, by participant and micro-batch, with the version of the weights."""

    def take(self, step: int, micro_batches: Sequence[Batch], *, insight: bool = False) -> StepReport:
        """Take optimizer step number `step`, from 0, on this process's micro-batches of the global batch."""
        turn, active = self.turns.at(step), self.active(step)
        batches = [self._on_device(step, index, batch) for index, batch in enumerate(micro_batches)]
        look = Insight() if insight else None
        sums = Sums.of(active, self._divisors(active, batches), self.critics, self.processes.device)
        rates = {term.learner: self.learners[term.learner].learning_rate for term in active}
        groups = self.plan.groups(active)
        for group in groups:
            for batch in batches:
                self._backward(batch, group, sums, look)
                if len(groups) == 1:
                    self._sources.clear()  # only a later group could ask for this micro-batch again
            for name in dict.fromkeys(term.learner for term in group):
                self._finish(self.learners[name], [self.terms[term.name] for term in group if term.learner == name])
        for batch in batches if not groups else ():  # no term counts at this step, and nobody learns
            self._measure(batch, {}, sums)
        self._sources.clear()
        self.processes.sum_([*sums.values.values(), *sums.critics.values()])
        gate = self.turns.conclude(step, sums.measured.values(), sums.values, self.processes)
        norms, cosines = ({}, {}) if look is None else look.reduced(self.processes)
        return StepReport(
            turn=turn,
            active=active,
            values=sums.values,
            critic_values=sums.critics,
            gradient_norms=norms,
            cosines=cosines,
            learning_rates=rates,
            gate=gate,
        )

    def active(self, step: int) -> tuple[ActiveTerm, ...]:
        """Give the terms that count at the step to come."""
        return self.plan.active(step, self.turns.at(step))

    def _on_device(self, step: int, index: int, batch: Batch) -> DeviceBatch:
        brought = self.processes.bring(batch)
        return DeviceBatch(
            step=step,
            index=index,
            images=self.normalise(brought.images),
            target=brought.masks.long(),
            views=brought.views,
        )

    def _divisors(self, active: Sequence[ActiveTerm], batches: Sequence[DeviceBatch]) -> dict[str, Tensor]:
        """What each term's sum is divided by: its count over the global batch, known before the first forward."""
        divisors = {}
        for term in active:
            loss = self.terms[term.name]
            if loss.loss.per == "batch":
                count = torch.ones((), dtype=torch.float64, device=self.processes.device) * len(batches)
            else:
                counts = [loss.module.count(loss.counted(batch.target)) for batch in batches]
                count = torch.stack([one.double() for one in counts]).sum()
            divisors[term.name] = count
        self.processes.sum_(list(divisors.values()))
        return {name: torch.where(count > 0, count, 1) for name, count in divisors.items()}

    def _backward(self, batch: DeviceBatch, group: Sequence[ActiveTerm], sums: Sums, look: Insight | None) -> None:
        """Run one micro-batch through the group's networks and add to their gradients."""
        terms = {term.name: term for term in group}
        learners = {name: self._learn(name, batch) for name in {term.learner: None for term in group}}
        self._measure(batch, learners, sums)
        calls = {name: self._call(name, batch) for name in terms}
        heard = {name: self._heard(self.terms[name], batch, learners, calls[name]) for name in terms}
        scaled = []
        for learner, prediction in learners.items():
            names = [name for name, term in terms.items() if term.learner == learner]
            weighted: dict[str, Tensor] = {}
            for unit in self.fusing.units(names, plain=look is not None):
                weighted[unit.terms[0]] = self._objective(unit, terms, prediction, heard, calls, sums)
            if look is not None:
                look.look(weighted, {name: self.terms[name].learner_taps for name in names}, prediction)
            total = torch.stack(list(weighted.values())).sum()
            if total.requires_grad:
                scaled.append(self.learners[learner].scaler.scale(total))
        if scaled:
            torch.autograd.backward(scaled)
        for name, term in terms.items():
            if name in self.critics:
                mine = _detached(self.terms[name].mine(learners[term.learner]))
                self._teach_critic(name, mine, heard[name], calls[name], sums)

    def _measure(self, batch: DeviceBatch, learning: Mapping[str, Prediction], sums: Sums) -> None:
        """Let the gate measure a micro-batch, once, before anybody steps."""
        if batch.index not in sums.measured:
            seen = {name: learning.get(name) or self._source(name, batch, {}) for name in self.turns.reads}
            sums.measured[batch.index] = self.turns.measure(seen, batch.target)

    def _objective(
        self,
        unit: Unit,
        terms: Mapping[str, ActiveTerm],
        prediction: Prediction,
        heard: Mapping[str, Heard],
        calls: Mapping[str, LossCall],
        sums: Sums,
    ) -> Tensor:
        """Give what a unit adds to its learner's objective, and add up the values of its terms."""
        first = self.terms[unit.terms[0]]
        mine, call = first.mine(prediction), calls[first.name]
        source, target = heard[first.name].prediction, heard[first.name].target
        if unit.fused is None:
            value = first.module(mine, source, target, call)
            value = value / sums.divisors[first.name].to(value.dtype)
            sums.values[first.name] += value.detach()
            return torch.as_tensor(terms[first.name].weight * value)
        scales = torch.stack([terms[name].weight / sums.divisors[name] for name in unit.terms])
        objective, values = unit.fused(mine, source, target, call, scales)
        for name, value in zip(unit.terms, values, strict=True):
            sums.values[name] += value / sums.divisors[name]
        return objective

    def _teach_critic(self, name: str, learner: Prediction, heard: Heard, call: LossCall, sums: Sums) -> None:
        """Add to the gradient of a term's critic."""
        critic, module = self.critics[name], self.terms[name].module
        critic.module.requires_grad_(requires_grad=True)
        value = module.critic_loss(learner, heard.prediction, heard.target, call)
        value = value / sums.divisors[name].to(value.dtype)
        if value.requires_grad:
            torch.autograd.backward([critic.scaler.scale(value)])
        critic.module.requires_grad_(requires_grad=False)
        sums.critics[name] += value.detach()

    def _learn(self, name: str, batch: DeviceBatch) -> Prediction:
        participant = self.participants[name]
        participant.set_training(True)
        return self._forward(participant, batch)

    def _heard(self, term: Term, batch: DeviceBatch, learning: Mapping[str, Prediction], call: LossCall) -> Heard:
        """Give what a term's learner is compared with: its source's prediction, or one made of those of several."""
        sources = [self._source(head.participant, batch, learning).of(head.name) for head in term.sources]
        if term.known is not None:
            sources = [term.known.prediction(source) for source in sources]
        opinions = sources or [learning[term.learner.participant].of(term.learner.name)]
        target = term.heard_at(batch.target, opinions)
        if term.combine is None:
            return Heard(prediction=sources[0] if sources else None, target=target)
        with torch.no_grad():
            logits = term.combine([full_precision(source.logits) for source in sources], target, call)
        return Heard(prediction=Prediction(logits=logits), target=target)

    def _source(self, name: str, batch: DeviceBatch, learning: Mapping[str, Prediction]) -> Prediction:
        """Give a source's prediction, detached: a learner's of this very step, or one by these weights, once."""
        if name in learning:
            return _detached(learning[name])
        participant = self.participants[name]
        version, prediction = self._sources.get((name, batch.index), (None, None))
        if prediction is None or version != participant.version:
            with torch.no_grad(), participant.as_source():
                prediction = _detached(self._forward(participant, batch))
            self._sources[name, batch.index] = participant.version, prediction
        return prediction

    def _forward(self, participant: Participant, batch: DeviceBatch) -> Prediction:
        if participant.module.training:  # dropout draws from torch's global generator: one stream a participant
            seed = stream(self.seed, "forward", participant.name, batch.step, batch.index, self.processes.rank)
            _seed_dropout(seed, batch.images.device)
        view = batch.views.get(participant.name)
        with self.processes.autocast():
            return participant.predict_in_training(batch.images if view is None else self.normalise(view))

    def _call(self, term: str, batch: DeviceBatch) -> LossCall:
        generator = torch.Generator(device=batch.images.device)
        generator.manual_seed(stream(self.seed, "loss", term, batch.step, batch.index, self.processes.rank))
        progress = batch.step / self.plan.total_steps
        return LossCall(progress=progress, images=batch.images, generator=generator, gather=self.processes.gather)

    def _finish(self, learner: LearnerState, terms: Sequence[Term]) -> None:
        """Reduce a learner's gradients and statistics over processes, and let it, then its shadows, step."""
        reshard(learner.participant.module)
        self.processes.sum_gradients(learner.parameters)
        learner.step(partial(self.on_gradients, learner.participant.name))
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
