"""Which trainings a diagnostic asks for, what its working object is, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    Image = npt.NDArray[np.uint8]


Resampling = Literal["disjoint", "bootstrap", "blocks", "fresh", "seed"]
"""What the trainings of one recipe differ in: parts of the training images that share none; draws of them, one by one
or in blocks of neighbours, with replacement; images drawn anew, by a dataset that draws them; or the seed alone."""


@frozen(kw_only=True)
class Trainings:
    """Which trainings of a recipe a diagnostic wants to see."""

    samples: int
    """Training sets."""
    seeds: int = 1
    """Trainings on each of them, which differ in their seed alone."""
    resampling: Resampling | None = None
    """None: `fresh` of a dataset that draws its images, `disjoint` of others."""
    block: int = 1
    """Neighbouring training images that stay together, where `resampling` is `disjoint` or `blocks`."""
    teacher: Literal["per-trial", "shared"] = "per-trial"
    """Whether a teacher that is trained before is trained by each trial's sample and seed, or once, as its recipe says.
    """


@frozen(kw_only=True)
class Arm:
    """Trials that are alike but for their training sets and seeds."""

    name: str
    samples: tuple[int, ...]
    """Of each trial, the number of its training set, 0 and up, in groups. Trials of two arms that have the same number
    learned from the same images."""
    description: str
    """For people: what the trials are, and what their teachers learned from."""


@frozen(kw_only=True, eq=False)
class Example:
    """One of the images, shown once more for the pictures."""

    image: Image
    """H×W×3, RGB, 0..255."""
    target: Image
    """H×W class indices, `kdseg.IGNORE_INDEX` where ignored."""
    id: str
    """Of the sample."""
    trials: Iterable[Tensor]
    """Logits 1×C×H×W of each trial, computed when they are asked for; each reading computes them anew."""


@frozen(kw_only=True)
class Findings:
    """What a diagnostic says of the images that it was shown."""

    scalars: Mapping[str, float]
    """Numbers by name; nan where nothing was counted."""
    tables: Mapping[str, Mapping[str, Mapping[str, float]]] = field(factory=dict)
    """Tables by name, each row -> column -> value."""
    pictures: Mapping[str, Image] = field(factory=dict)
    """RGB pictures H×W×3 by name; the name, of letters, digits, ``-`` and ``_``, becomes the file's."""
    notes: Sequence[str] = ()
    """What the numbers say, in sentences."""


class Accumulator(Protocol):
    """A diagnostic at work: it adds up what each batch shows.

    All that it keeps is sums, so that processes that saw different images can add theirs up. What it keeps of a pixel
    grows with neither images nor trials; numbers of each image and trial it may keep.
    """

    def update(self, trials: Iterable[Tensor], target: Tensor, indices: Sequence[int]) -> None:
        """Add a batch of images.

        Args:
            trials: logits N×C×H×W of each trial on the same images. Taken one at a time, so the caller may compute each
                only when it is asked for; each reading computes them anew.
            target: N×H×W class indices, `kdseg.IGNORE_INDEX` where ignored, on the logits' device. Logits at ignored
                pixels change nothing.
            indices: which of the images they are, 0 to `DiagnosticContext.images` - 1; each comes once.
        """
        ...

    def tensors(self) -> Sequence[Tensor]:
        """Give all that was added up, on the CPU, for the caller to sum over processes in place."""
        ...

    def compute(self) -> Findings:
        """Give the findings on all images added so far.

        It is the only place in which `DiagnosticContext.examples` may be called.
        """
        ...
