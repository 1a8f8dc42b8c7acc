"""The diagnostics as recipes and the command line see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from attrs import field, frozen
from attrs.validators import ge, le

from kdseg import Diagnostic, KdsegError

if TYPE_CHECKING:
    from attrs import Attribute

    from kdseg import Accumulator, DiagnosticContext, Trainings


MOST_TRAININGS = 1000
MOST_IMAGES = 2**20
"""No split has more."""


def _seeds(diagnostic: Any, _: Attribute[Any], value: int) -> None:
    if value > 1 and diagnostic.resample == "seed":
        raise ValueError(
            f'must be 1 with resample = "seed", whose trials differ in their seed already; found {value}: say trials = '
            f"{value} for more of them, or another `resample` for several seeds on each training set"
        )


def _block(diagnostic: Any, _: Attribute[Any], value: int) -> None:
    if diagnostic.resample == "blocks" and value < 2:  # noqa: PLR2004 (one image is no block)
        raise ValueError(
            'must be 2 or more with resample = "blocks": about as many neighbouring images as look alike; found '
            f'{value}. For draws of single images say resample = "bootstrap"'
        )
    if diagnostic.resample in {"bootstrap", "fresh", "seed"} and value != 1:
        raise ValueError(
            f'is for resample = "disjoint" and "blocks", which keep neighbours together; with "{diagnostic.resample}" '
            f"leave it out; found {value}"
        )


@frozen(kw_only=True)
class BiasVariance(Diagnostic):
    """Splits the error of repeated trainings into bias and variance, and tells what another recipe changes in either.

    Variance is what differs from trial to trial; bias is what all trials share, the noise of the labels with it. For
    the negative log-likelihood, the Brier score and the share of wrong pixels: overall, by class, at boundaries and
    inside, with intervals over images and over trials, as charts and as maps.
    """

    name: ClassVar[str] = "biasvar"
    compares: ClassVar[bool] = True
    refers: ClassVar[bool] = True

    trials: Annotated[int, "training sets, each learned from anew"] = field(
        default=5, validator=[ge(2), le(MOST_TRAININGS)]
    )
    resample: Annotated[
        Literal["disjoint", "bootstrap", "blocks", "fresh", "seed"] | None,
        "what the training sets are: parts of the training images that share none; draws with replacement of images, "
        "or of blocks of neighbours; images drawn anew; or all the same, so that the seed alone differs. Left out: "
        "fresh where the dataset draws its images, else disjoint",
    ] = None
    seeds: Annotated[int, "trainings on each training set, to tell the variance of seeds from that of data"] = field(
        default=1, validator=[ge(1), le(MOST_TRAININGS), _seeds]
    )
    block: Annotated[int, "neighbouring training images that stay together, with disjoint and blocks"] = field(
        default=1, validator=[ge(1), le(MOST_IMAGES), _block]
    )
    teacher: Annotated[
        Literal["per-trial", "shared"],
        "whether a teacher that is trained before learns from each trial's own training set, or one teacher serves "
        "all trials, which lowers the variance by construction",
    ] = "per-trial"
    correction: Annotated[
        Literal["scaled", "jackknife", "none"],
        "of the variance of the negative log-likelihood, which few trials show too small: by K/(K-1), by leaving out "
        "one training set at a time, or not at all",
    ] = "scaled"
    radius: Annotated[
        int, "pixels from another class, along rows and columns, up to which a pixel is of the boundary"
    ] = field(default=3, validator=[ge(0), le(100)])
    neighbours: Annotated[
        int, "consecutive images that are drawn as one for the intervals over images, as those of a video should be"
    ] = field(default=1, validator=[ge(1), le(MOST_IMAGES)])
    resamples: Annotated[int, "draws of the images for the intervals over them"] = field(
        default=2000, validator=[ge(200), le(100_000)]
    )

    def trainings(self) -> Trainings:
        """Say which trainings it wants to see."""
        from kdseg import Trainings

        return Trainings(
            samples=self.trials,
            seeds=self.seeds,
            resampling=self.resample,
            block=self.block,
            teacher=self.teacher,
        )

    def build(self, ctx: DiagnosticContext) -> Accumulator:
        """Make the accumulator.

        Raises:
            KdsegError: fewer than two trials, or training sets with unequal numbers of trainings.
        """
        trials = ctx.trials - (ctx.reference is not None)
        each = min((len(arm.samples) for arm in ctx.arms), default=trials)
        if each < 2:  # noqa: PLR2004 (the least that can differ)
            raise KdsegError(
                f"{self.name}: variance shows between 2 trials or more, trainings that differ in their seed or their "
                f"training images; found {each}"
            )
        from kdseg_biasvar.accumulator import Decomposition

        return Decomposition(ctx, self)
