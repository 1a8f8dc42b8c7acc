"""Batches that follow from the recipe alone: no worker, process, micro-batch or resumption changes what a step sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from attrs import evolve, frozen
from torch import Tensor

from kdseg.data.labelled import highest_label, labelled
from kdseg.data.samples import IGNORE_INDEX, Sample, Samples
from kdseg.data.slots import Shape, Slots, make_slots
from kdseg.data.streams import numpy_generator
from kdseg.data.workers import PREFETCHED, read_in_workers
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kdseg.data.rare_classes import RareClasses

Place = Callable[[Sequence[Shape]], list[npt.NDArray[np.uint8]]]
"""Gives arrays of some shapes to write a batch into."""
Augment = Callable[[Sample, int, int], Sample]
"""Changes a sample as its epoch and index say; `kdseg.data.augment.Augmentation` is one."""


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

    def pin_memory(self) -> Batch:
        """Give it in memory that a GPU reads quickly; torch's loader calls this."""
        return evolve(self, images=self.images.pin_memory(), masks=self.masks.pin_memory())

    def to(self, device: torch.device) -> Batch:
        """Give it on a device; from pinned memory without waiting."""
        images, masks = (values.to(device, non_blocking=True) for values in (self.images, self.masks))
        return evolve(self, images=images, masks=masks)


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Give the steps in which an epoch sees each of its samples at most once; what is left over waits for the next.

    Raises:
        KdsegError: not even one batch is there.
    """
    if samples < batch_size:
        raise KdsegError(
            f"the training split has {samples} samples, fewer than train.batch_size = {batch_size}; "
            f"make batch_size {samples} or less"
            if samples
            else "the training split has no samples"
        )
    return samples // batch_size


def train_steps(
    samples: Samples,
    augmentation: Augment | None,
    *,
    seed: int,
    batch_size: int,
    micro_batches: int,
    rank: int = 0,
    world: int = 1,
    first_step: int = 0,
    last_step: int,
    num_classes: int = IGNORE_INDEX,
    workers: int,
    rare_classes: RareClasses | None = None,
    pinned: bool = False,
) -> Iterator[list[Batch]]:
    """Give, for each optimizer step from `first_step` up to, not including, `last_step`, this process's micro-batches.

    Step s takes the global batch number s modulo the steps of an epoch, of a permutation (or of draws by class) that
    follows from the seed and the epoch alone. Processes, then micro-batches, take equal consecutive shares of it.

    Args:
        samples: the training split.
        augmentation: changes each sample; None leaves them as they are.
        seed: the recipe's.
        batch_size: of the whole step, over all processes and micro-batches.
        micro_batches: of each process in a step.
        rank: this process's number.
        world: how many processes there are.
        first_step: where a resumed run goes on.
        last_step: the steps of the whole run.
        num_classes: labels of this or more are refused, but for `IGNORE_INDEX`.
        workers: loader processes; 0 loads in this one.
        rare_classes: draws each epoch by its classes, in place of a permutation.
        pinned: give batches in memory that a GPU reads without waiting; it opens CUDA.

    Raises:
        KdsegError: fewer samples than a batch, or a batch that cannot be shared equally; while iterating, whatever is
            wrong with a sample, or samples of different sizes in one micro-batch.
    """
    per_epoch = steps_per_epoch(len(samples), batch_size)
    shares = world * micro_batches
    if batch_size % shares:
        raise KdsegError(
            f"train.batch_size = {batch_size} cannot be shared equally by {world} processes with {micro_batches} "
            f"micro-batches each; make it a multiple of {shares}"
        )
    share = batch_size // shares

    def ordered(epoch: int) -> Sequence[tuple[int, ...]]:
        if rare_classes is not None:
            return rare_classes.epoch(seed, epoch)
        return [(epoch, index) for index in numpy_generator(seed, "order", epoch).permutation(len(samples)).tolist()]

    def keys() -> Iterator[Sequence[tuple[int, ...]]]:
        for step in range(first_step, last_step):
            epoch, number = divmod(step, per_epoch)
            if step == first_step or number == 0:
                order = ordered(epoch)
            for micro_batch in range(micro_batches):
                start = number * batch_size + (rank * micro_batches + micro_batch) * share
                yield order[start : start + share]

    batches = _batches(_BatchMaker(samples, augmentation, num_classes, rare_classes), keys(), workers, pinned=pinned)
    return _grouped(batches, micro_batches)


def eval_batches(
    samples: Samples,
    *,
    batch_size: int,
    rank: int = 0,
    world: int = 1,
    num_classes: int = IGNORE_INDEX,
    workers: int,
    pinned: bool = False,
) -> Iterator[Batch]:
    """Give this process's samples of a whole split, unchanged and in order: every world-th from `rank` on.

    Arguments are those of `train_steps`.

    No sample comes twice or not at all, so processes may have different numbers of batches; the last may be smaller.

    Raises:
        KdsegError: while iterating, whatever is wrong with a sample, or samples of different sizes in one batch.
    """
    mine = range(rank, len(samples), world)
    keys = ([(0, index) for index in mine[start : start + batch_size]] for start in range(0, len(mine), batch_size))
    return _batches(_BatchMaker(samples, None, num_classes), keys, workers, pinned=pinned)


def _batches(
    make: _BatchMaker, keys: Iterable[Sequence[tuple[int, ...]]], workers: int, *, pinned: bool
) -> Iterator[Batch]:
    """Give the batches of some keys, from workers through slots of shared memory."""
    # The loader asks for so many batches beyond the one that it is about to give.
    slots = make_slots(PREFETCHED * workers + 1, pinned=pinned) if workers else None
    if slots is None:
        yield from read_in_workers(make, keys, workers, pinned=pinned)
        return
    made = read_in_workers(_IntoSlot(make, slots), ((slots.take(), key) for key in keys), workers)
    try:
        for slot, filled in made:
            yield _lent(slots, slot, filled)  # and held no longer than the loop holds it
    finally:
        made.close()


def _fresh(shapes: Sequence[Shape]) -> list[npt.NDArray[np.uint8]]:
    """Give arrays of some shapes."""
    return [np.empty(shape, np.uint8) for shape in shapes]


def _write(array: npt.NDArray[np.uint8], place: npt.NDArray[np.uint8]) -> None:
    """Write an image or a mask into a place of its shape."""
    if array.strides[1] < 0:  # numpy takes a flipped view pixel by pixel: 3.7 ms for 512x1024, OpenCV 0.06
        cv2.flip(array[:, ::-1], 1, place)
    else:
        place[...] = array


@frozen(eq=False)
class _BatchMaker:
    """Makes the batch of some (epoch, index) pairs, or of the draws of `RareClasses.epoch`."""

    samples: Samples
    augmentation: Augment | None
    num_classes: int = IGNORE_INDEX
    rare_classes: RareClasses | None = None

    def __call__(self, keys: Sequence[tuple[int, ...]], place: Place = _fresh) -> Batch:
        ids: list[str] = []
        extras = []
        for number, key in enumerate(keys):
            sample = self._sample(*key)
            height, width, channels = sample.image.shape
            if number == 0:
                images, masks = place([(len(keys), height, width, channels), (len(keys), height, width)])
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
            ids.append(sample.id)
            extras.append(sample.extras)
            del sample  # what held it is taken for the next while it is in the processor's cache
        return Batch(
            images=torch.from_numpy(images), masks=torch.from_numpy(masks), ids=tuple(ids), extras=tuple(extras)
        )

    def _sample(self, epoch: int, index: int, *drawn: int) -> Sample:
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

    def _refuse_labels(self, name: str, mask: npt.NDArray[np.uint8]) -> None:
        """Refuse labels out of range: on a GPU a loss would end in an assertion that names nothing."""
        label = highest_label(mask)
        if label >= self.num_classes:
            raise KdsegError(
                f"{name}: its mask holds the label {label}; labels go from 0 to {self.num_classes - 1}, and "
                f"{IGNORE_INDEX} is ignored"
            )


@frozen(eq=False)
class _Filled:
    """A batch whose images and masks lie in a slot. No tuple: torch makes lists of those where there is a GPU."""

    shapes: tuple[Shape, ...]
    """Of the images and the masks."""
    ids: tuple[str, ...]
    extras: tuple[Mapping[str, Any], ...]


@frozen(eq=False)
class _IntoSlot:
    """Makes batches in slots; those too large for one are given whole."""

    make: _BatchMaker
    slots: Slots

    def __call__(self, key: tuple[int, Sequence[tuple[int, ...]]]) -> tuple[int, _Filled | Batch]:
        slot, pairs = key
        taken: list[Shape] = []

        def place(shapes: Sequence[Shape]) -> list[npt.NDArray[np.uint8]]:
            places = self.slots.places(slot, shapes)
            taken.extend(() if places is None else shapes)
            return places or _fresh(shapes)

        batch = self.make(pairs, place)
        return slot, _Filled(tuple(taken), batch.ids, batch.extras) if taken else batch


def _lent(slots: Slots, slot: int, filled: _Filled | Batch) -> Batch:
    """Give the batch that a worker made."""
    if isinstance(filled, Batch):
        slots.give_back(slot)
        return filled
    images, masks = slots.tensors(slot, filled.shapes)
    return Batch(images=images, masks=masks, ids=filled.ids, extras=filled.extras)


def _grouped(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Give `size` batches at a time."""
    while group := list(islice(batches, size)):
        yield group
