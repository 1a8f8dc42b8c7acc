"""Several runs held against the first: as data, for a page, a terminal and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from kdseg.engine.report.alike import notes_on, same_images
from kdseg.engine.report.facts import participants_of, state_of
from kdseg.engine.report.groups import Group, comparable, group_runs
from kdseg.engine.report.metrics import finite
from kdseg.engine.report.recipe_text import differing
from kdseg.estimates import CONFIDENCE, Difference, Estimate, difference, estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdseg.engine.report.reading import ReadRun


@frozen(kw_only=True)
class Held:
    """A score of a participant in one group, held against the first group's."""

    scores: Mapping[int, float]
    """By seed."""
    estimate: Estimate
    difference: Difference | None
    """None of the first group, and where nothing can be compared."""
    sure: str
    """How sure the difference is, in words; empty of the first group."""


@frozen(kw_only=True)
class Compared:
    """A score of a participant in all groups."""

    participant: str
    metric: str
    which: str
    """Whether the best or the last evaluation counts."""
    held: tuple[Held | None, ...]
    """By group; None where a group has no such score."""


@frozen(kw_only=True)
class Comparison:
    """Several runs held against the first."""

    groups: tuple[Group, ...]
    metric: str
    scores: tuple[Compared, ...]
    classes: Mapping[str, Mapping[str, tuple[Held | None, ...]]]
    """By participant and class: the IoU of the last evaluation."""
    recipes: tuple[tuple[str, list[str | None]], ...]
    """Keys in which the groups' recipes differ, with each group's value."""
    notes: tuple[str, ...]
    """What keeps scores from being comparable."""

    def data(self) -> dict[str, Any]:
        """Give all of it as plain data."""
        return {
            "metric": self.metric,
            "confidence": CONFIDENCE,
            "baseline": self.groups[0].label,
            "groups": [
                {
                    "label": group.label,
                    "runs": [
                        {
                            "folder": str(run.folder),
                            "name": run.name,
                            "seed": run.seed,
                            "state": state_of(run)[0],
                            "counted": run in group.counted,
                            "steps": run.metrics.last_step,
                            "seconds": finite(run.summary.get("seconds")),
                        }
                        for run in group.runs
                    ],
                }
                for group in self.groups
            ],
            "scores": [
                {
                    "participant": one.participant,
                    "metric": one.metric,
                    "which": one.which,
                    "groups": [_plain(held) for held in one.held],
                }
                for one in self.scores
            ],
            "classes": {
                name: {label: [_plain(held) for held in found] for label, found in table.items()}
                for name, table in self.classes.items()
            },
            "recipes": dict(self.recipes),
            "notes": [*self.notes],
        }


def _plain(held: Held | None) -> dict[str, Any] | None:
    if held is None:
        return None
    return {
        "scores": {str(seed): value for seed, value in held.scores.items()},
        "estimate": asdict(held.estimate),
        "difference": None if held.difference is None else asdict(held.difference),
        "sure": held.sure,
    }


def compare(runs: Sequence[ReadRun]) -> Comparison:
    """Hold runs against the first, those of one recipe together."""
    groups = group_runs(runs)
    metric = runs[0].metric
    taught = {one.name for run in runs for one in participants_of(run) if one.heard}
    every = dict.fromkeys(name for run in runs for name in run.participants)
    names = sorted(every, key=lambda name: name not in taught)  # who learned from others first: it is asked for
    recipes = tuple(differing([comparable(group.runs[0]) for group in groups]))
    alike = [same_images(recipes, number) for number in range(len(groups))]
    return Comparison(
        groups=groups,
        metric=metric,
        scores=tuple(_scores(groups, names, metric, alike)),
        classes={name: table for name in names if (table := _classes(groups, name, alike))},
        recipes=recipes,
        notes=notes_on(groups, recipes),
    )


def _scores(groups: Sequence[Group], names: Sequence[str], metric: str, alike: Sequence[bool]) -> list[Compared]:
    """Give the best of the score that judges, then the last of every score."""
    found = []
    for name in names:
        best = [
            {
                run.seed: known[metric].value
                for run in group.counted
                if metric in (known := run.metrics.best.get(name, {}))
            }
            for group in groups
        ]
        found.append(Compared(participant=name, metric=metric, which="best", held=hold(best, alike)))
        told = (run.metrics.scores.get(name, {}) for group in groups for run in group.counted)
        for key in dict.fromkeys([metric, *(key for scores in told for key in scores)]):
            last = [
                {run.seed: score[key] for run in group.counted if key in (score := run.metrics.scores.get(name, {}))}
                for group in groups
            ]
            found.append(Compared(participant=name, metric=key, which="last", held=hold(last, alike)))
    return [one for one in found if any(held is not None for held in one.held)]


def _classes(groups: Sequence[Group], name: str, alike: Sequence[bool]) -> dict[str, tuple[Held | None, ...]]:
    tables = [{run.seed: run.metrics.classes.get(name, {}).get("iou", {}) for run in group.counted} for group in groups]
    labels = dict.fromkeys(label for group in tables for table in group.values() for label in table)
    found = {}
    for label in labels:
        by_group = [
            {seed: value for seed, table in group.items() if (value := table.get(label)) is not None}
            for group in tables
        ]
        found[label] = hold(by_group, alike)
    return found


def hold(scores: Sequence[Mapping[int, float]], alike: Sequence[bool]) -> tuple[Held | None, ...]:
    """Hold the scores of groups, each by seed, against those of the first.

    Args:
        scores: of each group.
        alike: whether a group's runs saw the same images in the same order as the first's of the same seed.
    """
    return tuple(
        _held(found, scores[0] if number else None, alike=alike[number]) if found else None
        for number, found in enumerate(scores)
    )


def _held(ours: Mapping[int, float], theirs: Mapping[int, float] | None, *, alike: bool) -> Held:
    against = None if not theirs else difference(ours, theirs) or _plain_difference(ours, theirs)
    return Held(
        scores=ours,
        estimate=estimate([*ours.values()]),
        difference=against,
        sure="" if theirs is None else _sure(ours, theirs, against, alike=alike),
    )


def _sure(ours: Mapping[int, float], theirs: Mapping[int, float], found: Difference | None, *, alike: bool) -> str:
    if found is None:
        return "nothing to compare with"
    pairs = f"{found.n} seeds, paired" if alike else f"{found.n} seeds, one by one; their images differ"
    told = pairs if found.paired else "unpaired: the seeds differ"
    if found.low is not None:
        return told
    if found.n > 1:
        return f"{told}; no spread, so no interval"
    if len(ours) == len(theirs) == 1:
        return "one run each: no interval"
    return "one pair of runs: no interval" if found.paired else "one run of one of them: no interval"


def _plain_difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Difference:
    """Give the difference of two means of which one has a single run, and no seed is shared: no interval is known."""
    mean = estimate([*ours.values()]).mean - estimate([*theirs.values()]).mean
    return Difference(mean=mean, sd=None, low=None, high=None, n=1, paired=False, detectable=None)
