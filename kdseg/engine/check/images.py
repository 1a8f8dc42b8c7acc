"""What can be wrong with a recipe's images: splits are opened, and the first batch is loaded as the run will."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from kdseg.data.defects import gathered
from kdseg.data.images import refuse_small, refuse_small_scale
from kdseg.data.loader import eval_batches, steps_per_epoch, train_steps
from kdseg.data.samples import Sample
from kdseg.engine.check.parts import IMAGES_READ, check_samples, check_shares, check_unlabelled_share
from kdseg.engine.models.whole_image import WholeImage
from kdseg.engine.splits.feeds import unlabelled_of, views_of
from kdseg.engine.splits.open import open_unlabelled, refuse_unknown, resampled_split, split_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from kdseg.data.augment import Augmentation
    from kdseg.data.samples import Samples
    from kdseg.engine.check.problems import Found
    from kdseg.recipe.schema import Recipe


def open_splits(found: Found, world: int, num_classes: int) -> dict[str, Samples]:
    """Open both splits, and the unlabelled images where there are some, and read the first samples of each."""
    recipe = found.loaded.recipe
    data, train = recipe.data, recipe.train
    opened: dict[str, Samples] = {}
    for split in ("train", "val"):
        dataset = data.for_split(split)
        key = "data.dataset" if dataset is data.dataset else f"data.{split}"
        with found.at(key):
            samples = dataset.build(split_context(recipe, split))
            with found.at("data.resample"):
                samples = resampled_split(recipe, split, samples)
            opened[split] = _open(found, key, split, num_classes, samples)
    if data.unlabelled is not None:
        with found.at("data.unlabelled.split"):
            refuse_unknown(data.unlabelled.dataset, data.unlabelled.split)
            with found.at("data.unlabelled.dataset"):
                samples = open_unlabelled(recipe, data.unlabelled)
                opened["unlabelled"] = _open(found, "data.unlabelled.dataset", "unlabelled", num_classes, samples)
    if "train" in opened:
        with found.at("train.batch_size"):
            check_shares(train, world)
            if data.unlabelled is not None:
                with found.at("data.unlabelled.share"):
                    check_unlabelled_share(train, data.unlabelled, world)
            split = "the training split" if data.resample is None else "the training split, resampled,"
            steps_per_epoch(len(opened["train"]), train.batch_size, recipe.unlabelled_images, split=split)
    found.end_of_phase()
    return opened


def _open(found: Found, key: str, split: str, num_classes: int, samples: Samples) -> Samples:
    """Tell what is wrong with a split as far as its listing and its first samples show."""
    for defect in gathered(map(str, getattr(samples, "defects", ()))):
        found.add(key, defect)
    check_samples(samples, split, num_classes)
    return samples


def try_loading(found: Found, world: int, opened: Mapping[str, Samples], augmentation: Augmentation) -> tuple[int, int]:
    """Load as the run will, and give height and width of the training images."""
    recipe, train, val = found.loaded.recipe, opened["train"], opened["val"]
    height = width = 0
    with found.at("data.augment"):
        augmentation.check(train[0])
        images = _first_batch(recipe, world, opened, augmentation)
        refuse_small(images[0], "a training image, augmented,")
        height, width = images.shape[1:3]
        for name, model in recipe.models.items():
            if model.view is not None:
                with found.at(f"models.{name}.view.scale"):
                    refuse_small_scale(height, width, model.view.scale)
        for name, view in views_of(recipe).items():
            with found.at(f"models.{name}.view.augment"):
                view.check(Sample(image=images[0], mask=None, id="augmented"))
    with found.at("evaluate.batch_size"):
        batch_size = min(recipe.evaluate.batch_size or recipe.train.batch_size, IMAGES_READ)
        judged = next(eval_batches(val, batch_size=batch_size, workers=0)).images
        with found.at("evaluate.scales"):
            WholeImage.of(recipe.evaluate, batch_size).refuse(*judged.shape[1:3])
    found.end_of_phase()
    return height, width


def _first_batch(
    recipe: Recipe, world: int, opened: Mapping[str, Samples], augmentation: Augmentation
) -> npt.NDArray[np.uint8]:
    """Load the images of a first micro-batch, or of a part of it where it has many."""
    parts = world * recipe.train.micro_batches
    extra = unlabelled_of(recipe, opened.get("unlabelled"))
    if extra is not None:
        extra = evolve(extra, images=min(extra.images // parts, IMAGES_READ))
    share = min((recipe.train.batch_size - recipe.unlabelled_images) // parts, IMAGES_READ)
    steps = train_steps(
        opened["train"],
        augmentation,
        seed=recipe.seed,
        batch_size=share + (0 if extra is None else extra.images),
        micro_batches=1,
        last_step=1,
        workers=0,
        unlabelled=extra,
    )
    return next(steps)[0].images.numpy()
