"""The callbacks as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from attrs import field, frozen
from attrs.validators import ge, le

from kdseg.components import Callback

if TYPE_CHECKING:
    from kdseg.components import CallbackContext
    from kdseg.hooks import Hooks


@frozen(kw_only=True)
class RegularizationSamples(Callback):
    """Records the share of pixels at which the variance part of soft labels pulls harder than their bias part.

    Zhou et al. (2102.00650) call such pixels regularization samples. After some steps, and after the last, it looks at
    the labelled pixels of the step's last micro-batch, of the main process, with both networks in eval mode, and
    records `LABEL/share` and, for each class that is there, `LABEL/share/CLASS`. At the run's end it draws
    `pictures/LABEL.png`.
    """

    name: ClassVar[str] = "regularization_samples"
    learner: Annotated[str, "the participant whose logits are pulled"] = "student"
    source: Annotated[str, "the participant whose probabilities are the soft labels"] = "teacher"
    temperature: Annotated[float, "of the soft labels and of what is held against them"] = field(
        default=2.0, validator=[ge(0.01), le(1000)]
    )
    every: Annotated[int, "steps from one look to the next"] = field(default=50, validator=ge(1))

    def build(self, ctx: CallbackContext) -> Hooks:
        """Make the watcher."""
        from kdseg_biasvar.regularization import CountRegularization

        return CountRegularization(ctx.label, self.learner, self.source, self.temperature, self.every)
