"""The terms of a recipe at work, and which of them are computed together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from attrs import define, field, frozen

from kdseg.losses import LossModule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from kdseg.components import Loss
    from kdseg.ensembles import Combination
    from kdseg.losses import FusedLoss
    from kdseg.recipe.heads import Head

Fuse = Literal["auto", "torch", "off"]
log = logging.getLogger(__name__)


@frozen(kw_only=True, eq=False)
class Term:
    """A term of the recipe with its loss at work."""

    name: str
    learner: Head
    sources: tuple[Head, ...]
    combine: Combination | None
    """What makes one of several sources."""
    loss: Loss
    module: LossModule
    learner_taps: tuple[str, ...]
    on_all: bool = False
    """Whether pixels without a label count too."""

    def may_join(self, other: Term) -> bool:
        """Whether it could be computed with another: of one prediction and its pixels, the other's sources or none."""
        same = self.sources == other.sources and self.combine is other.combine
        return self.learner == other.learner and self.on_all == other.on_all and (same or not self.sources)


@frozen
class Unit:
    """Terms of one learner that are computed together: several only where their losses offer that."""

    terms: tuple[str, ...]
    """That which offers comes first: the others have its sources, or none."""
    fused: FusedLoss | None = None


@define(kw_only=True, eq=False)
class Fusing:
    """Finds the losses that offer a quicker equal for themselves, or for several at once."""

    terms: Mapping[str, Term]
    fuse: Fuse
    device: torch.device
    _found: dict[tuple[str, ...], list[Unit]] = field(factory=dict)

    def units(self, names: Sequence[str], *, plain: bool) -> list[Unit]:
        """Split a learner's terms into units.

        Args:
            names: the terms that count at a step.
            plain: compute each by itself, as its loss is written: only then do gradients of single terms exist.
        """
        if plain or self.fuse == "off":
            return [Unit((name,)) for name in names]
        key = tuple(names)
        if key not in self._found:
            self._found[key] = self._fused(key)
        return self._found[key]

    def _fused(self, names: tuple[str, ...]) -> list[Unit]:
        fused: list[Unit] = []
        left = list(names)
        for name in names:
            term = self.terms[name]
            if name not in left:
                continue
            partners = [other for other in left if other != name and self.terms[other].may_join(term)]
            offer = term.module.fuse(
                [self.terms[other].module for other in partners], device=self.device, compiled=self.fuse == "auto"
            )
            if offer is None:
                continue
            by_module = {self.terms[other].module: other for other in (name, *partners)}
            unit = Unit(tuple(by_module[module] for module in offer.modules), offer)
            fused.append(unit)
            left = [other for other in left if other not in unit.terms]
            log.info("%s: computed %s", " and ".join(f"terms.{one}" for one in unit.terms), offer.how)
        return fused + [Unit((name,)) for name in left]
