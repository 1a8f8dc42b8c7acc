"""Where a run's numbers and pictures go besides its own folder."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define

from kdseg.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]

log = logging.getLogger(__name__)


class Tracker(Protocol):
    """A service, or a format of files, that shows runs. No failure of it may end a run."""

    def go_on(self, step: int, lines: Iterable[tuple[str, int, Mapping[str, Any]]]) -> None:
        """Take up a run that is resumed; called before anything else, and for no other run.

        Args:
            step: the last that stays; what was told of later ones is told again. -1 where the run begins again.
            lines: all that stays of the metrics file, as `log` takes it: some of it may have been lost on its way.
        """
        ...

    def log(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Take a line of the metrics file; not all of its values are numbers.

        Lines of the kind "step" come in order. Others of a step come after those of all earlier steps that the run had
        read by then: on a GPU, before the step's own.
        """
        ...

    def picture(self, step: int, name: str, picture: Image, caption: str) -> None:
        """Take an RGB picture H×W×3."""
        ...

    def masks(self, step: int, name: str, images: Sequence[Image], masks: Mapping[str, Sequence[Image]]) -> None:
        """Take images H×W×3 and, by whose they are, a mask of train indices H×W for each."""
        ...

    def settle(self) -> None:
        """A checkpoint is about to be written: what was told until now will not be told again."""
        ...

    def finish(self, *, complete: bool) -> str | None:
        """End: nothing more comes, but for a run that is resumed.

        Args:
            complete: the run took its last step.

        Returns:
            A line for people: where to look, or what to do.
        """
        ...


@define(eq=False)
class Guard:
    """Lets nothing that a tracker raises reach the run; after a failure the tracker does nothing more."""

    name: str
    """What people call the tracker."""
    failure: str = ""

    def __call__(self, action: Callable[[], Any]) -> Any:
        """Do something, but for after a failure; None where it fails."""
        if self.failure:
            return None
        try:
            return action()
        except Exception as error:  # noqa: BLE001 (no tracker's failure may end a run; it is told, and the file has all)
            self.failure = f"{type(error).__name__}: {one_line(error)}"
            log.warning("%s stopped (%s); the run's metrics.jsonl has every number", self.name, self.failure)
            return None


def numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Give the numbers of a line by name, those of a table as ``TABLE/KEY``."""
    for name, value in values.items():
        if isinstance(value, (int, float)):
            yield name, value
        elif isinstance(value, dict):
            yield from ((f"{name}/{below}", number) for below, number in numbers(value))
