"""What a recipe's callbacks are built for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.components import CallbackContext
from kdseg.metrics.segmentation import scores_to_judge_by
from kdseg.recipe.schema import Learner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdseg.engine.learn.participants import Participant
    from kdseg.recipe.schema import Recipe


def callback_context(recipe: Recipe, label: str, participants: Mapping[str, Participant]) -> CallbackContext:
    """Give what the callback in the table `label` is built for.

    Args:
        recipe: whose table it is.
        label: its name.
        participants: the recipe's, on whatever device.
    """
    sources: dict[str, dict[str, None]] = {}
    for term in recipe.terms.values():
        learner = term.learns.participant
        others = [head.participant for head in term.hears if head.participant != learner]
        sources.setdefault(learner, {}).update(dict.fromkeys(others))
    return CallbackContext(
        label=label,
        metric=recipe.evaluate.metric,
        scores=scores_to_judge_by(recipe.evaluate.metrics),
        terms=tuple(recipe.terms),
        sources={name: tuple(found) for name, found in sources.items()},
        clips={
            name: model.clip
            for name, model in recipe.models.items()
            if isinstance(model, Learner) and model.clip is not None
        },
        taps={name: tuple(one.backbone.taps(one.module)) for name, one in participants.items()},
        submodules={
            name: tuple(path for path, _ in one.module.named_modules() if path) for name, one in participants.items()
        },
    )
