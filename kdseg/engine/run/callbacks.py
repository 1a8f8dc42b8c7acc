"""What watches a run: told of its events in order, and left behind where it fails."""

from __future__ import annotations

import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field

from kdseg.engine.learn.watched import callback_context
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kdseg.engine.learn.participants import Participant
    from kdseg.engine.run.state import Run
    from kdseg.hooks import Hooks
    from kdseg.recipe.schema import Recipe

log = logging.getLogger(__name__)


@define(kw_only=True, eq=False)
class Callbacks:
    """A recipe's callbacks, and what shows progress."""

    hooks: Mapping[str, Hooks]
    """By their tables' names, in the order in which they are told of an event."""
    strict: frozenset[str]
    """Those whose failure ends the run."""
    watchers: Sequence[Hooks]
    """What shows progress: no part of the recipe, with no state to keep, told first."""
    dropped: dict[str, str] = field(factory=dict)
    """What happened to those that failed and are told of nothing more."""

    @classmethod
    def build(
        cls, recipe: Recipe, participants: Mapping[str, Participant], watchers: Sequence[Hooks], *, all_strict: bool
    ) -> Callbacks:
        """Make a recipe's callbacks.

        Args:
            recipe: whose callbacks; they are told by `order`, equal ones as the recipe names them.
            participants: its networks.
            watchers: what shows progress.
            all_strict: end the run whichever fails: where processes share networks, one that leaves a callback out
                would leave the others waiting for its part.
        """
        ordered = sorted(recipe.callbacks.items(), key=lambda item: item[1].order)
        return cls(
            hooks={label: callback.build(callback_context(recipe, label, participants)) for label, callback in ordered},
            strict=frozenset(label for label, callback in ordered if all_strict or callback.strict),
            watchers=watchers,
        )

    def emit(self, run: Run, event: str, *args: Any) -> None:
        """Tell all of an event.

        Raises:
            KdsegError: what a callback says before the first step, or one that is strict has failed.
        """
        for hooks in self.watchers:
            getattr(hooks, event)(run, *args)
        for label, hooks in self.hooks.items():
            if label not in self.dropped:
                self._guard(run, label, event, lambda hooks=hooks: getattr(hooks, event)(run, *args))  # type: ignore[misc]

    def tell_exception(self, run: Run, error: BaseException) -> None:
        """Tell all of the error that ends the run; one that fails hides neither it nor the others."""
        kept = [(label, hooks) for label, hooks in self.hooks.items() if label not in self.dropped]
        for label, hooks in [*(("console", hooks) for hooks in self.watchers), *kept]:
            try:
                hooks.on_exception(run, error)
            except Exception as second:  # noqa: BLE001 (a callback may raise anything; it goes along with the first)
                error.add_note(f"{label}: on_exception failed, too: {type(second).__name__}: {second}")

    def state_dict(self, run: Run) -> dict[str, Any]:
        """Give what a resumed run must restore."""
        states: dict[str, Any] = {}
        for label, hooks in self.hooks.items():
            if label not in self.dropped:
                states[label] = self._guard(run, label, "state_dict", partial(_plain_state, hooks))
        return {"hooks": states, "dropped": self.dropped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave: what was left behind stays so.

        Raises:
            KdsegError: a callback cannot take up what it wrote.
        """
        self.dropped = dict(state.get("dropped", {}))
        for label, hooks in self.hooks.items():
            if label in self.dropped:
                continue
            try:
                hooks.load_state_dict(state["hooks"][label])
            except Exception as error:  # a callback may make anything of what it did not write
                raise KdsegError(
                    f"callbacks.{label}: cannot take up its state from the checkpoint: {type(error).__name__}: {error}"
                ) from error

    def _guard(self, run: Run, label: str, event: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:
            if event == "on_run_start" and isinstance(error, KdsegError):
                raise  # a mistake in the recipe, told before hours are spent
            told = str(error) if isinstance(error, KdsegError) else f"{type(error).__name__}: {error}"
            happened = f"{event} failed after step {run.step}: {told}"
            if label in self.strict:
                raise KdsegError(f"callbacks.{label}: {happened}") from error
            self.dropped[label] = happened
            log.error("callbacks.%s: %s; the run goes on without it", label, happened)  # noqa: TRY400
            log.debug("callbacks.%s", label, exc_info=error)
            return None


def _plain_state(hooks: Hooks) -> dict[str, Any]:
    """Give a state as a checkpoint will hold it, and refuse what it cannot: else the whole checkpoint would fail."""
    plain: dict[str, Any] = json.loads(json.dumps(hooks.state_dict()))
    return plain
