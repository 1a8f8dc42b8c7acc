"""Batches that follow from the recipe alone: no worker, process, micro-batch or resumption changes what a step sees."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kdseg.data.batches import Batch, BatchMaker, Feed, fresh
from kdseg.data.samples import IGNORE_INDEX
from kdseg.data.slots import Shape, Slots, make_slots
from kdseg.data.streams import numpy_generator
from kdseg.data.workers import PREFETCHED, read_in_workers
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from kdseg.data.batches import Augment, Key
    from kdseg.data.rare_classes import RareClasses
    from kdseg.data.samples import Samples


@frozen(kw_only=True, eq=False)
class Unlabelled:
    """What each step sees besides its labelled samples."""

    feed: Feed
    images: int
    """Of each step, over all processes and micro-batches."""


def steps_per_epoch(samples: int, batch_size: int, unlabelled: int = 0, *, split: str = "the training split") -> int:
    """Give the steps in which an epoch sees each of its samples at most once; what is left over waits for the next.

    Args:
        samples: of the training split.
        batch_size: of a step.
        unlabelled: those of them that are of no epoch.
        split: what a person calls it.

    Raises:
        KdsegError: not even one batch is there.
    """
    needed = batch_size - unlabelled
    if samples < needed:
        wanted = f"train.batch_size = {batch_size}" if not unlabelled else f"the {needed} that a step wants with labels"
        raise KdsegError(
            f"{split} has {samples} samples, fewer than {wanted}; "
            f"make {'batch_size' if not unlabelled else 'them'} {samples} or less"
            if samples
            else f"{split} has no samples"
        )
    return samples // needed


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
    views: Mapping[str, Augment] | None = None,
    unlabelled: Unlabelled | None = None,
    pinned: bool = False,
) -> Iterator[list[Batch]]:
    """Give, for each optimizer step from `first_step` up to, not including, `last_step`, this process's micro-batches.

    Step s takes the global batch number s modulo the steps of an epoch, of a permutation (or of draws by class) that
    follows from the seed and the epoch alone. Processes, then micro-batches, take equal consecutive shares of it.
    Likewise of the step's unlabelled samples, which come after the labelled ones of each micro-batch; their epochs
    follow each other without a gap, so that a step may see the end of one and the beginning of the next.

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
        views: change the augmented images once more, for the participants of these names.
        unlabelled: further samples, and how many of a step's images they are.
        pinned: give batches in memory that a GPU reads without waiting; it opens CUDA.

    Raises:
        KdsegError: fewer samples than a batch, or a batch that cannot be shared equally; while iterating, whatever is
            wrong with a sample, or samples of different sizes in one micro-batch.
    """
    extra = 0 if unlabelled is None else unlabelled.images
    per_epoch = steps_per_epoch(len(samples), batch_size, extra)
    shares = world * micro_batches
    if batch_size % shares or extra % shares:
        raise KdsegError(
            f"train.batch_size = {batch_size} cannot be shared equally by {world} processes with {micro_batches} "
            f"micro-batches each; make it a multiple of {shares}"
        )

    def ordered(epoch: int) -> Sequence[Key]:
        if rare_classes is not None:
            return [(0, *key) for key in rare_classes.epoch(seed, epoch)]
        return [(0, epoch, index) for index in numpy_generator(seed, "order", epoch).permutation(len(samples)).tolist()]

    def keys() -> Iterator[Sequence[Key]]:
        for step in range(first_step, last_step):
            epoch, number = divmod(step, per_epoch)
            if step == first_step or number == 0:
                order = ordered(epoch)
            for part in range(rank * micro_batches, (rank + 1) * micro_batches):
                mine = _part(part, shares, number * (batch_size - extra), batch_size - extra)
                yield [*order[mine.start : mine.stop], *map(further, _part(part, shares, step * extra, extra))]

    feeds = [Feed(samples=samples, augmentation=augmentation, views=views or {}, rare_classes=rare_classes)]
    if unlabelled is not None:
        feeds.append(unlabelled.feed)
    further = _endless(seed, len(feeds[-1].samples))
    return _grouped(_batches(BatchMaker(feeds, num_classes), keys(), workers, pinned=pinned), micro_batches)


def _part(part: int, parts: int, first: int, count: int) -> range:
    """Give one of the equal parts of `count` places from `first` on."""
    share = count // parts
    return range(first + part * share, first + (part + 1) * share)


def _endless(seed: int, count: int) -> Callable[[int], Key]:
    """Give what says which unlabelled sample has a place in their order: a permutation of all, then another."""

    @lru_cache(maxsize=2)
    def ordered(epoch: int) -> Sequence[int]:
        order: list[int] = numpy_generator(seed, "unlabelled-order", epoch).permutation(count).tolist()
        return order

    def key(place: int) -> Key:
        epoch, number = divmod(place, count)
        return (1, epoch, ordered(epoch)[number])

    return key


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
    shares = eval_shares(len(samples), batch_size=batch_size, rank=rank, world=world)
    keys = ([(0, 0, index) for index in share] for share in shares)
    return _batches(BatchMaker([Feed(samples=samples)], num_classes), keys, workers, pinned=pinned)


def eval_shares(count: int, *, batch_size: int, rank: int = 0, world: int = 1) -> Iterator[range]:
    """Give the indices, of `count` samples, that each batch of `eval_batches` has."""
    mine = range(rank, count, world)
    return (mine[start : start + batch_size] for start in range(0, len(mine), batch_size))


def _batches(make: BatchMaker, keys: Iterable[Sequence[Key]], workers: int, *, pinned: bool) -> Iterator[Batch]:
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


@frozen(eq=False)
class _Filled:
    """A batch whose images and masks lie in a slot. No tuple: torch makes lists of those where there is a GPU."""

    shapes: tuple[Shape, ...]
    """Of the images, the masks and each view."""
    ids: tuple[str, ...]
    extras: tuple[Mapping[str, Any], ...]
    views: tuple[str, ...]


@frozen(eq=False)
class _IntoSlot:
    """Makes batches in slots; those too large for one are given whole."""

    make: BatchMaker
    slots: Slots

    def __call__(self, key: tuple[int, Sequence[Key]]) -> tuple[int, _Filled | Batch]:
        slot, pairs = key
        taken: list[Shape] = []

        def place(shapes: Sequence[Shape]) -> list[npt.NDArray[np.uint8]]:
            places = self.slots.places(slot, shapes)
            taken.extend(() if places is None else shapes)
            return places or fresh(shapes)

        batch = self.make(pairs, place)
        return slot, _Filled(tuple(taken), batch.ids, batch.extras, tuple(batch.views)) if taken else batch


def _lent(slots: Slots, slot: int, filled: _Filled | Batch) -> Batch:
    """Give the batch that a worker made."""
    if isinstance(filled, Batch):
        slots.give_back(slot)
        return filled
    images, masks, *rest = slots.tensors(slot, filled.shapes)
    views = dict(zip(filled.views, rest, strict=True))
    return Batch(images=images, masks=masks, ids=filled.ids, extras=filled.extras, views=views)


def _grouped(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Give `size` batches at a time."""
    while group := list(islice(batches, size)):
        yield group
