"""The callbacks that draw, as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from attrs import field, frozen
from attrs.validators import deep_iterable, ge, in_, le, min_len

from kdseg.components import Callback

if TYPE_CHECKING:
    from kdseg.components import CallbackContext
    from kdseg.hooks import Hooks

Column = Literal["image", "truth", "predictions", "disagreement", "entropy"]
_COLUMNS = ("image", "truth", "predictions", "disagreement", "entropy")
_LEARNER_HELP = "who is compared; left out: student, or the first learner"
_SOURCE_HELP = "with whom; left out: whom a term of the learner names, or another participant"


@frozen(kw_only=True)
class Gallery(Callback):
    """Draws the same validation images at each evaluation: truth, predictions, mistakes and whose they are, entropy.

    The pictures are `pictures/LABEL-STEP.png`. Trackers that draw masks themselves are handed them, too.
    """

    name: ClassVar[str] = "gallery"
    images: Annotated[int, "how many, spread evenly over the validation split; 64 at most"] = field(
        default=4, validator=[ge(1), le(64)]
    )
    every: Annotated[int, "evaluations from one picture to the next; the last is always drawn"] = field(
        default=1, validator=ge(1)
    )
    columns: Annotated[
        tuple[Column, ...],
        "what is drawn: image, truth, predictions of all participants; disagreement of the learner with truth and "
        "source; entropy of the learner's softmax",
    ] = field(default=_COLUMNS, validator=[min_len(1), deep_iterable(in_(_COLUMNS))])
    learner: Annotated[str, _LEARNER_HELP] = ""
    source: Annotated[str, _SOURCE_HELP] = ""

    def build(self, ctx: CallbackContext) -> Hooks:
        """Make the watcher."""
        from kdseg_watch.gallery import SaveGallery

        return SaveGallery(ctx, self)


@frozen(kw_only=True)
class LayerImages(Callback):
    """Draws what the stages of networks make of validation images, or how learner and source differ there.

    The pictures are `pictures/LABEL-PARTICIPANT-STEP.png`, with `between` `pictures/LABEL-difference-STEP.png`. A
    network sees an image at once, by no windows; images of another size than the first are brought to that.
    """

    name: ClassVar[str] = "layer_images"
    participants: Annotated[
        tuple[str, ...], "whose stages; left out: those of all, or with `between` the difference alone"
    ] = ()
    taps: Annotated[tuple[str, ...], "stages, or dotted paths of submodules; left out: all stages"] = ()
    images: Annotated[int, "how many, spread evenly over the validation split; 8 at most"] = field(
        default=1, validator=[ge(1), le(8)]
    )
    show: Annotated[
        Literal["channels", "components"],
        "channels: those that vary most in the first picture. components: the first three principal ones",
    ] = field(default="channels", validator=in_(("channels", "components")))
    channels: Annotated[int, "how many of a stage; 64 at most"] = field(default=8, validator=[ge(1), le(64)])
    between: Annotated[
        tuple[str, ...],
        'taps whose maps of attention are held against each other: "encoder.3 -> encoder.3", learner first, or one '
        "name for both (Zagoruyko and Komodakis, 1612.03928)",
    ] = ()
    learner: Annotated[str, _LEARNER_HELP] = ""
    source: Annotated[str, _SOURCE_HELP] = ""
    every: Annotated[int, "evaluations, or steps, from one picture to the next"] = field(default=1, validator=ge(1))
    unit: Annotated[Literal["evaluation", "step"], "what `every` counts"] = field(
        default="evaluation", validator=in_(("evaluation", "step"))
    )

    def build(self, ctx: CallbackContext) -> Hooks:
        """Make the watcher."""
        from kdseg_watch.layers import DrawLayers

        return DrawLayers(ctx, self)
