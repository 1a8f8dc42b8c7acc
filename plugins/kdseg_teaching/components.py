"""The diagnostic as the command line sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from attrs import field, frozen
from attrs.validators import ge, le

from kdseg.components import Diagnostic
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from attrs import Attribute

    from kdseg.components import DiagnosticContext
    from kdseg.diagnostics import Accumulator


def _temperatures(_: Any, _attribute: Attribute[Any], value: tuple[float, ...]) -> None:
    if not value or len({*value}) != len(value) or not all(0.01 <= temperature <= 1000 for temperature in value):  # noqa: PLR2004
        raise ValueError(f"must be one or more different numbers from 0.01 to 1000; found {list(value)}")


@frozen(kw_only=True)
class Teachability(Diagnostic):
    """Tells what a teacher's probabilities hold beside the right class: the first trial is the teacher.

    Entropy by temperature, of right and wrong pixels, classes, boundaries and interiors; negative log-likelihood, Brier
    score and calibration errors; what the non-target probabilities tell of the image; the temperature that fits the
    labels best; and, with further trials, how far they rank the non-target classes alike.
    """

    name: ClassVar[str] = "teachability"
    temperatures: Annotated[tuple[float, ...], "at which entropies and non-target information are taken"] = field(
        default=(1.0, 2.0, 4.0, 8.0), validator=_temperatures
    )
    radius: Annotated[
        int, "pixels from another class, along rows and columns, up to which a pixel is of the boundary"
    ] = field(default=3, validator=[ge(0), le(100)])
    pixels: Annotated[
        int, "about how many of each image, on an even grid, are taken for the best temperature and the agreement"
    ] = field(default=16384, validator=ge(1))

    def build(self, ctx: DiagnosticContext) -> Accumulator:
        """Make the accumulator.

        Raises:
            KdsegError: there is nothing beside the right class.
        """
        if len(ctx.classes) < 2:  # noqa: PLR2004 (the right one and another)
            raise KdsegError(f"{self.name}: needs images of 2 classes or more; these have {len(ctx.classes)}")
        from kdseg_teaching.accumulator import Teaching

        return Teaching(ctx, self.temperatures, self.radius, self.pixels)
