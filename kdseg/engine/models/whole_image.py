"""Logits of whole images from a network that sees them in windows, at several scales, and mirrored.

Over windows the mean is taken of logits, over scales and mirrored views of probabilities, as mmsegmentation does both
(``EncoderDecoder.slide_inference`` and ``SegTTAModel``): windows are cuts of one view, and one that is very sure at
its border should win over one that is not; views are like the members of an ensemble.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve, frozen

from kdseg.data.images import refuse_small_scale, resized, scaled_size
from kdseg.errors import KdsegError
from kdseg.metrics.confusion import predicted_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from kdseg.recipe.schema import Evaluate

    Network = Callable[[Tensor], Tensor]
    """Gives logits N×C×H×W, in memory of their own, for images N×3×H×W as it takes them."""


@frozen(kw_only=True)
class WholeImage:
    """How a whole image passes through a network.

    As it is made without arguments, the network sees the image as it is, at once. Beyond what the network itself
    takes for `batch_size` windows, an image of H×W takes C×H×W float32 for the sum over its windows, 152 MB for the
    19 classes of Cityscapes at 2048x1024. Several views take as much again for their mean, and one at scale s
    another s² times that.
    """

    window: tuple[int, int] | None = None
    """Height and width of what the network sees at once; None, or larger than the image: all of it."""
    overlap: float = 0.33
    """The least share of a window, along each axis, that the next one sees too: 0 up to, not including, 1."""
    scales: tuple[float, ...] = (1.0,)
    """The sizes at which the network sees the image, as shares of its own."""
    flip: bool = False
    """Whether it sees each of them mirrored, left to right, as well."""
    batch_size: int = 1
    """Windows that pass through the network at once."""

    @classmethod
    def of(cls, spec: Evaluate, batch_size: int) -> WholeImage:
        """Make what a recipe's ``[evaluate]`` says."""
        return cls(window=spec.window, overlap=spec.overlap, scales=spec.scales, flip=spec.flip, batch_size=batch_size)

    def changed(self, views: Mapping[str, Any]) -> WholeImage:
        """Give it with other values of some fields.

        Raises:
            KdsegError: an overlap is given where there are no windows.
        """
        changed = evolve(self, **views)
        if "overlap" in views and changed.window is None:
            raise KdsegError("--overlap says how far windows overlap; give --window too")
        return changed

    def refuse(self, height: int, width: int) -> None:
        """Refuse a scale at which an image of this size is smaller than every network takes.

        Raises:
            KdsegError: naming the scale and the sizes.
        """
        for scale in self.scales:
            refuse_small_scale(height, width, scale)

    @torch.no_grad()
    def classes(self, network: Network, images: Tensor) -> Tensor:
        """Give the class of each pixel, uint8 N×H×W; images that need several passes come one after another.

        Args:
            network: gives logits for images.
            images: N×3×H×W, as `network` takes them.
        """
        if self.sees_once(images):
            return predicted_classes(network(images))
        return torch.cat([predicted_classes(self.logits(network, image)) for image in images[:, None]])

    @torch.no_grad()
    def logits(self, network: Network, images: Tensor) -> Tensor:
        """Give logits N×C×H×W; of several views, the logarithms of their mean probabilities.

        One window and one view give what the network gives, bit for bit.

        Args:
            network: gives logits for images.
            images: N×3×H×W, as `network` takes them.

        Raises:
            KdsegError: a scale makes the images smaller than every network takes.
        """
        if self.sees_once(images):
            return network(images)
        size = (images.shape[2], images.shape[3])
        self.refuse(*size)
        views = [(scale, mirrored) for scale in self.scales for mirrored in (False, True)[: 1 + self.flip]]
        if len(views) == 1:
            return self._view(network, images, *views[0])
        mean: Tensor | None = None
        for view in views:
            probabilities = _softmax_(self._view(network, images, *view).float())
            if mean is None:
                mean = probabilities
            else:
                mean += probabilities
            del probabilities  # else it would live beside the next view's
        assert mean is not None  # there is a view
        # No probability is 0: its logarithm would be no number.
        return mean.div_(len(views)).clamp_(min=torch.finfo(torch.float32).tiny).log_()

    def sees_once(self, images: Tensor) -> bool:
        """Whether the network sees images N×3×H×W as they are, at once."""
        return self.scales == (1.0,) and not self.flip and self._covers(images)

    def _covers(self, images: Tensor) -> bool:
        height, width = images.shape[2:]
        return self.window is None or (self.window[0] >= height and self.window[1] >= width)

    def _view(self, network: Network, images: Tensor, scale: float, mirrored: bool) -> Tensor:
        """Give the logits of one view, at the images' own size and as they lie."""
        height, width = images.shape[2:]
        seen = resized(images, scaled_size(height, width, scale))
        logits = self._slide(network, seen.flip(3) if mirrored else seen)
        if mirrored:
            for one_class in logits.unbind(1):  # class by class: all at once would take the memory twice
                one_class.copy_(one_class.flip(2))
        return resized(logits, (height, width))

    def _slide(self, network: Network, images: Tensor) -> Tensor:
        """Give the mean of the logits of all windows that see a pixel."""
        if self._covers(images):
            return network(images)
        assert self.window is not None  # nothing else covers less
        number, _, height, width = images.shape
        rows, columns = min(self.window[0], height), min(self.window[1], width)
        tops, lefts = window_starts(height, rows, self.overlap), window_starts(width, columns, self.overlap)
        corners = [(image, top, left) for image in range(number) for top in tops for left in lefts]
        total: Tensor | None = None
        for start in range(0, len(corners), self.batch_size):
            batch = corners[start : start + self.batch_size]
            seen = [images[image, :, top : top + rows, left : left + columns] for image, top, left in batch]
            # The layout of the images decides which kernels the network takes.
            form = torch.channels_last if images.is_contiguous(memory_format=torch.channels_last) else None
            logits = network(torch.stack(seen).contiguous(memory_format=form or torch.contiguous_format))
            if total is None:
                total = logits.new_zeros(number, logits.shape[1], height, width, dtype=torch.float32)
            for (image, top, left), window in zip(batch, logits, strict=True):
                total[image, :, top : top + rows, left : left + columns] += window
            del logits, window
        assert total is not None  # there is a window
        return total.div_(_seen(height, rows, tops, images)[:, None] * _seen(width, columns, lefts, images))


AT_ONCE = WholeImage()
"""The network sees an image as it is, at once."""


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """Give where windows begin along an axis: one stride apart, the last one shifted inwards to end with the image.

    Args:
        size: of the image.
        window: of a window, at most `size`.
        overlap: the share of a window that the next one sees too, at least.
    """
    stride = max(1, int(window * (1 - overlap)))
    return [*range(0, size - window, stride), size - window]


def _seen(size: int, window: int, starts: list[int], like: Tensor) -> Tensor:
    """Count the windows that see each row, or column."""
    counts = torch.zeros(size, device=like.device)
    for start in starts:
        counts[start : start + window] += 1
    return counts


def _softmax_(logits: Tensor) -> Tensor:
    """Turn logits N×C×H×W into probabilities where they lie."""
    logits.sub_(logits.amax(1, keepdim=True)).exp_()
    return logits.div_(logits.sum(1, keepdim=True))
