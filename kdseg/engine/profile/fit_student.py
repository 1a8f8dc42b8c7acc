"""Students for a budget: the networks of a family that hold it on this machine, and of which none is worth more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import evolve, frozen

from kdseg.components import BackboneContext
from kdseg.data.samples import ClassTable
from kdseg.engine.models.model import card_of
from kdseg.engine.profile.clock import by_turns
from kdseg.engine.profile.latency_model import LatencyModel, Work
from kdseg.engine.profile.layers import count_layers
from kdseg.engine.profile.runtimes import prediction
from kdseg.engine.profile.telling import recipe_line
from kdseg.errors import KdsegError, component_told
from kdseg.recipe.single import plain_component

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import nn

    from kdseg.components import Backbone
    from kdseg.engine.models.model import SegmentationModel
    from kdseg.registry import Registry

FITTED = 14
"""Networks that are measured to fit the latencies of all."""
TRIES = 4
"""How often those of the front that are not measured yet are measured, and the fit is made anew."""
SLACK = 1.25
"""How far above the budget a fitted latency may be for its network to be measured: fits are off."""
ROUNDS = 9


@frozen(kw_only=True)
class Budget:
    """What a student may cost, each at most; None: whatever it is."""

    parameters: float | None = None
    macs: float | None = None
    milliseconds: float | None = None

    def holds(self, candidate: Candidate) -> bool:
        """Whether the counts of a candidate are within it."""
        return (self.parameters is None or candidate.parameters <= self.parameters) and (
            self.macs is None or candidate.work.macs <= self.macs
        )


@frozen(kw_only=True)
class Candidate:
    """A network of the family."""

    backbone: Backbone
    parameters: int
    work: Work
    fitted: float | None = None
    """Milliseconds that the fit tells."""
    measured: float | None = None
    """Milliseconds that it took, in the median."""

    @property
    def milliseconds(self) -> float:
        """What is known of its latency: measured where it was."""
        known = self.fitted if self.measured is None else self.measured
        assert known is not None
        return known


@frozen(kw_only=True)
class Fitted:
    """What a search found."""

    front: tuple[Candidate, ...]
    """Measured, within the budget; the most parameters first."""
    considered: tuple[Candidate, ...]
    """All whose counts are within it, with their latencies."""
    error: float
    """Of the fitted latencies: how far one is off in the median, as a share."""


def fit_student(
    family: Iterable[Backbone],
    budget: Budget,
    *,
    size: tuple[int, int],
    classes: int,
    make: Callable[[nn.Module, Mapping[str, Any]], SegmentationModel],
    threads: int | None,
    most: int,
    registry: Registry,
    on_network: Callable[[str], object] = lambda _doing: None,
) -> Fitted:
    """Search a family for the students that hold a budget.

    Of two networks the one is worth more that has no fewer parameters, no fewer multiplications and is no slower: the
    front is of those than which none is worth more.

    Args:
        family: the networks.
        budget: what a student may cost.
        size: height and width of the images.
        classes: how many there are.
        make: gives a network, with its card, as the runtime has it by which latencies are measured.
        threads: of PyTorch; None leaves them.
        most: how many of the front are measured at a time, and given.
        registry: knows the family.
        on_network: told what is done to each network.

    Raises:
        KdsegError: nothing holds the budget; with what came nearest.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    counted = [one for one in _counted(family, budget, size, classes, registry, on_network) if budget.holds(one)]
    if not counted:
        raise KdsegError("no network of the family has as few parameters and multiplications; allow more")

    def measured(chosen: Sequence[Candidate]) -> list[Candidate]:
        return _measured(chosen, size, classes, make, registry, on_network)

    known = {one.backbone: one for one in measured(_spread(counted, FITTED))}
    limit = math.inf if budget.milliseconds is None else budget.milliseconds
    for _ in range(TRIES):
        model = LatencyModel.fit([one.work for one in known.values()], [one.milliseconds for one in known.values()])
        told = [known.get(one.backbone) or evolve(one, fitted=model.milliseconds(one.work)) for one in counted]
        hopeful = [one for one in told if one.milliseconds <= (limit if one.measured else limit * SLACK)]
        unknown = [one for one in _worthiest(hopeful) if one.measured is None][:most]
        if not unknown:
            break
        known |= {one.backbone: one for one in measured(unknown)}
    told = [known.get(one.backbone, one) for one in told]
    held = [one for one in known.values() if one.milliseconds <= limit]
    if not held:
        nearest = min(known.values(), key=lambda one: one.milliseconds)
        raise KdsegError(
            f"no network within the other budgets takes {limit:g} ms or less here; the fastest that was measured takes "
            f"{nearest.milliseconds:.1f} ms: {recipe_line(nearest.backbone, registry)}"
        )
    return Fitted(front=tuple(_worthiest(held)[:most]), considered=tuple(told), error=model.error)


def pareto(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Give those than which no other is worth more."""

    def worth(one: Candidate) -> tuple[float, float, float]:
        return one.parameters, one.work.macs, -one.milliseconds

    def beaten(one: Candidate) -> bool:
        return any(
            worth(other) != worth(one) and all(a >= b for a, b in zip(worth(other), worth(one), strict=True))
            for other in candidates
        )

    return [one for one in candidates if not beaten(one)]


def _worthiest(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Give the front, the most parameters first."""
    return sorted(pareto(candidates), key=lambda one: (-one.parameters, one.milliseconds))


def _counted(
    family: Iterable[Backbone],
    budget: Budget,
    size: tuple[int, int],
    classes: int,
    registry: Registry,
    on_network: Callable[[str], object],
) -> Iterable[Candidate]:
    """Count what networks cost, those with too many parameters left out before anything else is counted."""
    for backbone in family:
        with torch.device("meta"):
            network = _built(backbone, classes, registry)
        parameters = sum(weight.numel() for weight in network.parameters())
        on_network("counting")
        if budget.parameters is not None and parameters > budget.parameters:
            continue
        rows = count_layers(network, 1, size)
        macs = sum(row.macs for row in rows)
        grouped = {name for name, module in network.named_modules() if getattr(module, "groups", 1) > 1}
        yield Candidate(
            backbone=backbone,
            parameters=parameters,
            work=Work(
                macs=macs,
                activation_bytes=sum(row.activation_bytes for row in rows),
                layers=len(rows),
                grouped=sum(row.macs for row in rows if row.name in grouped) / max(macs, 1),
            ),
        )


def _built(backbone: Backbone, classes: int, registry: Registry) -> nn.Module:
    with component_told(f"backbone {registry.entry_of(type(backbone)).qualified}"):
        return backbone.build(BackboneContext(in_channels=3, num_classes=classes)).eval()


def _spread(candidates: Sequence[Candidate], most: int) -> list[Candidate]:
    """Give some that lie far from each other, the first the one of the fewest multiplications."""
    places = np.log([[one.work.macs, one.work.activation_bytes, 1 + 9 * one.work.grouped] for one in candidates])
    chosen = [int(places[:, 0].argmin())]
    while len(chosen) < min(most, len(candidates)):
        distances = np.linalg.norm(places[:, None] - places[chosen], axis=2).min(1)
        distances[chosen] = -1
        chosen.append(int(distances.argmax()))
    return [candidates[index] for index in chosen]


def _measured(
    candidates: Sequence[Candidate],
    size: tuple[int, int],
    classes: int,
    make: Callable[[nn.Module, Mapping[str, Any]], SegmentationModel],
    registry: Registry,
    on_network: Callable[[str], object],
) -> list[Candidate]:
    """Measure networks by turns, from an image to its class map."""
    table = ClassTable(names=tuple(map(str, range(classes))), colours=((0, 0, 0),) * classes)
    ctx = BackboneContext(in_channels=3, num_classes=classes)
    images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    contestants: dict[str, Any] = {}
    for number, candidate in enumerate(candidates):
        on_network("making")
        card = card_of(plain_component(candidate.backbone, registry), table, ctx.mean, ctx.std)
        contestants[str(number)] = prediction(make(_built(candidate.backbone, classes, registry), card), images)
    if not contestants:
        return []
    timings = by_turns(contestants, device=images.device, rounds=ROUNDS, on_round=lambda: on_network("measuring"))
    return [
        evolve(candidate, measured=1000 * timings[str(number)].median) for number, candidate in enumerate(candidates)
    ]
