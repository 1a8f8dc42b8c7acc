"""What trained networks are judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from kdseg.components.base import Component

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kdseg.data.samples import ClassTable
    from kdseg.diagnostics import Accumulator, Arm, Example, Trainings
    from kdseg.metrics.measure import Measure


@frozen(kw_only=True)
class DiagnosticContext:
    """What a diagnostic is built for."""

    classes: ClassTable
    trials: int
    """How many predictions of the same image it is given: the reference's, if there is one, then those of each arm."""
    arms: tuple[Arm, ...] = ()
    """One; two, of as many trials each, where trials are held against others."""
    reference: str | None = None
    """What a person calls the network whose probabilities are a target beside the labels; None without one."""
    images: int = 0
    """How many images there are, over all processes."""
    examples: Callable[[], Iterable[Example]] = tuple
    """Shows a few of the images once more, one after another, for pictures: to be called in `Accumulator.compute`. Of
    several processes, those that write nothing are shown none."""


class Diagnostic(Component):
    """A measure of one or more trials' predictions on the same images."""

    compares: ClassVar[bool] = False
    """Whether it can hold the trials of one arm against those of another."""
    refers: ClassVar[bool] = False
    """Whether it can take the probabilities of a further network as a target."""

    def trainings(self) -> Trainings | None:
        """Say which trainings it wants to see where it is given a recipe; None: it looks at finished runs alone."""
        return None

    def build(self, ctx: DiagnosticContext) -> Accumulator:
        """Make an accumulator whose memory grows with neither images nor trials."""
        raise NotImplementedError


@frozen(kw_only=True)
class MetricContext:
    """What a metric is built for."""

    classes: ClassTable


class Metric(Component):
    """Scores of predicted classes on a whole split, as a benchmark publishes them.

    `build` gives a `kdseg.metrics.measure.Measure`.
    """

    scores: ClassVar[tuple[str, ...]]
    """The numbers that it gives, by name: a recipe may judge by each, so greater is better."""
    extras: ClassVar[tuple[str, ...]] = ()
    """What it reads of `Sample.extras`."""

    def build(self, ctx: MetricContext) -> Measure:
        """Make an accumulator whose memory does not grow with the images."""
        raise NotImplementedError
