"""What a recipe says of training and its images: one class a table, one field a key."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from attrs import Factory, field, frozen
from attrs.validators import and_, deep_iterable, ge, gt, le, lt, optional

from kdseg.components import Dataset
from kdseg.recipe.validators import (
    MOST_STEPS,
    below_trials,
    block_of_method,
    divides_batch,
    exactly_one,
    one_participant,
    parts_of_method,
)

MOST_IMAGES = 2**16
"""Images at a time, at most: more is no batch."""
MOST_TRIALS = 2**16
LARGEST_BLOCK = 2**20
"""Images: no split has more."""
LENGTHS = ("epochs", "steps", "steps_of")
"""The keys of `Train` that give the length of the run; a recipe says exactly one."""


@frozen(kw_only=True)
class ByName:
    """A class of another library by its own name, as in ``{ use = "AdamW", lr = 1e-3 }``."""

    use: str
    options: dict[str, Any] = field(factory=dict)
    """Plain TOML values. The engine checks them against the signature of the class."""


ADAMW = ByName(use="AdamW")
POLY = ByName(use="poly")


@frozen(kw_only=True)
class Train:
    """How long and how the learners train."""

    epochs: Annotated[int | None, "length of the run: passes over the training split"] = field(
        default=None, validator=optional([ge(1), le(1_000_000)])
    )
    steps: Annotated[int | None, "or its length: optimizer steps, of all turns together"] = field(
        default=None, validator=optional([ge(1), le(MOST_STEPS)])
    )
    steps_of: Annotated[dict[str, int] | None, "or its length: one participant's steps, as { student = 600 }"] = field(
        default=None, validator=one_participant
    )
    batch_size: Annotated[int, "images of an optimizer step, over all processes and micro-batches"] = field(
        default=8, validator=[ge(1), le(MOST_IMAGES)]
    )
    micro_batches: Annotated[int, "parts of the batch that pass through the networks one after another"] = field(
        default=1, validator=[ge(1), divides_batch]
    )
    precision: Annotated[Literal["fp32", "bf16", "fp16"], "of the arithmetic; weights stay in fp32"] = "fp32"
    tf32: Annotated[bool, "let a GPU multiply in fp32 with ten bits after the point, which is quicker"] = False
    deterministic: Annotated[bool, "let a GPU take kernels alone that give the same bits at every run"] = False
    cudnn_benchmark: Annotated[
        bool, "let cuDNN try its kernels for each new size and keep the quickest; not where deterministic"
    ] = True
    compile: Annotated[bool, "run the networks through torch.compile"] = False
    fuse: Annotated[
        Literal["auto", "torch", "off"],
        "compute losses that allow it in one pass, by code compiled here where that can be; torch: by PyTorch alone",
    ] = "auto"
    workers: Annotated[int, "processes that load images, for each training process"] = field(
        default=2, validator=[ge(0), le(256)]
    )
    tune_malloc: Annotated[bool, "raise the C library's mmap and trim thresholds; Linux only"] = True

    def __attrs_post_init__(self) -> None:
        """Refuse several lengths, or none."""
        exactly_one(self, LENGTHS)


@frozen(kw_only=True)
class RareClasses:
    """Rare-class sampling: training images drawn by the classes that they hold, rare ones more often (2111.14887)."""

    temperature: Annotated[float, "the smaller, the more often the rarest classes come, 1e-6..1e6"] = field(
        default=0.01, validator=[ge(1e-6), le(1e6)]
    )
    min_share: Annotated[
        float, "the share of its pixels, 0..1, that a class must exceed for an image to be drawn for it"
    ] = field(default=0.0015, validator=[ge(0), lt(1)])
    min_crop_share: Annotated[
        float, "the share of the pixels, 0..1, that the class must reach once `augment` has cropped the image"
    ] = field(default=0.0057, validator=[ge(0), lt(1)])
    attempts: Annotated[int, "augmentations of an image, at most, until one shows so much of the class"] = field(
        default=10, validator=[ge(1), le(1000)]
    )


@frozen(kw_only=True)
class Resample:
    """Other training images than the whole split, so that trainings of one recipe differ in their sample.

    What is drawn follows from the data's seed, the trial and the options here alone. Validation is left as it is.
    """

    method: Annotated[
        Literal["disjoint", "bootstrap", "blocks"],
        "disjoint: parts that share no image; bootstrap: as many draws as images, with replacement; blocks: so of "
        "whole blocks of neighbours",
    ]
    trials: Annotated[int, "how many training sets there are: of `disjoint`, the parts that are all together"] = field(
        validator=[ge(1), le(MOST_TRIALS), parts_of_method]
    )
    trial: Annotated[int, "which of them this run trains on, from 0"] = field(validator=[ge(0), below_trials])
    block: Annotated[
        int, "neighbouring images that stay together, frames of a clip say; 2 or more for `blocks`, 1 for `bootstrap`"
    ] = field(default=1, validator=[ge(1), le(LARGEST_BLOCK), block_of_method])


@frozen(kw_only=True)
class Unlabelled:
    """Images without labels, a share of each batch: masks that their dataset may have are not looked at."""

    dataset: Annotated[Dataset, "the dataset that they come from; any will do"]
    split: Annotated[str, "its split"] = "train"
    share: Annotated[float, "of the images of a batch, 0..1; rounded to whole images"] = field(
        default=0.5, validator=[gt(0), lt(1)]
    )

    def of(self, batch_size: int) -> int:
        """Give how many of a batch they are."""
        return round(batch_size * self.share)


@frozen(kw_only=True)
class Data:
    """The images, and how they are changed on their way to the networks."""

    dataset: Annotated[Dataset, "the dataset"]
    train: Annotated[Dataset, "options of the dataset that differ for the training split"] = Factory(
        lambda data: data.dataset, takes_self=True
    )
    val: Annotated[Dataset, "options of the dataset that differ for the validation split"] = Factory(
        lambda data: data.dataset, takes_self=True
    )
    seed: Annotated[
        int | None, "with which a dataset draws its images, and `resample` its parts; default: the recipe's `seed`"
    ] = field(default=None, validator=optional(ge(0)))
    resample: Annotated[Resample | None, "train on a sample of the training split; left out: on all of it"] = None
    augment: Annotated[tuple[ByName, ...], "albumentations classes by their own names, in order"] = ()
    rare_classes: Annotated[
        RareClasses | None, "draw training images by the classes that they hold; left out: each once an epoch"
    ] = None
    unlabelled: Annotated[Unlabelled | None, "images without labels, a share of each batch; left out: none"] = None
    store: Annotated[Literal["memory", "disk"] | None, "keeps decoded images there, as raw arrays; default: no"] = None
    mean: Annotated[tuple[float, float, float], "taken from the RGB values in 0..1"] = field(
        default=(0.485, 0.456, 0.406), validator=deep_iterable(and_(ge(0.0), le(1.0)))
    )
    std: Annotated[tuple[float, float, float], "what they are divided by then, 0.001..1"] = field(
        default=(0.229, 0.224, 0.225), validator=deep_iterable(and_(ge(0.001), le(1.0)))
    )

    def for_split(self, split: str) -> Dataset:
        """Give the dataset with the options that hold for a split."""
        return {"train": self.train, "val": self.val}.get(split, self.dataset)
