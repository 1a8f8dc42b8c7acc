"""How a benchmark takes predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@frozen(kw_only=True)
class Submission:
    """For each image one PNG of one 8-bit channel, at the image's own size."""

    classes: tuple[str, ...]
    """The names of the classes that are predicted, by train index."""
    values: tuple[int, ...]
    """What is written for each of them, 0..255."""
    file_name: Callable[[Path], str]
    """Gives the name under which the benchmark looks for an image's prediction, ``NAME.png``, given the image's path.
    Raises `KdsegError` where the image is not named as the benchmark's are."""

    def __attrs_post_init__(self) -> None:
        """Refuse values that are not one a class."""
        if len(self.values) != len(self.classes):
            raise ValueError(f"a submission needs a value for each of {len(self.classes)} classes, not {self.values}")
