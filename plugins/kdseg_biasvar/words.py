"""What the numbers say, in sentences that claim no more than the intervals show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdseg import DiagnosticContext
    from kdseg_biasvar.components import BiasVariance
    from kdseg_biasvar.design import Design

    Row = Mapping[str, float]
    Tables = Mapping[str, Mapping[str, Row]]

MEASURES = {
    "nll": "negative log-likelihood, nats a pixel",
    "brier": "Brier score",
    "error": "share of wrong pixels",
}


@frozen
class Reading:
    """What two intervals of a difference show."""

    row: Row

    @property
    def judged(self) -> bool:
        """Whether both intervals are there."""
        return not any(math.isnan(value) for value in self.row.values())

    @property
    def shown(self) -> bool:
        """Whether both intervals lie on one side of 0."""
        return self.judged and not self.holds_zero("images") and not self.holds_zero("trials")

    def holds_zero(self, over: str) -> bool:
        """Tell whether one of the intervals holds 0."""
        return self.row[f"{over}_low"] <= 0 <= self.row[f"{over}_high"]

    def sentence(self, what: str) -> str:
        """Say whether `what` rose or fell."""
        value = self.row["value"]
        if math.isnan(value):
            return f"Nothing was counted of the {what}."
        spans = " and ".join(f"{self._span(over)} over {over}" for over in ("images", "trials") if self._there(over))
        if not self.judged:
            missing = " and over ".join(over for over in ("images", "trials") if not self._there(over))
            known = f" ({spans})" if spans else ""
            return f"The {what} differs by {value:+.4g}{known}; nothing is claimed without an interval over {missing}."
        if self.shown:
            verb = "rose" if value > 0 else "fell"
            return f"The {what} {verb} by {abs(value):.4g}: {spans}, and both exclude 0."
        holding = [over for over in ("images", "trials") if self.holds_zero(over)]
        which = "both intervals hold 0" if len(holding) > 1 else f"the interval over {holding[0]} holds 0"
        return f"The {what} differs by {value:+.4g}, which cannot be told from 0: {spans}; {which}."

    def _there(self, over: str) -> bool:
        return not math.isnan(self.row[f"{over}_low"])

    def _span(self, over: str) -> str:
        return f"{self.row[f'{over}_low']:+.4g} to {self.row[f'{over}_high']:+.4g}"


def notes_of(ctx: DiagnosticContext, options: BiasVariance, designs: Sequence[Design], tables: Tables) -> list[str]:
    """Say which trials were seen, what their intervals are over, and what differs between the arms."""
    notes = [_about(design) for design in designs]
    if ctx.reference is not None:
        notes.append(
            f"The reference is {ctx.reference}: reference_noise is the entropy of its probabilities, and "
            "reference_nll_bias how far the trials' centre lies from them."
        )
    notes += _about_intervals(options, designs)
    if len(designs) > 1:
        first, second = designs
        notes.append(f"Differences are {second.name} minus {first.name}, {_pairs(first, second)}.")
        notes += [
            Reading(tables["difference"][f"{measure}{part}"]).sentence(f"{word} ({unit}, {measure}{part})")
            for measure, unit in MEASURES.items()
            for part, word in (("", "error"), ("_bias", "bias"), ("_variance", "variance"))
        ]
        notes += [_classes(tables, name, word) for name, word in (("nll_bias", "bias"), ("nll_variance", "variance"))]
    return notes


def _about(design: Design) -> str:
    if design.one_set:
        kept = f"{design.trials} trials on one training set: their variance is that of the seed alone"
    elif design.seeds > 1:
        kept = (
            f"{design.samples} training sets with {design.seeds} trainings on each: variance_data is that of the sets, "
            "variance_seed that of the trainings on one"
        )
    else:
        kept = f"{design.samples} trials"
    return f"{design.name}: {kept}. {design.description.rstrip('.')}."


def _about_intervals(options: BiasVariance, designs: Sequence[Design]) -> list[str]:
    drawn = "images" if options.neighbours == 1 else f"blocks of {options.neighbours} consecutive images"
    meaning = (
        f"Intervals are of 95 %. Those over images draw {drawn}: what these trained networks would show on others. "
        "Those over trials leave out one training set at a time: what other trainings would show on these images. "
        "Bias and variance of the share of wrong pixels have none of the latter: the vote of few trials strays too far "
        "from that of many."
    )
    few = [design.name for design in designs if not design.left_out]
    if few:
        return [meaning, f"{' and '.join(few)}: an interval over trials needs 3 training sets, or 3 trials on one."]
    return [meaning]


def _pairs(first: Design, second: Design) -> str:
    if first.numbers != second.numbers:
        return "of arms that learned from different training sets: nothing is paired"
    return "trial by trial" if first.one_set else "training set by training set: both learned from the same"


def _classes(tables: Tables, name: str, word: str) -> str:
    rows = {label: Reading(row) for label, row in tables[f"difference_{name}"].items()}
    judged = {label: reading for label, reading in rows.items() if reading.judged}
    if not judged:
        return f"By class, nothing is claimed of the {word} ({name}): there are no intervals."
    fell = [label for label, reading in judged.items() if reading.shown and reading.row["value"] < 0]
    rose = [label for label, reading in judged.items() if reading.shown and reading.row["value"] > 0]
    parts = [f"{verb} for {', '.join(found)}" for verb, found in (("fell", fell), ("rose", rose)) if found]
    if not parts:
        return f"By class, the {word} ({name}) cannot be told from 0 for any of {len(judged)}."
    return (
        f"By class, with intervals that both exclude 0, the {word} ({name}) {' and '.join(parts)}, of {len(judged)}; "
        "each interval alone misses 1 time in 20."
    )
