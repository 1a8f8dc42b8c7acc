"""The camera and the canvas: shapes in metres become filled polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from attrs import frozen

if TYPE_CHECKING:
    import numpy.typing as npt

    from kdseg_road.synthroad.dice import Dice
    from kdseg_road.synthroad.paint import Colour

Points = npt.NDArray[np.float64] if TYPE_CHECKING else None
"""…×3: metres to the right, above the ground, ahead. …×2 on a card: metres to the right, above its foot."""

Triple = tuple[float, float, float]

NEAR = 0.8
"""Metres ahead at which the world begins."""

_SHIFT = 4  # OpenCV's fixed point: sixteenths of a pixel
_CIRCLE = np.stack([np.cos(a := np.arange(14) * (2 * np.pi / 14)), np.sin(a)], axis=-1)


@frozen(kw_only=True)
class Camera:
    """A pinhole camera above a road that bends.

    A point at (x, y, z) is seen right of the vanishing point by focal·(x + bend·z²)/z pixels and below it by
    focal·(height - y)/z; `tilt` shears the picture a little, as a rolling car does.
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
        """Draw a camera for an image of that size."""
        return cls(
            focal=width * dice.between(0.95, 1.3),
            height=dice.between(1.2, 2.4),
            column=width * dice.between(0.25, 0.75),
            row=height * dice.between(0.30, 0.56),
            bend=dice.between(-0.006, 0.006),
            tilt=dice.between(-0.07, 0.07),
        )

    def project(self, points: Points) -> npt.NDArray[np.int32]:
        """Give pixels …×2, in OpenCV's fixed point, of points …×3."""
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        scale = self.focal / z
        pixels = np.empty((*points.shape[:-1], 2))
        pixels[..., 0] = right = (x + self.bend * z * z) * scale
        pixels[..., 1] = (self.height - y) * scale + self.tilt * right
        pixels += (self.column - 0.5, self.row - 0.5)  # OpenCV counts from the middle of a pixel
        return np.rint(pixels * 2**_SHIFT).astype(np.int32)


class View:
    """A canvas H×W×4, seen through a camera: red, green, blue, train index.

    A shape is filled in all four channels at once: what is seen and its label cannot differ.
    """

    def __init__(self, camera: Camera, height: int, width: int) -> None:
        self.camera = camera
        self.canvas = np.zeros((height, width, 4), np.uint8)
        self._light = np.ones((height, width), np.float32)

    def fill(self, points: Points, colour: Colour, label: int) -> None:
        """Fill the polygon n×3, or several of as many corners each, m×n×3."""
        _fill(self.canvas, self.camera.project(points), (*colour, label))

    def panel(self, corner: Triple, along: Triple, up: Triple, rects: Points, colour: Colour, label: int) -> None:
        """Fill rectangles m×4 (s0, t0, s1, t1) upon the plane corner + s·along + t·up."""
        s = rects[:, [0, 2, 2, 0], None]
        t = rects[:, [1, 1, 3, 3], None]
        self.fill(np.array(corner) + s * np.array(along) + t * np.array(up), colour, label)

    def shadow(self, x0: float, x1: float, z0: float, z1: float, light: float) -> None:
        """Dim a rectangle of the ground; it shows once `cast_shadows` is called."""
        corners = np.array(((x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)))
        _fill(self._light, self.camera.project(corners), (light,))

    def cast_shadows(self) -> None:
        """Darken what is on the canvas, labels apart."""
        light = cv2.blur(self._light, (3, 3))
        factors = cv2.merge([light, light, light, np.ones_like(light)])
        self.canvas = cv2.multiply(self.canvas, factors, dtype=cv2.CV_8U)

    def card(self, x: float, z: float, points: Points, colour: Colour, label: int) -> None:
        """Fill a polygon n×2, or several m×n×2, on an upright card that faces the camera, its foot at (x, z)."""
        camera = self.camera
        scale = camera.focal / z
        right = (x + camera.bend * z * z) * scale
        foot = np.array((camera.column - 0.5 + right, camera.row - 0.5 + camera.height * scale + camera.tilt * right))
        pixels = np.rint((foot + points * (scale, -scale)) * 2**_SHIFT).astype(np.int32)
        _fill(self.canvas, pixels, (*colour, label))


def _fill(target: npt.NDArray[Any], pixels: npt.NDArray[np.int32], value: tuple[float, ...]) -> None:
    polygons = [pixels] if pixels.ndim == 2 else list(pixels)  # noqa: PLR2004 (corners by coordinates)
    cv2.fillPoly(target, polygons, value, cv2.LINE_8, _SHIFT)


def circle(x: float, y: float, radius: float, squash: float = 1.0) -> Points:
    """Give a circle on a card, made narrower by `squash`."""
    return _CIRCLE * (radius * squash, radius) + (x, y)


def box(x0: float, y0: float, x1: float, y1: float) -> Points:
    """Give a rectangle on a card."""
    return np.array(((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
