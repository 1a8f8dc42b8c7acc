"""Random changes of training samples, by the class names of albumentations."""

from __future__ import annotations

import inspect
import os
import random
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import asks the network for a newer release otherwise
import albumentations
from albumentations.core.composition import BaseCompose

from kdseg.by_name import construct, lookup, numbers
from kdseg.data.labelled import labelled
from kdseg.data.moves import MOVES
from kdseg.data.samples import IGNORE_INDEX, Sample
from kdseg.data.streams import stream
from kdseg.errors import KdsegError, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

_FLOAT = "it gives no uint8 image; batches travel as uint8 and are normalised on the device"
_CONTAINER = "it holds other transforms, which a recipe cannot nest; list them one by one, each with its own p"
_VOLUME = "it works on volumes"
_BOXES = "it needs bounding boxes, which samples here lack"
_OTHERS = "it needs other images or metadata beside the sample"
_ABSTRACT = "it is a base class"
_SPECTROGRAM = "it is meant for spectrograms; XYMasking and HorizontalFlip do the same to images"

_REFUSED = {
    **dict.fromkeys(("Normalize", "ToFloat", "FromFloat", "ToTensorV2", "ToTensor3D"), _FLOAT),
    **dict.fromkeys(
        ("AtLeastOneBBoxRandomCrop", "BBoxSafeRandomCrop", "RandomCropNearBBox", "RandomSizedBBoxSafeCrop"), _BOXES
    ),
    **dict.fromkeys(
        ("FDA", "HistogramMatching", "Mosaic", "OverlayElements", "PixelDistributionAdaptation", "TextImage"), _OTHERS
    ),
    **dict.fromkeys(("BasicTransform", "DualTransform", "ImageOnlyTransform"), _ABSTRACT),
    **dict.fromkeys(("FrequencyMasking", "TimeMasking", "TimeReverse"), _SPECTROGRAM),
    "GridElasticDeform": "it leaves gaps of label 0, a class, in the mask; ElasticTransform and GridDistortion do not",
    "Lambda": "it takes functions, which a recipe cannot hold",
    "ToRGB": "it takes grey images; samples here are RGB",
} | {
    name: _CONTAINER if issubclass(value, BaseCompose) else _VOLUME
    for name, value in vars(albumentations).items()
    if inspect.isclass(value) and issubclass(value, (BaseCompose, albumentations.Transform3D))
}

_LARGEST = 20_000
"""What no option needs to exceed: a side of an image, a colour's temperature."""
_LARGEST_SCALE = 10
_PROBE_LABELS = (100, 200)
"""Two labels that no transform writes on its own account."""
_PROBES = 3


def make_transform(use: str, options: Mapping[str, Any], *, as_view: bool = False) -> albumentations.BasicTransform:
    """Make a transform of albumentations by its class name; its twin in `MOVES`, where it shall give views.

    Where a transform fills new pixels of the mask with a number of its own, 0, which is a class, they become ignored
    unless `options` says otherwise. Dropouts, whose `fill_mask` is None, leave the labels beneath their holes.

    Raises:
        OptionError: for a name or an option that does not fit.
    """
    cls = lookup(albumentations, use, albumentations.BasicTransform, _REFUSED)
    largest = {name: _LARGEST_SCALE if name == "scale_limit" else _LARGEST for name in options}
    if huge := [
        name for name, value in options.items() if any(abs(number) > largest[name] for number in numbers(value))
    ]:
        raise OptionError((name, f"is beyond {largest[name]}: images would outgrow any memory") for name in huge)
    fill_mask = inspect.signature(cls).parameters.get("fill_mask")
    if fill_mask is not None and fill_mask.default is not None:
        options = {"fill_mask": IGNORE_INDEX, **options}
    return construct(MOVES[use] if as_view else cls, options)


class Augmentation:
    """Changes samples as (seed, epoch, index) says: the same in any process, worker and order.

    Pickled as its recipe, so that each worker has transforms of its own.
    """

    def __init__(
        self,
        transforms: Sequence[tuple[str, Mapping[str, Any]]],
        seed: int,
        purpose: Sequence[str] = ("augment",),
        place: str = "data.augment",
    ) -> None:
        """Make the transforms.

        Args:
            transforms: class names of albumentations with their options, in the order of their work.
            seed: the recipe's.
            purpose: begins the key of its random streams.
            place: where the recipe says it, for errors.

        Raises:
            OptionError: what is wrong with them, all at once, by keys such as ``1.p``.
        """
        self._arguments = (tuple(transforms), seed, tuple(purpose), place)
        self._seed, self._purpose, self._place = seed, purpose, place
        made: list[albumentations.BasicTransform] = []
        problems: list[tuple[str, str]] = []
        # From here on they give views: no other transform ever sees one.
        moves = 1 + max((position for position, (use, _) in enumerate(transforms) if use not in MOVES), default=-1)
        for position, (use, options) in enumerate(transforms):
            try:
                made.append(make_transform(use, options, as_view=position >= moves))
            except OptionError as error:
                problems += error.below(str(position)).problems
        if problems:
            raise OptionError(problems)
        self._transforms = made
        self._draws = random.Random()  # noqa: S311 (no secret)
        for transform in made:
            transform.set_random_state(None, self._draws)  # of numpy's numbers moves need none
        self._others = made[:moves]

    def __reduce__(self) -> tuple[type[Augmentation], tuple[Any, ...]]:
        """Pickle what it was made of."""
        return Augmentation, self._arguments

    def __call__(self, sample: Sample, epoch: int, index: int) -> Sample:
        """Change a sample.

        Args:
            sample: the sample as its dataset gave it; left as it is.
            epoch: from 0.
            index: the sample's, in its dataset.

        Returns:
            A sample with a uint8 image and mask, maybe views of others; an unlabelled one is ignored everywhere.

        Raises:
            KdsegError: the sample is malformed, or a transform cannot take it (a crop larger than its image, say).
        """
        self._seek(*self._purpose, epoch, index)
        self._draws.random()  # albumentations.Compose draws one before the first transform, too
        sample = labelled(sample)
        changed: dict[str, Any] = {"image": sample.image, "mask": sample.mask}
        try:
            for transform in self._transforms:
                changed = transform(**changed)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise KdsegError(f"{self._place}: fails on {sample.id} ({_size(sample.image)}): {what}") from error
        return evolve(sample, image=changed["image"], mask=changed["mask"])

    def check(self, sample: Sample) -> None:
        """Try each transform on a sample.

        Raises:
            OptionError: what a transform cannot take or makes wrong, by its place, such as ``1``.
        """
        image, mask = sample.image, _probe_mask(*sample.image.shape[:2])
        for position, transform in enumerate(self._transforms):
            self._seek("check", position)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", RuntimeWarning)  # numpy's, of what is no number
                    results = [transform(image=image, mask=mask, force_apply=True) for _ in range(_PROBES)]
            except Exception as error:  # whatever it is, it comes of these options on this image
                what = f"{type(error).__name__}: {error}"
                raise OptionError([(str(position), f"fails on an image of {_size(image)}: {what}")]) from error
            if problem := _wrong(transform, results) or _erased(image, results):
                raise OptionError([(str(position), problem)])
            image = min((result["image"] for result in results), key=np.size)  # the hardest to crop
            mask = _probe_mask(*image.shape[:2])

    def _seek(self, *key: str | int) -> None:
        """Begin the stream that `key` names, one for all transforms.

        Not by their `set_random_seed`: the same seed for each, it would make their choices go together.
        """
        start = stream(self._seed, *key)
        self._draws.seed(start)
        if self._others:  # the generator takes longer to make than a crop to write
            generator = np.random.Generator(np.random.PCG64(start))
            for transform in self._others:
                transform.set_random_state(generator, self._draws)


def _probe_mask(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Give a chequered mask, in which mixed labels show."""
    rows, columns = np.ogrid[:height, :width]
    return np.where((rows // 8 + columns // 8) % 2, *_PROBE_LABELS).astype(np.uint8)


def _wrong(transform: albumentations.BasicTransform, results: Sequence[Mapping[str, npt.NDArray[Any]]]) -> str:
    """Tell what a transform made wrong of the probe; nothing where nothing is."""
    fill_mask = getattr(transform, "fill_mask", None)
    wanted = {*_PROBE_LABELS, IGNORE_INDEX, *([] if fill_mask is None else np.ravel(fill_mask).tolist())}
    for result in results:
        image, mask = result["image"], result["mask"]
        if image.dtype != np.uint8 or image.shape != (*mask.shape, 3):
            return f"gives an image of {image.dtype}, {'x'.join(map(str, image.shape))}; it must stay uint8, HxWx3"
        if invented := set(np.unique(mask).tolist()) - wanted:
            return (
                f"writes labels that the mask did not hold, such as {min(invented)}; leave mask_interpolation at 0 "
                f"(nearest) and fill_mask at {IGNORE_INDEX}"
            )
    return ""


def _erased(image: npt.NDArray[np.uint8], results: Sequence[Mapping[str, npt.NDArray[Any]]]) -> str:
    """Tell whether a transform leaves nothing to see; nothing where something is left."""
    if all((result["mask"] == IGNORE_INDEX).all() for result in results):
        return "leaves no label: all of the mask is ignored"
    if np.ptp(image) and all(
        result["image"].shape == image.shape and not np.ptp(result["image"]) for result in results
    ):
        return "leaves an image of one colour"
    return ""


def _size(image: npt.NDArray[np.uint8]) -> str:
    """Give an image's height and width as text."""
    return f"{image.shape[0]}x{image.shape[1]}"
