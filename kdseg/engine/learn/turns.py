"""Which turn each step has: by the recipe's order, or as a gate chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from attrs import define, field

from kdseg.errors import KdsegError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from kdseg.engine.learn.plan import Plan
    from kdseg.engine.machine.processes import Processes
    from kdseg.gates import TurnGate
    from kdseg.losses import Prediction


@define(eq=False)
class TurnState:
    """The turn of the step to come. Without a gate it follows from the step's number alone."""

    plan: Plan
    gate: TurnGate | None = None
    _chosen: str | None = field(init=False)
    """By the gate."""

    @_chosen.default
    def _first(self) -> str | None:
        return None if self.gate is None else self._choice()

    @property
    def reads(self) -> Sequence[str]:
        """The participants that must predict at every step."""
        return () if self.gate is None else self.gate.participants

    def at(self, step: int) -> str | None:
        """Give the turn of a step: of any, without a gate; of the one to come, with one."""
        return self.plan.turn(step) if self.gate is None else self._chosen

    @torch.no_grad()
    def measure(self, predictions: Mapping[str, Prediction], target: Tensor) -> Tensor | None:
        """Let the gate measure a micro-batch."""
        return None if self.gate is None else self.gate.measure(predictions, target)

    def conclude(
        self, step: int, measured: Iterable[Tensor | None], values: Mapping[str, Tensor], processes: Processes
    ) -> dict[str, float]:
        """Tell the gate what a step showed, let it choose the next turn, and give its numbers.

        Args:
            step: the step's number, from 0.
            measured: what each micro-batch of this process gave.
            values: the terms' values over the global batch.
            processes: all that share the step.
        """
        if self.gate is None:
            return {}
        sums = [one for one in measured if one is not None]
        total = torch.stack(sums).double().sum(0) if sums else torch.zeros(0, dtype=torch.float64)
        total = total.to(processes.device)
        processes.sum_([total])
        read = {name: values[name].item() for name in self.gate.terms if name in values}
        self.gate.update(total.tolist(), read)
        if self.plan.begins_turn(step + 1):
            self._chosen = self._choice()
        return {f"gate/{name}": value for name, value in self.gate.numbers().items()}

    def state_dict(self) -> dict[str, Any] | None:
        """Give what a resumed run must restore; None without a gate."""
        return None if self.gate is None else {"turn": self._chosen, "gate": self.gate.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Restore what `state_dict` gave.

        Raises:
            KdsegError: it is of a run with another gate, or without one.
        """
        if (state is None) != (self.gate is None):
            raise KdsegError("turns.gate: the checkpoint is of a run whose turns were chosen otherwise")
        if state is not None and self.gate is not None:
            try:
                self.gate.load_state_dict(state["gate"])
            except Exception as error:  # a gate may make anything of what it did not write
                raise KdsegError(
                    f"turns.gate: cannot take up its state from the checkpoint: {type(error).__name__}: {error}"
                ) from error
            self._chosen = self._known(state["turn"])

    def _choice(self) -> str:
        assert self.gate is not None
        return self._known(self.gate.turn())

    def _known(self, turn: Any) -> str:
        assert self.plan.recipe.turns is not None
        order = self.plan.recipe.turns.order
        if turn not in order:
            hint = did_you_mean(str(turn), order) or f"; turns.order has {', '.join(order)}"
            raise KdsegError(f"turns.gate: chose the turn {turn!r}, which is not there{hint}")
        return str(turn)
