"""A gate that waits until a value no longer falls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import asdict, define

from kdseg.gates import TurnGate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdseg_gates.components import Plateau


@define
class _Seen:
    """What it remembers."""

    turn: int = 0
    average: float | None = None
    least: float | None = None
    waited: int = 0


class PlateauGate(TurnGate):
    """Goes from turn to turn, each time that a term's value has stopped to fall."""

    def __init__(self, options: Plateau, turns: Sequence[str]) -> None:
        self.terms: Sequence[str] = (options.term,)
        self._options, self._turns = options, turns
        self._keep = 1 - 1 / max(options.memory, 1)
        self._seen = _Seen()

    def turn(self) -> str:
        """Give the turn."""
        return self._turns[self._seen.turn]

    def update(self, sums: Sequence[float], values: Mapping[str, float]) -> None:  # noqa: ARG002 (it measures nothing)
        """Take in the term's value at a step, where it counted."""
        if self._options.term not in values:
            return
        seen, value = self._seen, values[self._options.term]
        seen.average = value if seen.average is None else self._keep * seen.average + (1 - self._keep) * value
        if seen.least is None or seen.average < seen.least - self._options.least_gain * abs(seen.least):
            seen.least, seen.waited = seen.average, 0
        else:
            seen.waited += 1
        if seen.waited >= self._options.patience and seen.turn + 1 < len(self._turns):
            self._seen = _Seen(turn=seen.turn + 1)  # the next turn begins anew: its value may be another

    def numbers(self) -> Mapping[str, float]:
        """Give the average that it watches, and for how long it has not fallen."""
        seen = self._seen
        return {} if seen.average is None else {"average": seen.average, "waited": float(seen.waited)}

    def state_dict(self) -> dict[str, Any]:
        """Give what it remembers."""
        return asdict(self._seen)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore it."""
        self._seen = _Seen(**state)
