"""What the working object of an ensemble is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from kdseg.losses import LossCall


class Combination(Protocol):
    """Makes one prediction of several. It keeps nothing from one call to the next."""

    def __call__(self, sources: Sequence[Tensor], target: Tensor, call: LossCall) -> Tensor:
        """Give the logits N×C×H×W that stand for all sources.

        Args:
            sources: logits N×C×H×W of each, in the recipe's order, in float32 or float64, without gradient.
            target: N×H×W class indices, `kdseg.IGNORE_INDEX` where ignored. What is given at ignored pixels reaches no
                loss.
            call: what else may be read: the run's progress, say.
        """
        ...
