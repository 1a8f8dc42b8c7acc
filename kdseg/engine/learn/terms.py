"""The terms of a recipe at work, and which of them are computed together."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import torch
from attrs import define, field, frozen

from kdseg.data.samples import IGNORE_INDEX
from kdseg.engine.learn.targets import filled
from kdseg.losses import LossModule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from kdseg.components import Loss
    from kdseg.engine.learn.class_map import Known
    from kdseg.ensembles import Combination
    from kdseg.losses import FusedLoss, Prediction
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
    known: Known | None = None
    """The classes that it is about, where its source does not know all."""

    def mine(self, learner: Prediction) -> Prediction:
        """Give what its loss sees of a learner's prediction."""
        prediction = learner.of(self.learner.name)
        return prediction if self.known is None else self.known.prediction(prediction)

    def counted(self, target: Tensor) -> Tensor:
        """Give labels N×H×W, as far as its loss counts them before anybody has predicted."""
        found = target if self.known is None else self.known.target(target)
        return found.masked_fill(target == IGNORE_INDEX, 0) if self.on_all else found

    def heard_at(self, target: Tensor, opinions: Sequence[Prediction]) -> Tensor:
        """Give the labels that its loss sees; where it counts on all pixels, they are filled by what is predicted.

        Args:
            target: N×H×W.
            opinions: those whose likeliest class stands where there is no label.
        """
        found = target if self.known is None else self.known.target(target)
        if not self.on_all:
            return found
        everywhere = filled(found, [opinion.logits for opinion in opinions])
        return everywhere if self.known is None else torch.where(target == IGNORE_INDEX, everywhere, found)

    def may_join(self, other: Term) -> bool:
        """Whether it could be computed with another: of one prediction and its pixels, the other's sources or none."""
        same = self.sources == other.sources and self.combine is other.combine
        pixels = (self.on_all, self.known and self.known.classes) == (other.on_all, other.known and other.known.classes)
        return self.learner == other.learner and pixels and (same or not self.sources)


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
