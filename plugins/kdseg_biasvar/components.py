"""The diagnostics as recipes and the command line see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from kdseg.components import Diagnostic
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from kdseg.components import DiagnosticContext
    from kdseg.diagnostics import Accumulator


@frozen(kw_only=True)
class BiasVariance(Diagnostic):
    """Splits the error of repeated trainings into bias and variance: the negative log-likelihood and the Brier score.

    Variance is what differs from trial to trial; bias is what all trials share, the noise of the labels with it.
    """

    name: ClassVar[str] = "biasvar"

    def build(self, ctx: DiagnosticContext) -> Accumulator:
        """Make the accumulator.

        Raises:
            KdsegError: fewer than two trials.
        """
        if ctx.trials < 2:  # noqa: PLR2004 (the least that can differ)
            raise KdsegError(
                f"{self.name}: variance shows between 2 trials or more, trainings that differ in their seed or their "
                f"training images; found {ctx.trials}"
            )
        from kdseg_biasvar.decomposition import Decomposition

        return Decomposition(ctx.classes.names, ctx.trials)
