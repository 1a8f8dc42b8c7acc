"""Cross-entropy with the labels and divergence from a source, with their gradient, block by block in plain PyTorch."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from attrs import frozen
from torch import Tensor

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import full_precision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")
R = TypeVar("R")

_PIXELS_IN_A_BLOCK = 8192
"""Few enough for a block of 19 classes to stay in the processor's cache; fewer would cost more calls."""


@frozen(kw_only=True, eq=False)
class Pixels:
    """What is computed at each pixel.

    With logits z of the learner and v of the source, temperature T, p = softmax(z), q = softmax(z / T),
    r = softmax(v / T), label y, class weights w of sum W, label smoothing e over C classes:

    - divergence: T^2 sum over c of r_c log(r_c / q_c); its gradient at z_c is T (q_c - r_c);
    - cross-entropy: (1 - e) w_y (-log p_y) + e / C sum over c of w_c (-log p_c); its gradient at z_c is
      ((1 - e) w_y + e W / C) p_c - (1 - e) w_y [c = y] - e w_c / C.
    """

    temperature: float
    with_labels: bool
    weights: Tensor | None = None
    smoothing: float = 0.0


class Scales(NamedTuple):
    """What the two sums are multiplied by."""

    divergence: float
    entropy: float


class Sums(NamedTuple):
    """Sums over the valid pixels: float64 scalars."""

    divergence: Tensor
    entropy: Tensor


class Block(NamedTuple):
    """Some pixels of one image: C×P in contiguous memory, P×C in channels_last, and P labels."""

    learner: Tensor
    source: Tensor
    gradient: Tensor
    target: Tensor


def in_blocks(pixels: Pixels, learner: Tensor, source: Tensor, target: Tensor, scales: Scales) -> tuple[Tensor, Sums]:
    """Compute the sums and the gradient of their scaled sum.

    Args:
        pixels: what to compute.
        learner: logits N×C×H×W of any floating type, contiguous or channels_last; half precision is computed in
            float32, a block at a time.
        source: likewise, in any layout.
        target: N×H×W class indices, `IGNORE_INDEX` where ignored.
        scales: what the sums are multiplied by.

    Returns:
        The gradient at the learner's logits, in their layout and type, but float32 for float16, in which it would
        underflow; and the sums.
    """
    gradient, classes = gradient_like(learner)
    scratch = Scratch(gradient, 4)

    def work(block: Block) -> Tensor:
        return torch.stack(_pass(pixels, block, scales, classes, scratch.fitting(block)))

    with a_block_a_thread() as each:
        sums = torch.stack(each(work, list(blocks_of(learner, source, gradient, target, classes)))).sum(0)
    return gradient, Sums(*sums.unbind())


def gradient_like(learner: Tensor) -> tuple[Tensor, int]:
    """Give room for the gradient, in float32 for float16, and the dimension of the classes in a block."""
    dtype = torch.float32 if learner.dtype == torch.float16 else learner.dtype
    return torch.empty_like(learner, dtype=dtype), 0 if learner.is_contiguous() else 1


def dense(logits: Tensor) -> Tensor:
    """Give logits contiguous or channels_last: as they are where they are either."""
    known = logits.is_contiguous() or logits.is_contiguous(memory_format=torch.channels_last)
    return logits if known else logits.contiguous()


def steps(logits: Tensor) -> tuple[int, int, int]:
    """Give the steps of dense logits from image to image, class to class and pixel to pixel.

    Where a size is 1, their own strides would mislead.
    """
    _, classes, *size = logits.shape
    pixels = math.prod(size)
    return (classes * pixels, pixels, 1) if logits.is_contiguous() else (classes * pixels, 1, classes)


class Scratch(threading.local):
    """Maps of a block, the same memory for each block of a thread: fresh memory would cost page faults."""

    def __init__(self, gradient: Tensor, number: int) -> None:
        super().__init__()
        _, classes, height, width = gradient.shape
        dtype = full_precision(gradient[:0]).dtype
        self._maps = gradient.new_empty(number, classes * min(height * width, _PIXELS_IN_A_BLOCK), dtype=dtype)

    def fitting(self, block: Block) -> list[Tensor]:
        """Give maps of the block's shape."""
        return [values[: block.learner.numel()].view(block.learner.shape) for values in self._maps]


@contextmanager
def a_block_a_thread() -> Iterator[Callable[[Callable[[T], R], Sequence[T]], list[R]]]:
    """Give a `map` whose calls run at once, each in one thread of as many as torch uses.

    Were torch to split each operation on a block over threads, they would meet thousands of times: beside a loader's
    busy workers that took 15 seconds for what takes a fifth of one. No sum depends on the number of threads.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # new threads take it over
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield lambda work, items: list(pool.map(work, items))
    finally:
        torch.set_num_threads(threads)


def hidden_in(block: Block) -> Tensor:
    """Give the places of a block's ignored pixels."""
    return (block.target == IGNORE_INDEX).nonzero().squeeze(1)


def blank_(values: Tensor, hidden: Tensor, along: int) -> Tensor:
    """Put 0 at the ignored pixels, which lie along one dimension: by place, 5 to 10 times as fast as by mask."""
    return values.index_fill_(along, hidden, 0)


def blocks_of(learner: Tensor, source: Tensor, gradient: Tensor, target: Tensor, classes: int) -> Iterator[Block]:
    """Give the blocks of all images in turn; `classes` is the dimension that holds them, 0 or 1."""
    for image in range(len(learner)):
        maps = [values[image].flatten(1) for values in (learner, source, gradient)]
        labels = target[image].flatten()
        for first in range(0, len(labels), _PIXELS_IN_A_BLOCK):
            some = slice(first, first + _PIXELS_IN_A_BLOCK)
            one, other, slope = (values[:, some].t() if classes else values[:, some] for values in maps)
            yield Block(one, other, slope, labels[some])


def _pass(pixels: Pixels, block: Block, scales: Scales, classes: int, space: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Fill the gradient of a block and give its two sums; each line is a pass over the block at most.

    Ignored pixels are blanked at the end: nothing of them reaches another pixel.
    """
    shifted, other, softened, product = space
    t = pixels.temperature
    ignored = block.target == IGNORE_INDEX
    labels = block.target.masked_fill(ignored, 0).long().unsqueeze(classes)
    for logits, out in ((block.learner, shifted), (block.source, other)):
        full = logits.to(out.dtype)
        torch.sub(full, full.amax(classes, keepdim=True), out=out)
    torch.sub(other, shifted, out=product)
    other.mul_(1 / t).exp_()
    torch.mul(shifted, 1 / t, out=softened).exp_()
    other_sum, softened_sum = other.sum(classes, keepdim=True), softened.sum(classes, keepdim=True)
    cross = product.mul_(other).sum(classes, keepdim=True)
    divergence = t**2 * (cross / other_sum / t + (softened_sum / other_sum).log())
    gradient = block.gradient if block.gradient.dtype == shifted.dtype else product
    torch.mul(softened, scales.divergence * t / softened_sum, out=gradient)
    gradient.sub_(other.mul_(scales.divergence * t / other_sum))
    if pixels.with_labels:
        entropy = _labels(pixels, scales.entropy, classes, labels, shifted, softened, gradient)
    else:
        entropy = torch.zeros_like(divergence)
    blank_(gradient, hidden_in(block), 1 - classes)
    if gradient is product:
        block.gradient.copy_(product)
    return _sum(divergence, ignored, classes), _sum(entropy, ignored, classes)


def _labels(
    pixels: Pixels, scale: float, classes: int, labels: Tensor, shifted: Tensor, softened: Tensor, gradient: Tensor
) -> Tensor:
    """Add the gradient of the scaled cross-entropy and give its value at each pixel; `shifted` is overwritten."""
    own: Tensor | float = 1 - pixels.smoothing
    found = shifted.gather(classes, labels)
    spread: Tensor | float = 0.0
    each = _class_weights(pixels, shifted, classes)
    if pixels.weights is not None:
        own = own * each.flatten()[labels]
    soft = each * (pixels.smoothing / shifted.shape[classes])
    if pixels.smoothing:
        spread = (soft * shifted).sum(classes, keepdim=True)
    if pixels.temperature == 4:  # noqa: PLR2004 (e^x is a power of e^(x / T): quicker than its own exponential)
        torch.mul(softened, softened, out=shifted).square_()
    elif pixels.temperature == 2:  # noqa: PLR2004
        torch.mul(softened, softened, out=shifted)
    elif pixels.temperature == 1:
        shifted.copy_(softened)
    else:
        shifted.exp_()
    total = shifted.sum(classes, keepdim=True)
    log_total = total.log()
    all_soft = soft.sum() if pixels.smoothing else 0.0
    gradient.add_(shifted.mul_(scale * (own + all_soft) / total))
    gradient.scatter_add_(classes, labels, (-scale * own * torch.ones_like(total)))
    if pixels.smoothing:
        gradient.sub_(scale * soft)
    return own * (log_total - found) + all_soft * log_total - spread


def _class_weights(pixels: Pixels, like: Tensor, classes: int) -> Tensor:
    """Give the weights so that they broadcast over a block."""
    count = like.shape[classes]
    weights = like.new_ones(count) if pixels.weights is None else pixels.weights.to(like.dtype)
    return weights.unsqueeze(1 - classes)


def _sum(values: Tensor, ignored: Tensor, classes: int) -> Tensor:
    return values.squeeze(classes).masked_fill(ignored, 0).sum(dtype=torch.float64)
