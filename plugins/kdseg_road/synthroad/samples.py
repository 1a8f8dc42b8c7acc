"""Drawn scenes by index."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from kdseg.data.samples import Sample
from kdseg.data.streams import numpy_generator
from kdseg_road.synthroad.scene import draw_scene


@frozen(eq=False)
class SynthRoadSamples:
    """The scenes of a split: each a pure function of (seed, split, index), drawn when asked for."""

    seed: int
    split: str
    images: int
    size: tuple[int, int]

    def __len__(self) -> int:
        """Give the number of images."""
        return self.images

    def __getitem__(self, index: int) -> Sample:
        """Draw one scene."""
        if not 0 <= index < self.images:
            raise IndexError(f"image {index} of {self.images}")
        image, mask = draw_scene(numpy_generator(self.seed, "synthroad", self.split, index), *self.size)
        return Sample(image=np.ascontiguousarray(image), mask=np.ascontiguousarray(mask), id=f"{self.split}-{index}")
