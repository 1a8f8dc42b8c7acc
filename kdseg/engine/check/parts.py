"""What a split and a network must stand before a run."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import numpy as np
import torch

from kdseg.data.images import refuse_small
from kdseg.data.labelled import labelled
from kdseg.data.samples import IGNORE_INDEX
from kdseg.engine.learn.build import META
from kdseg.engine.learn.optim import build_optimizer, try_optimizer
from kdseg.errors import KdsegError, did_you_mean, display_path
from kdseg.recipe.schema import Learner
from kdseg.recipe.schema_train import ADAMW
from kdseg.registry import refuse_unmet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdseg.data.samples import Samples
    from kdseg.engine.learn.participants import Participant
    from kdseg.engine.learn.terms import Term
    from kdseg.recipe.heads import Head
    from kdseg.recipe.schema import Recipe
    from kdseg.recipe.schema import Term as TermSpec
    from kdseg.recipe.schema_train import Train, Unlabelled

IMAGES_READ = 8
"""How many images of a split are read, at most, to see whether they fit the networks and each other."""


def check_samples(samples: Samples, split: str, num_classes: int) -> None:
    """Refuse a split without samples, or one whose first samples no network could learn from."""
    if not len(samples):
        raise KdsegError(f"the {split} split has no images")
    for index in range(min(len(samples), IMAGES_READ)):
        sample = labelled(samples[index])
        refuse_small(sample.image, f"{split} image {sample.id}")
        labels = set(np.unique(sample.mask).tolist()) - {IGNORE_INDEX, *range(num_classes)}  # type: ignore[arg-type]
        if labels:
            raise KdsegError(
                f"{split} image {sample.id} has the label {min(labels)}; its dataset has {num_classes} classes, from 0 "
                f"to {num_classes - 1}, and {IGNORE_INDEX} for ignored pixels"
            )


def check_shares(train: Train, world: int) -> None:
    """Refuse a batch that does not divide over processes and micro-batches."""
    if train.batch_size % (world * train.micro_batches):
        raise KdsegError(
            f"a step's batch of {train.batch_size} does not divide over {world} processes with "
            f"{train.micro_batches} micro-batches each"
        )


def check_unlabelled_share(train: Train, unlabelled: Unlabelled, world: int) -> None:
    """Refuse a share of unlabelled images that does not, or that leaves nothing of one kind."""
    parts, batch, images = world * train.micro_batches, train.batch_size, unlabelled.of(train.batch_size)
    if images % parts == 0 and 0 < images < batch:
        return
    fitting = [number / batch for number in range(parts, batch, parts)]
    mend = (
        f"share = {min(fitting, key=lambda share: abs(share - unlabelled.share)):g} would"
        if fitting
        else f"with a batch_size of {2 * parts} or more some would"
    )
    raise KdsegError(
        f"{unlabelled.share:g} of a step's {batch} images are {images}, which does not give each of {world} processes "
        f"with {train.micro_batches} micro-batches as many images with and without labels; {mend}"
    )


def check_output_folder(recipe: Recipe) -> None:
    """Refuse a folder for runs that cannot be written."""
    folder = (recipe.output.folder / recipe.name).absolute()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".kdseg-", dir=existing):
            pass
    except NotADirectoryError as error:
        raise KdsegError(f"{display_path(existing)} is a file; a folder for runs is needed") from error
    except OSError as error:
        what = f"{display_path(existing)} cannot be written to ({error.strerror})"
        raise KdsegError(f"{what}; name a folder that can") from error


def check_tracking(recipe: Recipe) -> None:
    """Refuse what needs a library that is not installed."""
    if recipe.tracking.tensorboard:
        refuse_unmet("it", ("tensorboard>=2.16",))


def check_critic(spec: TermSpec, term: Term) -> None:
    """Refuse an optimizer for a critic that is not there, or one that cannot train it."""
    critic = term.module.critic
    if critic is None and spec.critic is not None:
        raise KdsegError(f"the loss {spec.loss.name!r} has no critic; leave this key out")
    if critic is not None:
        optimizer = spec.critic or ADAMW
        try_optimizer(optimizer)
        build_optimizer(optimizer, list(critic.parameters()))


def try_forward(
    participant: Participant, batch: int, size: tuple[int, int], num_classes: int
) -> dict[str, tuple[int, ...]]:
    """Run a batch through on the meta device, in the mode that training needs, and give the shapes of further heads."""
    learns = isinstance(participant.spec, Learner)
    participant.set_training(learns)
    try:
        prediction = participant.predict_in_training(torch.empty(batch, 3, *size, device=META))
    except KdsegError:  # it says itself what would mend it
        raise
    except Exception as error:
        raise KdsegError(
            f"cannot take a batch of {batch} at {size[0]}x{size[1]}: {error}; larger images, more of them at once or "
            "fewer down-samplings may mend it"
        ) from error
    if prediction.logits.shape != (batch, num_classes, *size):
        raise KdsegError(
            f"gives logits {tuple(prediction.logits.shape)} for {batch} images of {size[0]}x{size[1]}; "
            f"{(batch, num_classes, *size)} is right"
        )
    return {name: tuple(head.shape) for name, head in prediction.heads.items()}


def check_head(head: Head, heads: Mapping[str, tuple[int, ...]], logits: tuple[int, ...]) -> None:
    """Refuse a head that the network lacks, or one that gives no logits.

    Args:
        head: which is meant.
        heads: the shapes of those that its participant has.
        logits: the shape that is right.
    """
    if head.name is None:
        return
    if head.name not in heads:
        hint = did_you_mean(head.name, heads) or f"; it has {', '.join(heads) or 'none'}"
        raise KdsegError(f"{head.participant} has no further head {head.name!r}{hint}")
    if heads[head.name] != logits:
        raise KdsegError(f"the head {head.name!r} of {head.participant} gives {heads[head.name]}; {logits} is right")
