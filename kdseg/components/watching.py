"""What watches a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from attrs import field, frozen

from kdseg.components.base import Component

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdseg.hooks import Hooks


@frozen(kw_only=True)
class CallbackContext:
    """What a callback is built for."""

    label: str
    """The name of its table in the recipe."""
    metric: str
    """What the recipe judges learners by; greater is better."""
    scores: tuple[str, ...] = ()
    """The names of all scores of a participant that it could judge by."""
    terms: tuple[str, ...] = ()
    """The names of all."""
    sources: Mapping[str, tuple[str, ...]] = field(factory=dict)
    """With whom each learner's terms compare it, by the learner's name."""
    clips: Mapping[str, float] = field(factory=dict)
    """By learner, the norm beyond which its gradient is clipped; without those that are not."""
    taps: Mapping[str, tuple[str, ...]] = field(factory=dict)
    """By participant, the names of its network's stages."""
    submodules: Mapping[str, tuple[str, ...]] = field(factory=dict)
    """By participant, the dotted paths of all modules in its network."""


@frozen(kw_only=True)
class Callback(Component):
    """Something that watches a run. `build` gives a `kdseg.Hooks`, made anew for each run."""

    order: Annotated[int, "who is told of an event first: the lower; of equals as the recipe names them"] = 0
    strict: Annotated[bool, "whether the run ends where it fails, or goes on without it and says so"] = False

    def build(self, ctx: CallbackContext) -> Hooks:
        """Make the watcher.

        `kdseg check` calls it, too, so what is wrong with options is told before hours are spent.

        Raises:
            OptionError: an option does not fit the recipe.
        """
        raise NotImplementedError
