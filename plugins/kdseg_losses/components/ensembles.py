"""How several sources become one, as recipes see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from kdseg.components import Ensemble

if TYPE_CHECKING:
    from kdseg.components import EnsembleContext
    from kdseg.ensembles import Combination


@frozen(kw_only=True)
class Probabilities(Ensemble):
    """The mean of the sources' probabilities at each pixel, their arithmetic mean."""

    name: ClassVar[str] = "probabilities"

    def build(self, ctx: EnsembleContext) -> Combination:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.ensembles import mean_probabilities

        return mean_probabilities


@frozen(kw_only=True)
class Logits(Ensemble):
    """The mean of the sources' logits at each pixel: the geometric mean of their probabilities."""

    name: ClassVar[str] = "logits"

    def build(self, ctx: EnsembleContext) -> Combination:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.ensembles import mean_logits

        return mean_logits


@frozen(kw_only=True)
class LeastLoss(Ensemble):
    """At each pixel the source whose cross-entropy with the label is least: KDCL-Naive (Guo et al., CVPR 2020)."""

    name: ClassVar[str] = "least_loss"

    def build(self, ctx: EnsembleContext) -> Combination:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.ensembles import least_loss

        return least_loss


@frozen(kw_only=True)
class MinLogit(Ensemble):
    """The least of the sources' logits, each less that of the label: KDCL-MinLogit (Guo et al., CVPR 2020)."""

    name: ClassVar[str] = "min_logit"

    def build(self, ctx: EnsembleContext) -> Combination:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.ensembles import min_logit

        return min_logit


@frozen(kw_only=True)
class Certainty(Ensemble):
    """The sources' probabilities, at each pixel weighted by exp(-entropy): who is in doubt there says less."""

    name: ClassVar[str] = "certainty"

    def build(self, ctx: EnsembleContext) -> Combination:  # noqa: ARG002 (it needs no context)
        """Make it."""
        from kdseg_losses.ensembles import by_certainty

        return by_certainty


ENSEMBLES = (Probabilities, Logits, LeastLoss, MinLogit, Certainty)
