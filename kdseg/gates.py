"""What the working object of a gate is: what chooses the turn of the next step by what this one showed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from kdseg.losses import Prediction


class TurnGate:
    """A gate at work.

    After every step it is told what that step showed, summed over all micro-batches and processes, so that it says the
    same in each of them. What it remembers it gives as `state_dict`: it goes into the run's checkpoints.
    """

    participants: Sequence[str] = ()
    """Whose predictions `measure` is given; they run at every step, as sources where they do not learn."""
    terms: Sequence[str] = ()
    """Whose values `update` is given, at the steps at which they count."""

    def turn(self) -> str:
        """Give the turn of the step to come: a name of `turns.order`."""
        raise NotImplementedError

    def measure(self, predictions: Mapping[str, Prediction], target: Tensor) -> Tensor | None:  # noqa: ARG002 (a default)
        """Measure one micro-batch, without gradient, before anybody steps.

        Args:
            predictions: of each of `participants`; learners in train mode, as they learn from it.
            target: N×H×W class indices, `kdseg.IGNORE_INDEX` where ignored.

        Returns:
            Sums and counts, of one dimension: they are added up over all that share the step. None for nothing.
        """
        return None

    def update(self, sums: Sequence[float], values: Mapping[str, float]) -> None:
        """Take in a step.

        Args:
            sums: what `measure` gave, added up; empty where it gives nothing.
            values: of those of `terms` that counted, over the global batch and without weight.
        """
        raise NotImplementedError

    def numbers(self) -> Mapping[str, float]:
        """Give what is worth writing to the run's metrics after a step, by name."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Give what a resumed run must restore: plain values that JSON can hold."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
