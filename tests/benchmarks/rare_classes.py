"""What rare-class sampling shows a network of a recipe's dataset, class by class, and what it takes.

``python tests/benchmarks/rare_classes.py camvid_student``, with --set as for `kdseg run`. It is no part of the test
suite.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import numpy as np
from attrs import asdict

from kdseg.components import DatasetContext
from kdseg.data.augment import Augmentation
from kdseg.data.loader import train_steps
from kdseg.data.rare_classes import rare_classes
from kdseg.data.scan import scan
from kdseg.recipe.load import find_recipe, load_recipe
from kdseg.recipe.schema_train import RareClasses

if TYPE_CHECKING:
    import numpy.typing as npt

    from kdseg.data.rare_classes import RareClasses as Draws
    from kdseg.recipe.schema import Recipe


def main() -> None:
    """Load an epoch in both orders and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    recipe = load_recipe(find_recipe(options.recipe), options.settings).recipe
    samples = recipe.data.train.build(DatasetContext(split="train", seed=recipe.seed))
    names = recipe.data.train.class_table().names
    found = scan(samples, len(names))
    draws = rare_classes(
        found.labelled_pixels, found.pixels.sum(1), **asdict(recipe.data.rare_classes or RareClasses())
    )
    plain, plain_seconds = epoch(recipe, None)
    drawn, drawn_seconds = epoch(recipe, draws)
    totals = found.labelled_pixels.sum(0)
    print(f"{len(plain)} images an epoch: {1000 * plain_seconds:.1f} ms each once, {1000 * drawn_seconds:.1f} ms drawn")
    print(f"{'':20}     share   drawn for   share seen: each once   drawn   images showing it: each once   drawn")
    for number in np.argsort(totals):
        seen = [(masks == number).mean(axis=(1, 2)) for masks in (plain, drawn)]
        print(
            f"{names[number]:20} {totals[number] / totals.sum():9.2%} {draws.probabilities[number]:11.1%}"
            f" {seen[0].mean():23.2%} {seen[1].mean():7.2%}"
            f" {(seen[0] >= draws.min_crop_share).mean():30.0%} {(seen[1] >= draws.min_crop_share).mean():7.0%}"
        )


def epoch(recipe: Recipe, draws: Draws | None) -> tuple[npt.NDArray[np.uint8], float]:
    """Load an epoch, and give its masks with the seconds that an image took."""
    samples = recipe.data.train.build(DatasetContext(split="train", seed=recipe.seed))
    augmentation = Augmentation([(spec.use, spec.options) for spec in recipe.data.augment], recipe.seed)
    began = time.perf_counter()
    steps = train_steps(
        samples,
        augmentation,
        seed=recipe.seed,
        batch_size=1,
        micro_batches=1,
        last_step=len(samples),
        workers=0,
        rare_classes=draws,
    )
    masks = np.concatenate([batch.masks.numpy() for step in steps for batch in step])
    return masks, (time.perf_counter() - began) / len(masks)


if __name__ == "__main__":
    main()
