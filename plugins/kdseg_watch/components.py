"""The callbacks as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from attrs import field, frozen
from attrs.validators import ge, le, lt

from kdseg.components import Callback

if TYPE_CHECKING:
    from kdseg.components import CallbackContext
    from kdseg.hooks import Hooks


@frozen(kw_only=True)
class Checkpoint(Callback):
    """Keeps the models of the best evaluations, each in a folder `models-LABEL/step-N` of the run.

    The run itself keeps each learner's best and last weights, and checkpoints to resume from; this keeps more.
    """

    name: ClassVar[str] = "checkpoint"
    participant: Annotated[str, "whose score decides"] = "student"
    keep: Annotated[int, "of how many evaluations the models stay on the disk"] = field(default=2, validator=ge(1))

    def build(self, ctx: CallbackContext) -> Hooks:
        """Make the watcher."""
        from kdseg_watch.best import KeepBest

        return KeepBest(ctx.label, self.participant, ctx.metric, self.keep)


@frozen(kw_only=True)
class EarlyStopping(Callback):
    """Ends the run when a participant's score has not risen for some evaluations."""

    name: ClassVar[str] = "early_stopping"
    participant: Annotated[str, "whose score decides"] = "student"
    patience: Annotated[int, "evaluations without a rise before the run ends"] = field(default=5, validator=ge(1))
    min_rise: Annotated[float, "a score must exceed the best by more than this, 0 to below 1, to be a rise"] = field(
        default=0.0, validator=[ge(0), lt(1)]
    )

    def build(self, ctx: CallbackContext) -> Hooks:
        """Make the watcher."""
        from kdseg_watch.stopping import StopEarly

        return StopEarly(ctx.label, self.participant, ctx.metric, self.patience, self.min_rise)


@frozen(kw_only=True)
class Gallery(Callback):
    """Saves, at each evaluation, the same validation images with their truth and each participant's prediction."""

    name: ClassVar[str] = "gallery"
    images: Annotated[int, "how many, spread evenly over the validation split; 64 at most"] = field(
        default=4, validator=[ge(1), le(64)]
    )

    def build(self, ctx: CallbackContext) -> Hooks:
        """Make the watcher."""
        from kdseg_watch.gallery import SaveGallery

        return SaveGallery(ctx.label, self.images)
