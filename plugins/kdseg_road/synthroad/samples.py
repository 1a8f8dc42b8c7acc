"""Drawn scenes by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from attrs import frozen

from kdseg.data.samples import Sample
from kdseg.data.streams import numpy_generator
from kdseg_road.synthroad.label_noise import flipped, jittered
from kdseg_road.synthroad.scene import draw_scene
from kdseg_road.synthroad.weather import Conditions

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen(eq=False, kw_only=True)
class SynthRoadSamples:
    """The scenes of a split: each a pure function of (seed, split, index), drawn when asked for."""

    seed: int
    split: str
    images: int
    size: tuple[int, int]
    weather: Literal["clear", "rain", "fog"]
    night: bool
    frequency: Mapping[int, float]
    """By train index, with which probability a thing is kept."""
    label_flips: float
    label_jitter: float

    def __len__(self) -> int:
        """Give the number of images."""
        return self.images

    def __getitem__(self, index: int) -> Sample:
        """Draw one scene."""
        if not 0 <= index < self.images:
            raise IndexError(f"image {index} of {self.images}")
        conditions = None
        if self.night or self.weather != "clear":
            conditions = Conditions(self.weather, self.night, self._generator("synthroad-weather", index))
        scene = self._generator("synthroad", index)
        image, mask = draw_scene(scene, *self.size, frequency=self.frequency, conditions=conditions)
        if self.label_flips:
            mask = flipped(mask, self.label_flips, self._generator("synthroad-flips", index))
        if self.label_jitter:
            mask = jittered(mask, self.label_jitter, self._generator("synthroad-jitter", index))
        return Sample(image=np.ascontiguousarray(image), mask=np.ascontiguousarray(mask), id=f"{self.split}-{index}")

    def _generator(self, purpose: str, index: int) -> np.random.Generator:
        return numpy_generator(self.seed, purpose, self.split, index)
