"""What a recipe says: one class a table, one field a key. `[train]` and `[data]` have a file of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from attrs import field, frozen
from attrs.validators import and_, deep_iterable, ge, gt, le, lt, optional

from kdseg.components import Backbone, Callback, Ensemble, Gate, Loss, Metric
from kdseg.recipe.curves import LARGEST_WEIGHT, Curve, Points
from kdseg.recipe.heads import Head
from kdseg.recipe.schema_train import ADAMW, MOST_IMAGES, POLY, ByName, Data, Train
from kdseg.recipe.validators import (
    MOST_STEPS,
    SCALES,
    different,
    exactly_one,
    folder_name,
    keys_of_origin,
    not_empty,
    sha256,
    window_size,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from attrs import Attribute


@frozen(kw_only=True)
class Weights:
    """Trained weights: those of another run, or a file's."""

    recipe: Annotated[
        Path | None,
        "the newest finished run of this recipe, here or in its own folder; trained first where there is none",
    ] = None
    run: Annotated[Path | None, "or this run's folder"] = None
    file: Annotated[
        Path | None, "or this file: safetensors, what torch.save wrote of tensors, or the index.json of several"
    ] = None
    model: Annotated[str | None, "its learner; default: the one of the same name, else the only one"] = None
    which: Annotated[Literal["best", "last"], "the best by the recipe's metric, or the last"] = "best"
    prune: Annotated[bool, "of a run: they are a wider network's, of which the channels that matter most are kept"] = (
        False
    )
    sha256: Annotated[str | None, "what the file must hash to; a saved recipe says it"] = field(
        default=None, validator=sha256
    )
    prefix: Annotated[str | None, "of a file: take what lies below this name, such as model.backbone, alone"] = field(
        default=None, validator=optional(not_empty)
    )
    rename: Annotated[
        dict[str, str] | None, 'of a file: other beginnings for its names, as { "old." = "new." }; the longest counts'
    ] = field(default=None, validator=optional(not_empty))
    partial: Annotated[bool, "of a file: take what matches, where not all does"] = False

    def __attrs_post_init__(self) -> None:
        """Refuse two origins, or none, and what belongs to another origin."""
        exactly_one(self, ("recipe", "run", "file"))
        keys_of_origin(self)


@frozen(kw_only=True)
class View:
    """A participant's own look at training images. It shares their geometry; evaluation sees them as they are."""

    scale: Annotated[float, "the size at which it sees them, 0.1..4; its predictions come back at theirs"] = field(
        default=1.0, validator=[ge(SCALES[0]), le(SCALES[1])]
    )
    augment: Annotated[
        tuple[ByName, ...], "albumentations classes that change pixels alone, in order, after data.augment"
    ] = ()


_VIEW = "its own look at training images; left out: as they are"


@frozen(kw_only=True)
class Learner:
    """A participant that learns."""

    nature: ClassVar[str] = "a learner"

    backbone: Annotated[Backbone, "the network"]
    optimizer: Annotated[ByName, "a torch.optim class by its own name"] = ADAMW
    schedule: Annotated[ByName, "of the learning rate: poly, or a class of torch's by its own name"] = POLY
    clip: Annotated[float | None, "the largest norm of the gradient"] = field(default=None, validator=optional(gt(0)))
    weights: Annotated[Weights | None, "where it starts; default: fresh weights"] = None
    source_mode: Annotated[Literal["eval", "train"], "the mode of the network where it is only a source"] = "eval"
    view: Annotated[View | None, _VIEW] = None


@frozen(kw_only=True)
class Frozen:
    """A participant that stays as it is: a pretrained teacher."""

    nature: ClassVar[str] = "a frozen participant"

    frozen: Annotated[Literal[True], "says that it learns nothing"] = True
    backbone: Annotated[Backbone, "the network"]
    weights: Annotated[Weights, "what it is"]
    class_map: Annotated[
        dict[str, str] | None,
        'from its classes to the dataset\'s, as { sky = "sky", car = "vehicle" }; default: they are the same',
    ] = field(default=None, validator=optional(not_empty))
    classes: Annotated[
        tuple[str, ...] | None,
        "with class_map: its classes in their order; default: what the weights of a run, or the backbone, say of them",
    ] = field(default=None, validator=optional(different))
    floor: Annotated[
        float | None, "the run ends before its first step where the score is below this on `val`, 0..1"
    ] = field(default=None, validator=optional([ge(0.0), le(1.0)]))
    view: Annotated[View | None, _VIEW] = None

    def __attrs_post_init__(self) -> None:
        """Refuse classes that nothing maps."""
        if self.classes is not None and self.class_map is None:
            raise ValueError("classes: only with class_map, which says what they are among the dataset's")


@frozen(kw_only=True)
class Shadow:
    """A participant that is the moving average of a learner."""

    nature: ClassVar[str] = "a shadow"

    shadow_of: Annotated[str, "the learner that it follows"]
    decay: Annotated[float, "what is kept at a step; less at the start: min(decay, (1 + n) / (10 + n))"] = field(
        default=0.999, validator=[gt(0.0), lt(1.0)]
    )
    buffers: Annotated[Literal["copy", "average"], "what happens to buffers of floats (running statistics)"] = "copy"
    view: Annotated[View | None, _VIEW] = None


Participant = Learner | Frozen | Shadow


def nature_of(table: Mapping[str, Any]) -> type[Participant]:
    """Give the nature that a table ``models.NAME`` speaks of, by its keys."""
    return Shadow if "shadow_of" in table else Frozen if "frozen" in table else Learner


@frozen(kw_only=True)
class Turns:
    """The order in which turns come, over and over."""

    unit: Annotated[Literal["step", "epoch"], "how long a turn lasts: an optimizer step or an epoch"] = "step"
    order: Annotated[tuple[str, ...], "the turns, by names of your own"] = field(validator=not_empty)
    gate: Annotated[Gate | None, "chooses the turn by what the last step showed; left out: they come in order"] = None
    sync: Annotated[
        Literal["simultaneous", "sequential"], "learners of a turn see each other as before its step, or after it"
    ] = "simultaneous"


@frozen(kw_only=True)
class Term:
    """One loss of one learner."""

    turn: Annotated[tuple[str, ...], "the turns in which it counts, one name or several; left out: always"] = ()
    learner: Annotated[str, "who learns from it, or one of its heads: student.branch2"]
    source: Annotated[tuple[str, ...], "whom it learns from, one or several; left out: the labels"] = ()
    combine: Annotated[Ensemble | None, "how several sources become one"] = None
    loss: Annotated[Loss, "the loss"]
    on: Annotated[
        Literal["labelled", "all"], "the pixels that count; all: the unlabelled and ignored ones too, without labels"
    ] = "labelled"
    weight: Annotated[float | Curve | Points, "a number from 0, or how it changes over the run"] = field(default=1.0)
    critic: Annotated[
        ByName | None, "the optimizer of the opponent that an adversarial loss trains; default: AdamW"
    ] = None

    @weight.validator
    def _in_range(self, _: Attribute[Any], value: float | Curve | Points) -> None:
        if isinstance(value, int | float) and value < 0:
            raise ValueError(f"must be >= 0: {value}")
        if isinstance(value, int | float) and value > LARGEST_WEIGHT:
            raise ValueError(f"must be <= {LARGEST_WEIGHT:g}: {value}")

    @property
    def learns(self) -> Head:
        """Whose prediction the loss sees, and teaches."""
        return Head.of(self.learner)

    @property
    def hears(self) -> tuple[Head, ...]:
        """Whose predictions it is compared with."""
        return tuple(map(Head.of, self.source))

    def weight_at(self, progress: float) -> float:
        """Give the weight where `progress`, 0..1, of the run's optimizer steps are done."""
        return self.weight if isinstance(self.weight, int | float) else self.weight.at_progress(progress)


@frozen(kw_only=True)
class Evaluate:
    """When and by what the participants are judged on the validation split."""

    every: Annotated[int, "epochs, or steps, from one evaluation to the next"] = field(default=1, validator=ge(1))
    unit: Annotated[Literal["epoch", "step"], "what `every` counts"] = "epoch"
    metric: Annotated[str, "the score that decides which weights are best; greater is better"] = "miou"
    metrics: Annotated[tuple[Metric, ...], "metrics beside the plain ones; their scores are called METRIC/SCORE"] = ()
    batch_size: Annotated[int | None, "images at a time; default: as in training"] = field(
        default=None, validator=optional([ge(1), le(MOST_IMAGES)])
    )
    window: Annotated[tuple[int, int] | None, "height and width that networks see at once; default: all"] = field(
        default=None, validator=window_size
    )
    overlap: Annotated[float, "the share of a window that the next one sees too, at least"] = field(
        default=0.33, validator=[ge(0.0), lt(1.0)]
    )
    scales: Annotated[tuple[float, ...], "sizes at which networks see an image, as shares of its own"] = field(
        default=(1.0,), validator=[not_empty, deep_iterable(and_(ge(SCALES[0]), le(SCALES[1])))]
    )
    flip: Annotated[bool, "let them see each of those mirrored as well"] = False
    stop_on_collapse: Annotated[
        bool, "end a run in which a learner names one class nearly everywhere, or falls to half of its best score"
    ] = True


@frozen(kw_only=True)
class Checkpoints:
    """When the whole state is written, so that a killed run can go on."""

    every: Annotated[int, "epochs, or steps, from one checkpoint to the next"] = field(default=1, validator=ge(1))
    unit: Annotated[Literal["epoch", "step"], "what `every` counts"] = "epoch"
    keep: Annotated[int, "how many of the newest stay on the disk"] = field(default=2, validator=ge(1))


@frozen(kw_only=True)
class Wandb:
    """Weights & Biases."""

    project: Annotated[str, "the project there"] = "kdseg"
    entity: Annotated[str | None, "the user or team; default: your own"] = None
    name: Annotated[str | None, "the run's name there; default: the recipe's"] = None
    tags: Annotated[tuple[str, ...], "labels to find it by"] = ()


@frozen(kw_only=True)
class Tracking:
    """Where the numbers go besides the run's own files."""

    wandb: Annotated[Wandb | None, "Weights & Biases, offline unless you are logged in; left out: not used"] = None
    tensorboard: Annotated[bool, "write files for TensorBoard, in the run's folder"] = False
    insight_every: Annotated[int, "steps from one look at each term's gradient to the next; 0: never"] = field(
        default=50, validator=[ge(0), le(MOST_STEPS)]
    )


@frozen(kw_only=True)
class Output:
    """Where runs are written."""

    folder: Annotated[Path, "the folder of all runs; default: `runs` in the working folder"] = field(
        factory=lambda: Path("runs").absolute()
    )


@frozen(kw_only=True)
class Recipe:
    """All that determines a run."""

    name: Annotated[str, "names the run's folder; default: the file's stem"] = field(validator=folder_name)
    seed: Annotated[int, "every random stream is drawn from it"] = field(default=0, validator=ge(0))
    plugins: Annotated[tuple[Path, ...], "Python files that are plugins of this recipe"] = ()
    train: Annotated[Train, "how long and how the learners train"]
    data: Annotated[Data, "the images"]
    models: Annotated[dict[str, Participant], "the participants, by names of your own"]
    turns: Annotated[Turns | None, "the order of turns; left out: every term counts always"] = None
    terms: Annotated[dict[str, Term], "the losses, by names of your own"]
    evaluate: Annotated[Evaluate, "when the participants are judged"] = Evaluate()
    checkpoint: Annotated[Checkpoints, "when the whole state is written"] = Checkpoints()
    callbacks: Annotated[dict[str, Callback], "what else watches the run, by names of your own"] = field(factory=dict)
    tracking: Annotated[Tracking, "where the numbers go"] = Tracking()
    output: Annotated[Output, "where runs are written"] = field(factory=Output)

    @property
    def data_seed(self) -> int:
        """What the images follow from, where they are drawn."""
        return self.seed if self.data.seed is None else self.data.seed

    @property
    def unlabelled_images(self) -> int:
        """How many of a step's images come from `data.unlabelled`."""
        return 0 if self.data.unlabelled is None else self.data.unlabelled.of(self.train.batch_size)


NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
"""What models, terms, turns and callbacks are called: they stand in the names of files."""
