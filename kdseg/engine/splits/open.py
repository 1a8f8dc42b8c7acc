"""A split of a recipe's dataset, with what those who judge on it read beside images and masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import asdict

from kdseg.components import DatasetContext
from kdseg.data.resample import resample, resampled
from kdseg.data.unmasked import unmasked
from kdseg.errors import KdsegError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.components import Dataset, Metric
    from kdseg.data.samples import Samples
    from kdseg.recipe.schema import Recipe
    from kdseg.recipe.schema_train import Unlabelled


def split_context(recipe: Recipe, split: str, metrics: Sequence[Metric] = ()) -> DatasetContext:
    """Say which samples a split's dataset is to give: on `val`, with what the recipe's metrics read."""
    judging = (*metrics, *(recipe.evaluate.metrics if split == "val" else ()))
    extras = dict.fromkeys(extra for metric in judging for extra in metric.extras)
    return DatasetContext(
        split=split,
        seed=recipe.data_seed,
        data_seed=recipe.data.seed,
        extras=tuple(extras),
        by_split={name: recipe.data.for_split(name) for name in recipe.data.dataset.splits},
    )


def open_unlabelled(recipe: Recipe, spec: Unlabelled) -> Samples:
    """Open the split that unlabelled images come from.

    Raises:
        KdsegError: its files are not there.
    """
    ctx = DatasetContext(split=spec.split, seed=recipe.data_seed, data_seed=recipe.data.seed)
    return unmasked(spec.dataset.build(ctx))


def open_split(recipe: Recipe, split: str, metrics: Sequence[Metric] = ()) -> Samples:
    """Open any split of a recipe's dataset, with what metrics beside the recipe's read.

    Raises:
        KdsegError: the dataset has no such split, or its files are not there.
    """
    dataset = recipe.data.for_split(split)
    refuse_unknown(dataset, split)
    samples = dataset.build(split_context(recipe, split, metrics))
    try:
        return resampled_split(recipe, split, samples)
    except OptionError as error:
        raise error.below("data.resample") from None


def resampled_split(recipe: Recipe, split: str, samples: Samples) -> Samples:
    """Give what a recipe takes of a whole split: of the one to train on, as `data.resample` says; of others, all.

    Raises:
        OptionError: naming the key of `data.resample` that asks for more than there is.
    """
    options = recipe.data.resample
    if split != "train" or options is None:
        return samples
    return resampled(samples, resample(len(samples), seed=recipe.data_seed, **asdict(options)))


def refuse_unknown(dataset: Dataset, split: str) -> None:
    """Refuse, with a KdsegError, a split that a dataset does not have."""
    if split not in dataset.splits:
        raise KdsegError(f"{dataset.name} has no split {split!r}; it has {', '.join(dataset.splits)}")


def refuse_unlabelled(samples: Samples, split: str) -> None:
    """Refuse a split on which nothing can be judged: the first samples have no labels.

    Raises:
        KdsegError: naming the split.
    """
    if all(samples[index].mask is None for index in range(min(8, len(samples)))):
        raise KdsegError(f"the {split} split has no labels to score against; `kdseg predict` writes its masks")
