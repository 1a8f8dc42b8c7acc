"""How large gradients are, before they are clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils import get_total_norm

from kdseg.hooks import Hooks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from kdseg.hooks import RunView


class MeasureGradients(Hooks):
    """Measures the gradient of every so many steps of each learner."""

    def __init__(self, label: str, every: int, clips: Mapping[str, float], *, by_stage: bool, updates: bool) -> None:
        self._label, self._every, self._clips = label, every, clips
        self._by_stage, self._updates = by_stage, updates
        self._steps: dict[str, int] = {}  # by learner, those that it began
        self._clipped: dict[str, int] = {}  # of those that were looked at
        self._found: dict[str, Tensor] = {}
        self._before: dict[str, list[Tensor]] = {}

    def on_gradients(self, run: RunView, learner: str) -> None:
        """Measure the gradient, where it is this step's turn; its number is read at the end of the step."""
        taken = self._steps.get(learner, 0)
        self._steps[learner] = taken + 1
        if taken % self._every:
            return
        network = run.participants[learner]
        parts = parts_of(network) if self._by_stage else {"": list(network.parameters())}
        gradients = {part: [one.grad for one in those if one.grad is not None] for part, those in parts.items()}
        norms = {part: norm_of(those) for part, those in gradients.items() if those}
        if not norms:  # it learns in no term of this turn
            return
        self._found[learner] = torch.stack([*norms.values()]).norm()
        if self._by_stage:
            self._found |= {f"{learner}/{part}": norm for part, norm in norms.items()}
        if self._updates:
            self._before[learner] = [whole(one.detach()).clone() for one in network.parameters()]

    def on_step_end(self, run: RunView) -> None:
        """Write what was measured."""
        found, self._found = self._found, {}
        for learner, before in self._before.items():
            after = [whole(one.detach()) for one in run.participants[learner].parameters()]
            weights = norm_of(after)
            moved = norm_of(new - old for new, old in zip(after, before, strict=True))
            found |= {f"{learner}/weights": weights, f"{learner}/update": moved / weights}
        self._before = {}
        for name, norm in found.items():
            run.record(f"{self._label}/{name}", float(norm))
            if name in self._clips:
                looked = -(-self._steps[name] // self._every)
                self._clipped[name] = self._clipped.get(name, 0) + int(float(norm) > self._clips[name])
                run.record(f"{self._label}/{name}/clipped", self._clipped[name] / looked)

    def state_dict(self) -> dict[str, Any]:
        """Give the counts."""
        return {"steps": self._steps, "clipped": self._clipped}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them up again."""
        self._steps, self._clipped = dict(state["steps"]), dict(state["clipped"])


def parts_of(network: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Give a network's weights by its children, those of a list or a dictionary one by one; parts without are none."""
    parts: dict[str, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        names = name.split(".")
        child = getattr(network, names[0])
        depth = 2 if isinstance(child, nn.ModuleList | nn.ModuleDict) else 1
        parts.setdefault(".".join(names[:depth]), []).append(parameter)
    return parts


def norm_of(tensors: Iterable[Tensor]) -> Tensor:
    """Give the norm over all elements of some tensors, whole ones or such as lie in parts over processes."""
    return whole(get_total_norm([one.detach() for one in tensors])).float()


def whole(tensor: Any) -> Tensor:
    """Give a tensor whole; one that lies in parts over processes is gathered, for which all of them must ask."""
    gathered: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return gathered
