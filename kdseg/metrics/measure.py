"""What a metric's working object is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from kdseg.errors import KdsegError, component_told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from kdseg.components import Metric, MetricContext


class Measure(Protocol):
    """A metric at work: it adds up what each batch shows.

    All that it keeps is sums, so that processes that saw different images can add theirs up.
    """

    def update(self, prediction: Tensor, target: Tensor, extras: Sequence[Mapping[str, Any]]) -> None:
        """Add a batch of images.

        Args:
            prediction: N×H×W uint8, the predicted class of each pixel, 0..C-1.
            target: N×H×W uint8, train indices, `kdseg.IGNORE_INDEX` where ignored, on the same device.
            extras: `Sample.extras` of each image.

        Raises:
            KdsegError: where an image lacks what the metric asked for.
        """
        ...

    def tensors(self) -> Sequence[Tensor]:
        """Give all that was added up, for the caller to sum over processes in place."""
        ...

    def compute(self) -> dict[str, Any]:
        """Give the scores on all images added so far.

        Numbers by name, those of `Metric.scores` among them, nan where nothing was counted; and tables of numbers by
        name, as the IoU of each class.
        """
        ...


def made(metric: Metric, ctx: MetricContext) -> Measure:
    """Make a metric's working object.

    Raises:
        KdsegError: the metric fails, or gives something else.
    """
    with component_told(f"metric {metric.name}"):
        measure = metric.build(ctx)
    if lost := [name for name in ("update", "tensors", "compute") if not callable(getattr(measure, name, None))]:
        raise KdsegError(
            f"metric {metric.name}: its build gives a {type(measure).__name__}, no Measure: it has no {', '.join(lost)}"
        )
    return measure
