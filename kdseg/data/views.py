"""A participant's own look at images: other light and colours, or another size, never another geometry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import albumentations

from kdseg.data.augment import Augmentation
from kdseg.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOVES = (
    "{!r} changes masks too, and a view shares the geometry of its sample; put it into data.augment, or take one that "
    "changes pixels alone, such as ColorJitter or GaussianBlur"
)


def view_augmentation(
    transforms: Sequence[tuple[str, Mapping[str, Any]]], seed: int, name: str, purpose: str = "view"
) -> Augmentation:
    """Make what changes the augmented images once more for one participant.

    Args:
        transforms: class names of albumentations with their options, in the order of their work.
        seed: the recipe's.
        name: the participant's.
        purpose: begins the key of its random streams; the name follows.

    Raises:
        OptionError: what is wrong with them, all at once; above all those that do more than change pixels' values.
    """
    moving = [
        position
        for position, (use, _) in enumerate(transforms)
        if isinstance(cls := getattr(albumentations, use, None), type) and issubclass(cls, albumentations.DualTransform)
    ]
    if moving:
        raise OptionError((f"{position}.use", _MOVES.format(transforms[position][0])) for position in moving)
    return Augmentation(transforms, seed, (purpose, name), f"models.{name}.view.augment")
