"""The events of a run, for callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from kdseg.data.samples import ClassTable, Sample


class RunView(Protocol):
    """What a callback sees of the run. The same on every process, but for the batch."""

    @property
    def step(self) -> int:
        """Optimizer steps taken."""
        ...

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        ...

    @property
    def epoch(self) -> int:
        """The epoch that the last step belonged to, from 0."""
        ...

    @property
    def participants(self) -> Mapping[str, nn.Module]:
        """The networks by name."""
        ...

    @property
    def values(self) -> Mapping[str, float]:
        """The last values by name: ``loss/TERM``, ``weight/TERM``, ``val/PARTICIPANT/METRIC``."""
        ...

    @property
    def times(self) -> Mapping[str, float]:
        """What took how many seconds at the last step: ``seconds`` all of it, ``data_seconds`` waiting for its data.

        On a GPU it is told some steps late, and no kernel's own time: a step ends when its work is handed over.
        """
        ...

    @property
    def images_per_step(self) -> int:
        """Images of a step, over all processes."""
        ...

    @property
    def batch(self) -> Any:
        """The last micro-batch of this process; None before the first."""
        ...

    @property
    def classes(self) -> ClassTable:
        """The classes."""
        ...

    @property
    def folder(self) -> Path:
        """The run's folder."""
        ...

    @property
    def pictures(self) -> Path:
        """The folder for pictures."""
        ...

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        ...

    def record(self, name: str, value: float) -> None:
        """Write a number of the callback's own to the run's metrics at this step."""
        ...

    def predict(self, participant: str, images: Any) -> Any:
        """Give a participant's logits, N×C×H×W, for uint8 images N×H×W×3, in eval mode and without gradient."""
        ...

    def samples(self, count: int) -> Sequence[Sample]:
        """Give some validation images with their labels, the same at each call, spread evenly over the split."""
        ...

    def taps(self, participant: str) -> tuple[str, ...]:
        """Give the names of a participant's stages, from its input to its output."""
        ...

    def features(self, participant: str, images: Any, taps: Sequence[str]) -> Mapping[str, Any]:
        """Give what a participant makes of uint8 images N×H×W×3 at some taps, in eval mode and without gradient.

        Args:
            participant: who.
            images: at whose own size the network sees them, at once.
            taps: stages, or dotted paths of submodules.

        Returns:
            By tap, N×C×h×w.

        Raises:
            KdsegError: it has no such tap.
        """
        ...

    def show(self, name: str, picture: Any, caption: str = "") -> None:
        """Write an RGB picture, uint8 H×W×3, as ``pictures/NAME-STEP.png``, and hand it to the trackers.

        Only the main process writes. `caption` says in a sentence what pictures of this name show.
        """
        ...

    def show_masks(self, name: str, images: Sequence[Any], masks: Mapping[str, Sequence[Any]]) -> None:
        """Hand masks to the trackers that draw them themselves, over their images.

        Args:
            name: what they are called there.
            images: uint8 H×W×3 each.
            masks: by whose they are, one of train indices H×W for each image.
        """
        ...

    def keep_models(self, folder: Path) -> None:
        """Write every learner as it stands, ready to use, below `folder`; only the main process writes."""
        ...

    def save_comparison(self, path: Path, images: int) -> None:
        """Save some validation images with truth and predictions side by side; only the main process writes."""
        ...

    def stop(self, reason: str) -> None:
        """End the run as finished: after this event or, where it comes before a step, after that step.

        One process that calls it is enough; the others follow at the end of the step.
        """
        ...


class Hooks:
    """A watcher of one run: override the events that matter; the rest do nothing.

    A method called ``on_…`` that this class lacks is refused when the class is made: it would never be called.
    """

    def __init_subclass__(cls) -> None:
        """Refuse events that do not exist."""
        unknown = [name for name in vars(cls) if name.startswith("on_") and not hasattr(Hooks, name)]
        if unknown:
            from kdseg.errors import did_you_mean

            events = [name for name in vars(Hooks) if name.startswith("on_")]
            raise TypeError(
                f"{cls.__name__}.{unknown[0]}: no such event{did_you_mean(unknown[0], events)}; "
                f"the events are {', '.join(events)}"
            )

    def on_run_start(self, run: RunView) -> None:
        """After set-up or resume, before the first step."""

    def on_epoch_start(self, run: RunView) -> None:
        """Before the first step of an epoch."""

    def on_gradients(self, run: RunView, learner: str) -> None:
        """Before a learner steps: the ``grad`` of its parameters is the global batch's, not clipped yet.

        `run.step` does not count this step yet.
        """

    def on_step_end(self, run: RunView) -> None:
        """After an optimizer step."""

    def on_evaluation_end(self, run: RunView) -> None:
        """After an evaluation; `run.values` holds its numbers."""

    def on_checkpoint(self, run: RunView) -> None:
        """After a checkpoint was written."""

    def on_run_end(self, run: RunView) -> None:
        """After the last step, evaluation and checkpoint."""

    def on_exception(self, run: RunView, error: BaseException) -> None:
        """When the run dies; the error goes on afterwards."""

    def state_dict(self) -> dict[str, Any]:
        """Give what a resumed run must restore: plain values that JSON can hold."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
