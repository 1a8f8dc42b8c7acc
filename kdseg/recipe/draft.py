"""A first recipe for a folder of images that a dataset knows how to read."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

from kdseg.recipe.save import dumps

if TYPE_CHECKING:
    from pathlib import Path

    from kdseg.proposals import Proposal

LARGEST_BATCH = 8
CROP = 512
"""Height and width, at most, of what the student sees of a larger image at once."""
EPOCHS = 100
_WIDTH = 118


def draft(dataset: str, root: Path, proposal: Proposal, recipe: Path) -> str:
    """Write the recipe in which a student learns from the labels alone, with what was assumed in comments.

    Args:
        dataset: the dataset's name.
        root: the folder that was shown to it.
        proposal: how it would read that.
        recipe: where the recipe is to lie.
    """
    above = recipe.absolute().parent
    place = root.absolute()
    shown = place.relative_to(above).as_posix() if place.is_relative_to(above) else str(place)
    same_size = len(proposal.sizes) == 1
    document: dict[str, Any] = {
        "seed": 1,
        "train": {"epochs": EPOCHS, "batch_size": max(1, min(LARGEST_BATCH, proposal.images.get("train", 1)))},
        "data": {
            "augment": [*_crop(proposal), {"use": "HorizontalFlip", "p": 0.5}],
            "dataset": {"use": dataset, "root": shown, **proposal.options},
        },
        "models": {"student": {"backbone": "unet1m"}},
        "terms": {"labels": {"learner": "student", "loss": "cross_entropy"}},
    }
    if not same_size:
        document["evaluate"] = {"batch_size": 1}
    head = _comment("A small student learns from the labels alone, as a start. Written by kdseg init, which assumed:")
    notes = "".join(_comment(note, "- ") for note in (*proposal.notes, *proposal.class_notes))
    return f"{head}{notes}{dumps(document)}"


def _crop(proposal: Proposal) -> list[dict[str, Any]]:
    """Give the crop that images need which are large, or not all of one size."""
    sizes = Counter(proposal.sizes)
    height, width = sizes.most_common(1)[0][0]
    if len(sizes) == 1 and max(height, width) <= CROP:
        return []
    return [{"use": "RandomCrop", "height": min(height, CROP), "width": min(width, CROP), "pad_if_needed": True}]


def _comment(text: str, mark: str = "") -> str:
    lines = textwrap.wrap(f"{mark}{text}", _WIDTH, subsequent_indent=" " * len(mark), break_on_hyphens=False)
    return "".join(f"# {line}\n" for line in lines)
