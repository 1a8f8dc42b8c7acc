"""The callbacks that keep models, end runs and measure, as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from attrs import field, frozen
from attrs.validators import ge, in_, le, lt

from kdseg.components import Callback

if TYPE_CHECKING:
    from kdseg.components import CallbackContext
    from kdseg.hooks import Hooks

Mode = Literal["", "greater", "less"]
_MODE_HELP = "which values of the metric are better; left out: greater scores, and less of a loss"
_METRIC_HELP = (
    "a score of the participant, such as pixel_accuracy, or loss/TERM, a term's last value in training; left out: "
    "evaluate.metric"
)


@frozen(kw_only=True)
class Checkpoint(Callback):
    """Keeps the models of the best evaluations, each in a folder `models-LABEL/step-N` of the run.

    The run itself keeps each learner's best and last weights, and checkpoints to resume from; this keeps more.
    """

    name: ClassVar[str] = "checkpoint"
    participant: Annotated[str, "whose score decides"] = "student"
    metric: Annotated[str, _METRIC_HELP] = ""
    mode: Annotated[Mode, _MODE_HELP] = field(default="", validator=in_(get_args(Mode)))
    keep: Annotated[int, "of how many evaluations, the best, the models stay on the disk"] = field(
        default=2, validator=ge(1)
    )
    every: Annotated[int, "besides, the models of every so many evaluations stay; 0: of none"] = field(
        default=0, validator=ge(0)
    )

    def build(self, ctx: CallbackContext) -> Hooks:
        """Make the watcher."""
        from kdseg_watch.best import KeepBest
        from kdseg_watch.scores import Judge

        return KeepBest(Judge.of(ctx, self.participant, self.metric, self.mode), self.keep, self.every)


@frozen(kw_only=True)
class EarlyStopping(Callback):
    """Ends the run when a participant's score has not risen for some evaluations."""

    name: ClassVar[str] = "early_stopping"
    participant: Annotated[str, "whose score decides"] = "student"
    metric: Annotated[str, _METRIC_HELP] = ""
    mode: Annotated[Mode, _MODE_HELP] = field(default="", validator=in_(get_args(Mode)))
    patience: Annotated[int, "evaluations without a rise before the run ends"] = field(default=5, validator=ge(1))
    min_rise: Annotated[float, "a score must be better than the best by more than this, 0 to below 1, to be a rise"] = (
        field(default=0.0, validator=[ge(0), lt(1)])
    )

    def build(self, ctx: CallbackContext) -> Hooks:
        """Make the watcher."""
        from kdseg_watch.scores import Judge
        from kdseg_watch.stopping import StopEarly

        return StopEarly(Judge.of(ctx, self.participant, self.metric, self.mode), self.patience, self.min_rise)


@frozen(kw_only=True)
class Hardware(Callback):
    """Writes how fast the run is and what it takes of the machine, as `LABEL/images_per_second` and so on.

    Images a second, over all processes, and the share of a step that waits for its data; of this process and its
    workers the processor cores that are busy, and the memory; on a GPU the memory that torch took at most and, where
    nvidia-ml-py is installed, how busy it is. Evaluations and checkpoints count for the processor alone.
    """

    name: ClassVar[str] = "hardware"
    every: Annotated[int, "steps from one measurement to the next"] = field(default=20, validator=ge(1))

    def build(self, ctx: CallbackContext) -> Hooks:
        """Make the watcher."""
        from kdseg_watch.hardware import MeasureHardware

        return MeasureHardware(ctx.label, self.every)


@frozen(kw_only=True)
class GradientNorms(Callback):
    """Writes the norm of each learner's gradient before it is clipped, as `LABEL/LEARNER`.

    It is that of the network's own weights. Where the recipe clips, `LABEL/LEARNER/clipped` is the share, so far, of
    the steps looked at in which it was greater than that. A gradient that grows while the loss does not fall, or that
    is clipped nearly always, asks for a lower learning rate.
    """

    name: ClassVar[str] = "gradient_norms"
    every: Annotated[int, "of a learner's own steps, each how manieth is looked at"] = field(
        default=10, validator=ge(1)
    )
    by_stage: Annotated[bool, "those of the network's parts, too, as LABEL/LEARNER/PART"] = False
    updates: Annotated[
        bool,
        "the norm of the weights, too, and the step's change of them as a share of it; takes a copy of the weights",
    ] = False

    def build(self, ctx: CallbackContext) -> Hooks:
        """Make the watcher."""
        from kdseg_watch.gradients import MeasureGradients

        return MeasureGradients(ctx.label, self.every, ctx.clips, by_stage=self.by_stage, updates=self.updates)


@frozen(kw_only=True)
class Profiler(Callback):
    """Profiles a few steps: `profile/LABEL-PROCESS.json.gz` opens in Perfetto or chrome://tracing.

    A table of the costliest operators lies beside it as text. Each process of a run writes its own.
    """

    name: ClassVar[str] = "profiler"
    first: Annotated[int, "how many steps come before; a shorter run has its last ones profiled"] = field(
        default=20, validator=ge(0)
    )
    count: Annotated[int, "how many steps, 1 to 50: the file grows with them"] = field(
        default=3, validator=[ge(1), le(50)]
    )
    rows: Annotated[int, "operators in the table, 1 to 1000"] = field(default=25, validator=[ge(1), le(1000)])

    def build(self, ctx: CallbackContext) -> Hooks:
        """Make the watcher."""
        from kdseg_watch.profiling import Profile

        return Profile(ctx.label, self.first, self.count, self.rows)
