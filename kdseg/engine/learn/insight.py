"""What each term pulls at: the size of its gradient at what it reads, and how far terms pull the same way."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import torch
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from kdseg.engine.machine.processes import Processes
    from kdseg.losses import Prediction

LOGITS = "logits"


@define(eq=False)
class Insight:
    """The gradients of one step's terms, summed over micro-batches, then over processes."""

    squares: dict[str, Tensor] = field(factory=dict)
    """Each term's squared norm at what it reads: logits, further heads, taps."""
    products: dict[tuple[str, str], Tensor] = field(factory=dict)
    """Of each two terms of a learner, the scalar product of their gradients and both squared norms at one place, and at
    how many micro-batches there was one. They are added up over processes: each has all pairs, in one order."""
    _rounding: float = 0.0
    """What gradients are rounded by, at most, as shares of themselves."""

    def look(self, terms: Mapping[str, Tensor], reads: Mapping[str, Sequence[str]], prediction: Prediction) -> None:
        """Add a micro-batch's gradients.

        Args:
            terms: the weighted values of the terms of one learner.
            reads: the taps that each reads.
            prediction: the learner's.
        """
        places = _places(prediction)
        found: dict[str, dict[str, Tensor]] = {}
        for name, weighted in terms.items():
            own = [LOGITS, *(f"head {head}" for head in prediction.heads), *reads[name]]
            found[name] = _gradients(weighted, places, own)
            squares = [gradient.double().square().sum() for gradient in found[name].values()]
            self._add(
                self.squares, name, torch.stack(squares).sum() if squares else torch.zeros_like(weighted).double()
            )
        order = {place: number for number, place in enumerate(places)}
        last = {name: max(those, key=order.__getitem__) for name, those in found.items() if those}
        shared = {pair: min((last[one] for one in pair), key=order.__getitem__) for pair in combinations(last, 2)}
        for name, weighted in terms.items():
            missing = [place for pair, place in shared.items() if name in pair and place not in found[name]]
            found[name] |= _gradients(weighted, places, dict.fromkeys(missing))
        for one, other in combinations(terms, 2):
            sums = prediction.logits.new_zeros(4, dtype=torch.float64)
            place = shared.get((one, other))
            if place in found[one] and place in found[other]:  # else the network knows no way from one to the other
                self._rounding = max(self._rounding, torch.finfo(found[one][place].dtype).eps)
                mine, theirs = (found[name][place].double().flatten() for name in (one, other))
                sums = torch.stack([mine @ theirs, mine @ mine, theirs @ theirs, torch.ones_like(mine[0])])
            self._add(self.products, (one, other), sums)

    def reduced(self, processes: Processes) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Give norms by term, and cosines by ``TERM+TERM``, over all processes.

        A cosine is 0 where one of the two gradients is nothing, or no more than rounding beside the other.
        """
        processes.sum_([*self.squares.values(), *self.products.values()])
        cosines = {}
        for (one, other), (product, mine, theirs, looks) in self.products.items():
            if not looks:
                continue
            sound = torch.minimum(mine, theirs) > (16 * self._rounding) ** 2 * torch.maximum(mine, theirs)
            cosines[f"{one}+{other}"] = torch.where(sound, product / (mine * theirs).sqrt(), 0)
        return {name: square.sqrt() for name, square in self.squares.items()}, cosines

    @staticmethod
    def _add(sums: dict, key: object, value: Tensor) -> None:  # type: ignore[type-arg] # of either field
        sums[key] = sums[key] + value if key in sums else value


def _places(prediction: Prediction) -> dict[str, Tensor]:
    """Give where gradients can be looked at, in the order in which the network made them."""
    heads = {f"head {name}": head for name, head in prediction.heads.items()}
    return {**prediction.taps, **heads, LOGITS: prediction.logits}


def _gradients(weighted: Tensor, places: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """Give the gradients at some places, of those that the term reaches."""
    at = {name: places[name] for name in names if places[name].requires_grad}
    if not at or not weighted.requires_grad:
        return {}
    gradients = torch.autograd.grad(weighted, list(at.values()), retain_graph=True, allow_unused=True)
    return {name: gradient for name, gradient in zip(at, gradients, strict=True) if gradient is not None}
