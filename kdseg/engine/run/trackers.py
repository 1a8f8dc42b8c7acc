"""Where a run's numbers and pictures go besides its own folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]


class Tracker(Protocol):
    """A service, or a format of files, that shows runs. No failure of it may end a run."""

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Take the values of a line of the metrics file, of which some may be no numbers."""
        ...

    def picture(self, step: int, name: str, picture: Image, caption: str) -> None:
        """Take an RGB picture H×W×3."""
        ...

    def masks(self, step: int, name: str, images: Sequence[Image], masks: Mapping[str, Sequence[Image]]) -> None:
        """Take images H×W×3 and, by whose they are, a mask of train indices H×W for each."""
        ...

    def finish(self) -> None:
        """End: nothing more comes."""
        ...
