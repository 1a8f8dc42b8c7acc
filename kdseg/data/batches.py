"""Batches as they travel to the device, and how samples become them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from attrs import evolve, field, frozen
from torch import Tensor

from kdseg.data.labelled import highest_label, labelled
from kdseg.data.samples import IGNORE_INDEX, Sample, Samples
from kdseg.data.slots import Shape
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from kdseg.data.rare_classes import RareClasses

Place = Callable[[Sequence[Shape]], list[npt.NDArray[np.uint8]]]
"""Gives arrays of some shapes to write a batch into."""
Augment = Callable[[Sample, int, int], Sample]
"""Changes a sample as its epoch and index say; `kdseg.data.augment.Augmentation` is one."""
Key = tuple[int, ...]
"""Which sample it is: the number of its feed, its epoch, its index, and of a draw what `RareClasses.epoch` adds."""


@frozen(kw_only=True, eq=False)
class Batch:
    """Images with their labels, as they travel to the device."""

    images: Tensor
    """N×H×W×3 uint8, RGB, 0..255: normalised on the device."""
    masks: Tensor
    """N×H×W uint8, train indices with `IGNORE_INDEX` for ignored pixels, everywhere in unlabelled images."""
    ids: tuple[str, ...]
    """Of the samples."""
    extras: tuple[Mapping[str, Any], ...]
    """Of the samples."""
    views: Mapping[str, Tensor] = field(factory=dict)
    """The same images as some participants see them, by their names."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Its tensors: images, masks and views."""
        return (self.images, self.masks, *self.views.values())

    def pin_memory(self) -> Batch:
        """Give it in memory that a GPU reads quickly; torch's loader calls this."""
        return self._each(Tensor.pin_memory)

    def to(self, device: torch.device) -> Batch:
        """Give it on a device; from pinned memory without waiting."""
        return self._each(lambda values: values.to(device, non_blocking=True))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        views = {name: change(values) for name, values in self.views.items()}
        return evolve(self, images=change(self.images), masks=change(self.masks), views=views)


@frozen(kw_only=True, eq=False)
class Feed:
    """Samples, and what changes them on their way into batches."""

    samples: Samples
    augmentation: Augment | None = None
    """None leaves them as they are."""
    views: Mapping[str, Augment] = field(factory=dict)
    """What changes the augmented image once more, for the participants of these names alone."""
    rare_classes: RareClasses | None = None
    """Where samples are drawn by their classes: finds views of them that show those."""

    def sample(self, epoch: int, index: int, *drawn: int) -> Sample:
        """Give a sample, augmented and with a mask."""
        try:
            sample = labelled(self.samples[index])
        except KdsegError:
            raise
        except Exception as error:
            raise KdsegError(f"sample {index} cannot be read: {type(error).__name__}: {error}") from error
        if self.augmentation is not None and self.rare_classes is not None:
            sample = self.rare_classes.view(sample, self.augmentation, epoch, *drawn)
        elif self.augmentation is not None:
            sample = self.augmentation(sample, epoch, index)
        return sample

    def view(self, name: str, sample: Sample, epoch: int, index: int, *drawn: int) -> npt.NDArray[np.uint8]:
        """Give an augmented sample's image as a participant sees it."""
        # A sample may be drawn twice in an epoch: its position tells the draws apart.
        return self.views[name](sample, epoch, drawn[0] if drawn else index).image


def fresh(shapes: Sequence[Shape]) -> list[npt.NDArray[np.uint8]]:
    """Give arrays of some shapes."""
    return [np.empty(shape, np.uint8) for shape in shapes]


def _write(array: npt.NDArray[np.uint8], place: npt.NDArray[np.uint8]) -> None:
    """Write an image or a mask into a place of its shape."""
    if array.strides[1] < 0:  # numpy takes a flipped view pixel by pixel: 3.7 ms for 512x1024, OpenCV 0.06
        cv2.flip(array[:, ::-1], 1, place)
    else:
        place[...] = array


@frozen(eq=False)
class BatchMaker:
    """Makes the batch of some keys."""

    feeds: Sequence[Feed]
    """Those that keys name by number. All have the views of the first."""
    num_classes: int = IGNORE_INDEX

    def __call__(self, keys: Sequence[Key], place: Place = fresh) -> Batch:
        """Give their samples as one batch, written into arrays that `place` gives."""
        ids: list[str] = []
        extras = []
        names = tuple(self.feeds[0].views)
        for number, (feed_number, *key) in enumerate(keys):
            feed = self.feeds[feed_number]
            sample = feed.sample(*key)
            height, width, channels = sample.image.shape
            if number == 0:
                shape = (len(keys), height, width, channels)
                images, masks, *views = place([shape, shape[:3], *[shape] * len(names)])
            elif sample.image.shape != images.shape[1:]:
                first, second = (f"{one[0]}x{one[1]}" for one in (images.shape[1:], sample.image.shape))
                found = f"{ids[0]} is {first}, {sample.id} is {second}"
                raise KdsegError(
                    f"images of different sizes cannot share a batch: {found}; end data.augment with a crop or a "
                    "resize, or, for evaluation, set evaluate.batch_size = 1"
                )
            assert sample.mask is not None  # labelled
            _write(sample.image, images[number])
            _write(sample.mask, masks[number])
            self._refuse_labels(sample.id, masks[number])
            for name, view in zip(names, views, strict=True):
                whole = evolve(sample, image=images[number].copy(), mask=masks[number])  # no view of another array
                _write(feed.view(name, whole, *key), view[number])
            ids.append(sample.id)
            extras.append(sample.extras)
            del sample  # what held it is taken for the next while it is in the processor's cache
        return Batch(
            images=torch.from_numpy(images),
            masks=torch.from_numpy(masks),
            ids=tuple(ids),
            extras=tuple(extras),
            views={name: torch.from_numpy(view) for name, view in zip(names, views, strict=True)},
        )

    def _refuse_labels(self, name: str, mask: npt.NDArray[np.uint8]) -> None:
        """Refuse labels out of range: on a GPU a loss would end in an assertion that names nothing."""
        label = highest_label(mask)
        if label >= self.num_classes:
            raise KdsegError(
                f"{name}: its mask holds the label {label}; labels go from 0 to {self.num_classes - 1}, and "
                f"{IGNORE_INDEX} is ignored"
            )
