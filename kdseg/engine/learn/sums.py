"""What a step takes, adds up and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from kdseg.engine.learn.critics import CriticState
    from kdseg.engine.learn.plan import ActiveTerm
    from kdseg.losses import Prediction


@frozen(kw_only=True, eq=False)
class DeviceBatch:
    """One micro-batch as the networks and losses take it."""

    step: int
    """Of the run, from 0."""
    index: int
    """Among the micro-batches of this process in the step."""
    images: Tensor
    """N×3×H×W, normalised."""
    target: Tensor
    """N×H×W, int64."""
    views: Mapping[str, Tensor]
    """The images as some participants see them, by their names: N×H×W×3, uint8."""


@frozen(kw_only=True, eq=False)
class Heard:
    """What a term's learner is compared with on a micro-batch."""

    prediction: Prediction | None
    """The source's, detached; None without one."""
    target: Tensor
    """N×H×W: the labels; where the term counts on all pixels, a class everywhere."""


@frozen(kw_only=True)
class StepReport:
    """What a step did: tensors, so that no step waits for the device."""

    turn: str | None
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
    gate: Mapping[str, float]
    """What the turns' gate saw."""


@frozen(eq=False)
class Sums:
    """What a step adds up over its micro-batches."""

    divisors: Mapping[str, Tensor]
    """What each term's sum is divided by."""
    values: dict[str, Tensor]
    critics: dict[str, Tensor]
    measured: dict[int, Tensor | None]
    """What the turns' gate measured of each micro-batch."""

    @classmethod
    def of(
        cls,
        active: Sequence[ActiveTerm],
        divisors: Mapping[str, Tensor],
        critics: Mapping[str, CriticState],
        device: torch.device,
    ) -> Sums:
        """Begin with nothing."""
        names = [term.name for term in active]
        values, opposed = (
            {name: torch.zeros((), device=device) for name in those} for those in (names, critics.keys() & names)
        )
        return cls(divisors=divisors, values=values, critics=opposed, measured={})
