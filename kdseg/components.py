"""The kinds of component: a base class each, what its `build` is given, and the table of kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from torch import Tensor, nn

    from kdseg.data.samples import ClassTable, Samples
    from kdseg.data.submission import Submission
    from kdseg.diagnostics import Accumulator, Arm, Example, Trainings
    from kdseg.ensembles import Combination
    from kdseg.exports import Runner
    from kdseg.gates import TurnGate
    from kdseg.hooks import Hooks
    from kdseg.losses import LossModule
    from kdseg.metrics.measure import Measure
    from kdseg.proposals import Proposal


class Component:
    """A thing that a recipe can name.

    A component is an attrs class (``@frozen(kw_only=True)``): its docstring is its help, its fields, best each
    ``Annotated[type, "help"]``, with a default or without, are its options in a recipe, and its ``build(ctx)``
    makes the working object. Importing its module loads no torch: `build` imports what it needs.
    """

    name: ClassVar[str]
    """What recipes call it: lower-case letters, digits, ``-`` and ``_``."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Requirement strings of optional libraries (``"transformers>=4.40"``), checked when a recipe uses it."""


@frozen(kw_only=True)
class BackboneContext:
    """What a backbone is built for."""

    in_channels: int
    num_classes: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """What was taken from the RGB values in 0..1 of the images that it will see: for networks that want another."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """What they were divided by then."""


class Backbone(Component):
    """A segmentation network.

    Its module takes float images N×3×H×W, normalised, and gives logits N×C×H×W at the input's size, for any
    H and W of 32 or more; or a dict with those under ``"logits"`` and further heads under names of their own.
    """

    program: ClassVar[bool] = False
    """Whether it runs a file that holds a whole network: `weights` names it, `open` is given it, and it cannot learn.
    """

    def build(self, ctx: BackboneContext) -> nn.Module:
        """Make the network, its first weights drawn from torch's global generator."""
        raise NotImplementedError

    def open(self, module: nn.Module, file: Path) -> None:
        """Of a program: let a module that `build` made run what a file holds.

        The module may lie on the meta device. It must still open the file, and give the right shapes for images there.

        Raises:
            KdsegError: the file holds no such program, naming it and the mend.
        """
        raise NotImplementedError

    def taps(self, module: nn.Module) -> Mapping[str, nn.Module]:  # noqa: ARG002 (a default for networks without stages)
        """Give stable stage names (``encoder.1`` … ``bottleneck`` … ``decoder.1``) to submodules of `module`."""
        return {}

    def prune(self, wide: nn.Module, narrow: nn.Module) -> None:  # noqa: ARG002 (a default for networks of one width)
        """Fill `narrow`, a network of this component, with the channels of a wider one that matter most.

        Args:
            wide: trained; of any component.
            narrow: both may live on the meta device, where nothing but shapes is looked at.

        Raises:
            KdsegError: it cannot be made of the wider one.
        """
        from kdseg.errors import KdsegError

        raise KdsegError(f"{self.name!r} cannot be made of the channels of a wider network")

    @classmethod
    def variants(cls) -> Iterable[Backbone]:
        """Give networks of its family, small and large, among which ``kdseg fit-student`` searches."""
        return ()

    def class_names(self) -> tuple[str, ...] | None:
        """Give what its logits mean, in their order, where files of its own say it: for a recipe's `class_map`."""
        return None


@frozen(kw_only=True)
class DatasetContext:
    """Which samples are wanted."""

    split: str
    seed: int
    """For datasets that draw their samples: `data.seed`, else the recipe's seed."""
    data_seed: int | None = None
    """`data.seed` where the recipe says it: for datasets whose samples stay the same whatever the recipe's seed is."""
    extras: tuple[str, ...] = ()
    """What `Sample.extras` must hold where the dataset has it: what the metrics that judge the split ask for."""
    by_split: Mapping[str, Dataset] = field(factory=dict)
    """The dataset of each split, where a recipe gives some of them options of their own."""


class Dataset(Component):
    """Labelled images.

    `build` gives the samples of one split. What is wrong with the files (a missing folder, an image without its
    mask) is raised as `KdsegError`, naming the file and the mend.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "val")
    draws: ClassVar[bool] = False
    """Whether its samples are drawn: each `data.seed` of a recipe gives other images of the same kind."""
    submission: ClassVar[Submission | None] = None
    """How its benchmark takes predictions: what ``kdseg predict --format NAME`` writes, NAME being the dataset's."""

    def build(self, ctx: DatasetContext) -> Samples:
        """Give the samples of the split `ctx.split`, one of `splits`."""
        raise NotImplementedError

    def class_table(self) -> ClassTable:
        """Give the classes, without touching the disk."""
        raise NotImplementedError

    @classmethod
    def propose(cls, folder: Path) -> Proposal | None:  # noqa: ARG003 (a default for datasets of one layout)
        """Say how it would read a folder, for ``kdseg init``; None where it could not.

        Raises:
            KdsegError: it could, if something there were mended.
        """
        return None


@frozen(kw_only=True)
class ClassShares:
    """How often each class occurs among the training labels; ignored pixels count nowhere."""

    pixels: tuple[int, ...]
    """Labelled pixels of each class."""
    pixels_where_present: tuple[int, ...]
    """Labelled pixels, of any class, in the images that hold the class."""
    images: tuple[int, ...]
    """Images that hold the class."""

    def of(self, classes: Sequence[int]) -> ClassShares:
        """Give those of some classes, in their order."""
        pixels, where, images = (
            tuple(counts[number] for number in classes)
            for counts in (self.pixels, self.pixels_where_present, self.images)
        )
        return ClassShares(pixels=pixels, pixels_where_present=where, images=images)


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

    turns: tuple[str, ...]
    """Those that it may choose, in the order of `turns.order`, each once."""
    participants: tuple[str, ...]
    """The names of all."""
    terms: tuple[str, ...]
    """The names of all."""


class Gate(Component):
    """What chooses the turn of each step by what the step before showed. `build` gives a `kdseg.gates.TurnGate`."""

    def build(self, ctx: GateContext) -> TurnGate:
        """Make the working gate.

        Raises:
            KdsegError: its options name what is not there.
        """
        raise NotImplementedError


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


@frozen(kw_only=True)
class CallbackContext:
    """What a callback is built for."""

    label: str
    """The name of its table in the recipe."""
    metric: str
    """What the recipe judges learners by; greater is better."""
    scores: tuple[str, ...] = ()
    """The names of all scores of a participant that it could judge by."""
    terms: tuple[str, ...] = ()
    """The names of all."""
    sources: Mapping[str, tuple[str, ...]] = field(factory=dict)
    """With whom each learner's terms compare it, by the learner's name."""
    clips: Mapping[str, float] = field(factory=dict)
    """By learner, the norm beyond which its gradient is clipped; without those that are not."""


@frozen(kw_only=True)
class Callback(Component):
    """Something that watches a run. `build` gives a `kdseg.Hooks`, made anew for each run."""

    order: Annotated[int, "who is told of an event first: the lower; of equals as the recipe names them"] = 0
    strict: Annotated[bool, "whether the run ends where it fails, or goes on without it and says so"] = False

    def build(self, ctx: CallbackContext) -> Hooks:
        """Make the watcher."""
        raise NotImplementedError


@frozen(kw_only=True)
class ExportContext:
    """What an exporter writes."""

    file: Path
    """Where; it ends in `Exporter.suffix`, in a folder that holds nothing else."""
    module: nn.Module
    """What the file must say: images N×3×H×W in, uint8 or, for logits, floats in 0..1; classes uint8 N×H×W or logits
    N×C×H×W out. In eval mode, in float32, on the CPU, batch normalisation folded. The exporter may change it."""
    network: nn.Module
    """The network within `module`, which gives it what its weights are made of: cast it for another precision."""
    example: Tensor
    """Images as `module` takes them, for tracing; of `size` where that is set, else of odd sizes."""
    size: tuple[int, int] | None
    """Height and width, where the file is to take one image of this size alone; None: any number of any size."""
    precision: str
    """One of `Exporter.precisions`."""
    calibration: Callable[[], Iterable[Tensor]]
    """Gives images of the training split, one at a time as `module` takes them: for int8."""
    card: Mapping[str, Any]
    """What the file must carry, as plain data: `Exporter.read` gives it back."""


@frozen(kw_only=True)
class RunnerContext:
    """How a file is to be run."""

    card: Mapping[str, Any]
    """What `Exporter.read` gave."""
    threads: int
    """Of the processor."""


class Exporter(Component):
    """A format in which a trained network leaves for programs without PyTorch; kdseg runs its files, too.

    `build` writes one. A component of this kind has its options' defaults alone.
    """

    suffix: ClassVar[str]
    """With which its files end: ``.onnx``."""
    beside: ClassVar[tuple[str, ...]] = ()
    """With which further files end that it writes beside, of the same stem: ``(".bin",)``."""
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    """Of fp32, bf16 and int8 those that it writes."""
    cannot: ClassVar[Mapping[str, str]] = {}
    """Why not, for others of the three."""
    writes_with: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Requirement strings of what writing in a precision needs beyond `requires`, with which files are run."""
    runs_code: ClassVar[bool] = False
    """Whether opening a file can run code of its maker's: it is then opened only where a person trusts it."""

    def build(self, ctx: ExportContext) -> None:
        """Write `ctx.file`.

        Raises:
            KdsegError: the network cannot be written so; the text says why, and the mend.
        """
        raise NotImplementedError

    def read(self, file: Path) -> Mapping[str, Any] | None:
        """Give the card that `build` wrote, without running anything in the file; None where it carries none.

        Raises:
            KdsegError: it is damaged, or no such file at all.
        """
        raise NotImplementedError

    def open(self, file: Path, ctx: RunnerContext) -> Runner:
        """Make what runs a file that `build` wrote.

        Raises:
            KdsegError: it is damaged, or cannot be run here.
        """
        raise NotImplementedError


@frozen
class Kind:
    """One row of the table of kinds."""

    name: str
    base: type[Component]

    @property
    def plural(self) -> str:
        """The kind's name for several: ``losses``."""
        return self.name + ("es" if self.name.endswith("s") else "s")

    @property
    def hook(self) -> str:
        """The name of the hook that hands over components of this kind."""
        return f"kdseg_{self.plural}"


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("backbone", Backbone),
        Kind("dataset", Dataset),
        Kind("loss", Loss),
        Kind("ensemble", Ensemble),
        Kind("gate", Gate),
        Kind("metric", Metric),
        Kind("diagnostic", Diagnostic),
        Kind("callback", Callback),
        Kind("exporter", Exporter),
    )
}
"""Another kind costs its base class, its row here and its hook in `kdseg.hookspecs`."""


def kind_of(cls: type[Component]) -> Kind:
    """Give the kind that a component class belongs to."""
    return next(kind for kind in KINDS.values() if issubclass(cls, kind.base))
