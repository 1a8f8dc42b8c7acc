"""What learners learn by."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from attrs import frozen

from kdseg.components.base import Component

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kdseg.components.images import ClassShares
    from kdseg.ensembles import Combination
    from kdseg.gates import TurnGate
    from kdseg.losses import LossModule


@frozen(kw_only=True)
class LossContext:
    """What a loss is built for."""

    num_classes: int
    class_shares: Callable[[], ClassShares]
    """Counts the training labels, when first called."""
    learner_taps: Mapping[str, tuple[int, int, int]]
    """Channels, height and width of the learner's taps that `Loss.taps` asked for, at the size at which it sees
    training images."""
    source_taps: Mapping[str, tuple[int, int, int]]
    """Likewise of the source's; empty without one."""


class Loss(Component):
    """What a term computes from its learner's prediction, its source's prediction and the labels.

    `build` gives a `kdseg.losses.LossModule`.
    """

    role: ClassVar[Literal["supervised", "distillation", "regulariser"]]
    """supervised: needs labels. distillation: needs a source. regulariser: needs neither."""
    per: ClassVar[Literal["pixel", "image", "batch"]] = "pixel"
    """What it is a mean over: per pixel or image it returns a sum, and a count from the target alone; per batch a mean.
    """
    counts_by_label: ClassVar[bool] = False
    """Whether its count follows from the labels' classes, not only from which pixels are labelled. Then it cannot be a
    term with ``on = "all"``, whose count is needed before anybody has said what the other pixels show."""
    exempt: ClassVar[Mapping[str, str]] = {}
    """Contracts of `kdseg.losses` that it cannot meet by nature, each with the reason."""

    def build(self, ctx: LossContext) -> LossModule:
        """Make the working loss."""
        raise NotImplementedError

    def taps(
        self,
        learner: Sequence[str],  # noqa: ARG002 (a default for losses on logits)
        source: Sequence[str],  # noqa: ARG002
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Say which taps it reads, of the learner and of the source, given the stage names that each offers."""
        return (), ()


@frozen(kw_only=True)
class EnsembleContext:
    """What an ensemble is built for."""

    num_classes: int
    sources: int
    """How many predictions it makes one of."""


class Ensemble(Component):
    """How several sources of a term become one. `build` gives a `kdseg.ensembles.Combination`."""

    def build(self, ctx: EnsembleContext) -> Combination:
        """Make the working combination."""
        raise NotImplementedError


@frozen(kw_only=True)
class GateContext:
    """What a gate is built for."""

    order: tuple[str, ...]
    """`turns.order` as it is written: a turn may come again."""
    participants: tuple[str, ...]
    """The names of all."""
    terms: tuple[str, ...]
    """The names of all."""

    @property
    def turns(self) -> tuple[str, ...]:
        """Those that it may choose, in that order, each once."""
        return tuple(dict.fromkeys(self.order))


class Gate(Component):
    """What chooses the turn of each step by what the step before showed. `build` gives a `kdseg.gates.TurnGate`."""

    def build(self, ctx: GateContext) -> TurnGate:
        """Make the working gate.

        Raises:
            KdsegError: its options name what is not there.
        """
        raise NotImplementedError
