"""What changes the images of a recipe on their way to the networks, and what it has besides the labelled ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.data.augment import Augmentation
from kdseg.data.batches import Feed
from kdseg.data.loader import Unlabelled
from kdseg.data.views import view_augmentation

if TYPE_CHECKING:
    from kdseg.data.samples import Samples
    from kdseg.recipe.schema import Recipe


def augmentation_of(recipe: Recipe, purpose: str = "augment") -> Augmentation:
    """Make what changes training images for all participants; its random streams are keyed by the purpose."""
    return Augmentation([(spec.use, spec.options) for spec in recipe.data.augment], recipe.seed, (purpose,))


def views_of(recipe: Recipe, purpose: str = "view") -> dict[str, Augmentation]:
    """Make what changes them once more, by the names of the participants that see them otherwise."""
    return {
        name: view_augmentation([(s.use, s.options) for s in model.view.augment], recipe.seed, name, purpose)
        for name, model in recipe.models.items()
        if model.view is not None and model.view.augment
    }


def unlabelled_of(recipe: Recipe, samples: Samples | None) -> Unlabelled | None:
    """Make what each step sees besides its labelled samples; None where that is nothing."""
    if samples is None:
        return None
    feed = Feed(
        samples=samples,
        augmentation=augmentation_of(recipe, "unlabelled-augment"),
        views=views_of(recipe, "unlabelled-view"),
    )
    return Unlabelled(feed=feed, images=recipe.unlabelled_images)
