"""What a run says of its participants, in numbers and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from kdseg.engine.report.words import listed, score, score_name
from kdseg.recipe.heads import Head

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdseg.engine.report.metrics import Best
    from kdseg.engine.report.reading import ReadRun

LISTED = 8
"""Turns of an order that are told one by one."""


@frozen(kw_only=True)
class Participant:
    """A participant of a run."""

    name: str
    colour: int
    nature: str
    """Whether it learns, is frozen, or is an average."""
    heard: tuple[str, ...]
    """The participants from which it learned."""
    labelled: bool
    """Whether it learned from labels."""
    backbone: str
    parameters: int | None
    steps: int | None
    best: Best | None
    """By the score that judges; None where it was not evaluated."""
    last: float | None

    @property
    def from_whom(self) -> str:
        """Say from what it learned; empty of one that does not."""
        if self.nature != "learns":
            return ""
        heard = [
            *(["the labels"] if self.labelled else []),
            *("itself" if name == self.name else name for name in self.heard),
        ]
        return listed(heard) if heard else "nothing that is named"


def participants_of(run: ReadRun) -> tuple[Participant, ...]:
    """Give a run's participants in the recipe's order."""
    return tuple(_participant(run, name, number) for number, name in enumerate(run.participants))


def _participant(run: ReadRun, name: str, number: int) -> Participant:
    told, spec = run.participants[name], run.models.get(name, {})
    terms = [term for term in run.terms.values() if is_taught(name, term)]
    sources = [Head.of(source).participant for term in terms for source in _names(term.get("source"))]
    best, last = run.metrics.best.get(name, {}), run.metrics.scores.get(name, {})
    if "shadow_of" in spec:
        nature = f"moving average of {spec['shadow_of']}"
    else:
        nature = "frozen" if spec.get("frozen") is True else "learns"
    steps = told.get("steps")
    return Participant(
        name=name,
        colour=number,
        nature=nature,
        heard=tuple(dict.fromkeys(sources)),
        labelled=any(not _names(term.get("source")) for term in terms),
        backbone=str(told.get("backbone") or _used(spec.get("backbone")) or ""),
        parameters=told["parameters"] if isinstance(told.get("parameters"), int) else None,
        steps=steps if isinstance(steps, int) else None,
        best=best.get(run.metric),
        last=last.get(run.metric),
    )


def is_taught(name: str, term: Mapping[str, Any]) -> bool:
    """Tell whether a term teaches a participant, at whichever of its heads."""
    return Head.of(str(term.get("learner", ""))).participant == name


def _names(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(name) for name in value] if isinstance(value, list) else []


def _used(value: Any) -> str | None:
    return value if isinstance(value, str) else value.get("use") if isinstance(value, dict) else None


def verdicts(participants: tuple[Participant, ...], metric: str) -> list[tuple[Participant, str]]:
    """Say what came of each learner, those that learned from others first."""
    by_name = {participant.name: participant for participant in participants}
    learners = [participant for participant in participants if participant.nature == "learns"]
    told = []
    for learner in sorted(learners, key=lambda learner: not learner.heard):
        if learner.best is None:
            continue
        against = [
            f"{_beside(learner.best.value, source.best.value)} {name} ({score(source.best.value)})"
            for name in learner.heard
            if name != learner.name and (source := by_name.get(name)) is not None and source.best is not None
        ]
        told.append(
            (learner, ", ".join([f"{learner.name} {score(learner.best.value)} {score_name(metric)}", *against]))
        )
    return told


def _beside(value: float, other: float) -> str:
    difference = round(value - other, 4)
    return "level with" if difference == 0 else f"{abs(difference):.4f} {'above' if difference > 0 else 'below'}"


def lessons(participants: tuple[Participant, ...], turns: str = "") -> str:
    """Say in a sentence who learned what from whom, and in which turns."""
    learners = sorted((one for one in participants if one.nature == "learns"), key=lambda one: not one.heard)
    learned = [f"{one.name} learned from {one.from_whom}" for one in learners]
    others = [
        f"{one.name} {'was frozen' if one.nature == 'frozen' else f'is the {one.nature}'}"
        for one in participants
        if one.nature != "learns"
    ]
    return "; ".join([*learned, *others, *([turns] if turns else [])])


def turns_told(run: ReadRun) -> str:
    """Say in which turns a run's learners learned; nothing where there is but one, or a gate chooses."""
    table = run.table("turns")
    order = _names(table.get("order"))
    if "gate" in table or not 1 < len(order) <= LISTED:
        return ""
    return f"in turns by {table.get('unit', 'step')}: {', '.join(order)}"


def state_of(run: ReadRun) -> tuple[str, str]:
    """Say how far the run came: a word for the style, and the sentence."""
    steps = run.metrics.last_step
    if run.finished:
        stopped = run.summary.get("stopped")
        return ("stopped", f"stopped early: {stopped}") if stopped else ("finished", "finished")
    if run.error is not None:
        return "failed", f"ended by an error after step {steps}"
    return "unfinished", f"not finished: {steps} steps so far" if steps else "not finished: no step so far"
