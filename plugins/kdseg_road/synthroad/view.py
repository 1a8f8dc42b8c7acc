"""The camera and the canvas: shapes in metres become filled polygons."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from attrs import frozen

if TYPE_CHECKING:
    import numpy.typing as npt

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.paint import Colour

    Floats = npt.NDArray[np.float64]
    """Points …×3 in the world: metres to the right of the camera, above the ground, ahead; or …×2 on a card: metres to
    the right of its foot, above the ground."""

Triple = tuple[float, float, float]

NEAR = 0.8
"""Metres ahead at which the world begins."""
FAR = 90.0
"""Metres ahead at which it ends, in a skyline."""

_SHIFT = 4  # OpenCV's fixed point: sixteenths of a pixel
_CORNERS = np.array(((0, 1), (2, 1), (2, 3), (0, 3)))  # of a rectangle s0, t0, s1, t1
_TURN = np.linspace(0, 2 * np.pi, 14, endpoint=False)
CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=-1)
"""On a card, of radius 1."""


@frozen(kw_only=True)
class Camera:
    """A pinhole camera above a road that bends.

    A point at (x, y, z) is seen focal·(x + bend·z²)/z pixels right of the vanishing point and focal·(height - y)/z
    under it; `tilt` shears the picture a little, as if the car rolled.
    """

    focal: float
    """Pixels."""
    height: float
    """Metres above the ground."""
    column: float
    """Where the vanishing point is, in pixels."""
    row: float
    bend: float
    """1/metre; positive to the right."""
    tilt: float

    @classmethod
    def draw(cls, dice: Dice, height: int, width: int) -> Camera:
        """Draw a camera for images of that size."""
        return cls(
            focal=width * dice.between(0.95, 1.3),
            height=dice.between(1.2, 2.4),
            column=width * dice.between(0.25, 0.75),
            row=height * dice.between(0.30, 0.56),
            bend=dice.between(-0.006, 0.006),
            tilt=dice.between(-0.07, 0.07),
        )

    def right(self, x: float, z: float) -> float:
        """Give how many pixels right of the vanishing point something at x, z is seen."""
        return self.focal * (x / z + self.bend * z)

    def ground_depths(self, height: int, width: int) -> npt.NDArray[np.float32]:
        """Give how many metres ahead each pixel H×W shows the ground, at most `FAR`; the bend is left out."""
        below = np.arange(height)[:, None] - self.row - self.tilt * (np.arange(width) - self.column)
        return (self.focal * self.height / np.maximum(below, self.focal * self.height / FAR)).astype(np.float32)

    @cached_property
    def _lens(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Give M, K, B, O: a point p at depth z is seen at (p·M + K)/z + z·B + O, in OpenCV's fixed point."""
        unit = self.focal * 2**_SHIFT
        return (
            np.array(((unit, self.tilt * unit), (0, -unit), (0, 0))),
            np.array((0, self.height * unit)),
            np.array((self.bend * unit, self.bend * self.tilt * unit)),
            np.array((self.column - 0.5, self.row - 0.5)) * 2**_SHIFT,  # it counts from the middle of a pixel
        )

    def project(self, points: Floats) -> Floats:
        """Give pixels …×2, in OpenCV's fixed point, of points …×3."""
        matrix, height, bend, origin = self._lens
        depths = points[..., 2:]
        pixels: Floats = points @ matrix
        pixels += height
        pixels /= depths
        pixels += depths * bend
        pixels += origin
        return pixels

    def project_card(self, points: Floats, x: float, z: float) -> Floats:
        """Give pixels …×2, in OpenCV's fixed point, of points …×2 on an upright card with its foot at x, z."""
        right = self.right(x, z)
        scale = self.focal / z * 2**_SHIFT
        across = (right + self.column - 0.5) * 2**_SHIFT
        down = (self.tilt * right + self.row - 0.5) * 2**_SHIFT + self.height * scale
        pixels: Floats = points * np.array((scale, -scale))
        pixels += np.array((across, down))
        return pixels


class View:
    """A canvas H×W×4, seen through a camera: red, green, blue, train index.

    A shape is filled in all four channels at once: what is seen and its label cannot differ.
    """

    def __init__(self, camera: Camera, height: int, width: int) -> None:
        self.camera = camera
        self.canvas: npt.NDArray[np.uint8] = np.zeros((height, width, 4), np.uint8)
        self.depths: npt.NDArray[np.float32] | None = None
        """Metres ahead of what is seen, H×W, kept once it is set."""
        self._light = np.full((height, width), 255, np.uint8)

    def fill(self, points: Floats, colour: Colour, label: int) -> None:
        """Fill the polygon n×3, or several of as many corners each, m×n×3."""
        pixels = self.camera.project(points)
        _fill(self.canvas, pixels, (*colour, label))
        if self.depths is not None:
            _fill(self.depths, pixels, (float(points[..., 2].mean()),))

    def panel(self, corner: Triple, along: Triple, up: Triple, rects: Floats, colour: Colour, label: int) -> None:
        """Fill rectangles m×4 (s0, t0, s1, t1) upon the plane corner + s·along + t·up."""
        points = corners(rects) @ np.array((along, up))
        points += np.array(corner)
        self.fill(points, colour, label)

    def card(self, x: float, z: float, points: Floats, colour: Colour, label: int) -> None:
        """Fill a polygon n×2, or several m×n×2, on an upright card that faces the camera, its foot at x, z."""
        pixels = self.camera.project_card(points, x, z)
        _fill(self.canvas, pixels, (*colour, label))
        if self.depths is not None:
            _fill(self.depths, pixels, (z,))

    def shadow(self, x: tuple[float, float], z: tuple[float, float], light: float) -> None:
        """Leave only some of the light, 0..1, on a rectangle of the ground; it shows once `cast_shadows` is called."""
        ground = np.array([(x[0], 0, z[0]), (x[1], 0, z[0]), (x[1], 0, z[1]), (x[0], 0, z[1])])
        _fill(self._light, self.camera.project(ground), (255 * light,))

    def cast_shadows(self) -> None:
        """Darken what is on the canvas; labels stay."""
        light = cv2.blur(self._light, (3, 3))
        factors = cv2.merge([light, light, light, np.full_like(light, 255)])
        cv2.multiply(self.canvas, factors, dst=self.canvas, scale=1 / 255)

    def sees(self, x: tuple[float, float], z: float) -> bool:
        """Say whether something from x[0] to x[1] may be in the picture."""
        left, right = (self.camera.column + self.camera.right(end, z) for end in x)
        return right > 0 and left < self.canvas.shape[1]


def _fill(target: npt.NDArray[Any], pixels: npt.NDArray[Any], value: tuple[float, ...]) -> None:
    pixels = pixels.astype(np.int32)
    polygons = [pixels] if pixels.ndim == 2 else list(pixels)  # noqa: PLR2004 (corners by coordinates)
    cv2.fillPoly(target, polygons, value, cv2.LINE_8, _SHIFT)


def box(x0: float, y0: float, x1: float, y1: float) -> Floats:
    """Give a rectangle on a card."""
    return np.array(((x0, y0), (x1, y0), (x1, y1), (x0, y1)))


def corners(rects: Floats) -> Floats:
    """Give the corners m×4×2 of rectangles m×4 (s0, t0, s1, t1), from the first one round."""
    return rects[:, _CORNERS]


def rows(start: float, stop: float, pitch: float) -> Floats:
    """Give places from `start` to `stop`, at least one."""
    return np.arange(start, max(stop, start + pitch / 2), pitch)


def rects(s0: Floats | float, t0: Floats | float, s1: Floats | float, t1: Floats | float) -> Floats:
    """Give rectangles m×4 from their edges, each a number or m numbers."""
    edges = (s0, t0, s1, t1)
    rectangles = np.empty((*np.broadcast(*edges).shape, 4))
    for i, edge in enumerate(edges):
        rectangles[..., i] = edge
    return rectangles
