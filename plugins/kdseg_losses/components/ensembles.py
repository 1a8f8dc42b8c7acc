"""How several sources become one, as recipes see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from kdseg.components import Ensemble

if TYPE_CHECKING:
    from kdseg.components import EnsembleContext
    from kdseg.ensembles import Combination


class _AtEachPixel(Ensemble):
    """What all of them share: each is a function that needs no options."""

    combination: ClassVar[str]
    """Its name in `kdseg_losses.ensembles`."""

    def build(self, ctx: EnsembleContext) -> Combination:  # noqa: ARG002 (it needs no context)
        """Give it."""
        from kdseg_losses import ensembles

        combination: Combination = getattr(ensembles, self.combination)
        return combination


@frozen(kw_only=True)
class Probabilities(_AtEachPixel):
    """The mean of the sources' probabilities at each pixel, their arithmetic mean."""

    name: ClassVar[str] = "probabilities"
    combination: ClassVar[str] = "mean_probabilities"


@frozen(kw_only=True)
class Logits(_AtEachPixel):
    """The mean of the sources' logits at each pixel: the geometric mean of their probabilities."""

    name: ClassVar[str] = "logits"
    combination: ClassVar[str] = "mean_logits"


@frozen(kw_only=True)
class LeastLoss(_AtEachPixel):
    """At each pixel the source whose cross-entropy with the label is least: KDCL-Naive (Guo et al., CVPR 2020)."""

    name: ClassVar[str] = "least_loss"
    combination: ClassVar[str] = "least_loss"


@frozen(kw_only=True)
class MinLogit(_AtEachPixel):
    """The least of the sources' logits, each less that of the label: KDCL-MinLogit (Guo et al., CVPR 2020)."""

    name: ClassVar[str] = "min_logit"
    combination: ClassVar[str] = "min_logit"


@frozen(kw_only=True)
class Certainty(_AtEachPixel):
    """The sources' probabilities, at each pixel weighted by exp(-entropy): who is in doubt there says less."""

    name: ClassVar[str] = "certainty"
    combination: ClassVar[str] = "by_certainty"


ENSEMBLES = (Probabilities, Logits, LeastLoss, MinLogit, Certainty)
