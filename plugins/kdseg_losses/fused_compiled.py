"""Cross-entropy with the labels and divergence from a source, with their gradient, by the loop in fused.c."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING

import torch

from kdseg.data.samples import IGNORE_INDEX
from kdseg_losses.build import library
from kdseg_losses.fused_blocks import Sums, dense, steps

if TYPE_CHECKING:
    from torch import Tensor

    from kdseg_losses.fused_blocks import Pixels, Scales

_PIXELS_IN_A_CHUNK = 4096  # as LANES * GROUPS_IN_A_CHUNK in fused.c


class _Strides(ctypes.Structure):
    _fields_ = (("image", ctypes.c_int64), ("class_", ctypes.c_int64), ("pixel", ctypes.c_int64))


class _Job(ctypes.Structure):
    """`Job` of fused.c."""

    _fields_ = (
        ("learner", ctypes.c_void_p),
        ("source", ctypes.c_void_p),
        ("target", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        ("gradient", ctypes.c_void_p),
        ("sums", ctypes.c_void_p),
        ("learner_strides", _Strides),
        ("source_strides", _Strides),
        ("images", ctypes.c_int64),
        ("classes", ctypes.c_int64),
        ("pixels", ctypes.c_int64),
        ("ignore_index", ctypes.c_int64),
        ("with_labels", ctypes.c_int64),
        ("threads", ctypes.c_int64),
        ("temperature", ctypes.c_float),
        ("smoothing", ctypes.c_float),
        ("entropy_scale", ctypes.c_float),
        ("divergence_scale", ctypes.c_float),
    )


def compilable() -> bool:
    """Whether `in_one_pass` may be called; compiles where that is still to do."""
    return library() is not None


def in_one_pass(pixels: Pixels, learner: Tensor, source: Tensor, target: Tensor, scales: Scales) -> tuple[Tensor, Sums]:
    """Compute what `fused_blocks.in_blocks` does, on float32 logits in the CPU's memory.

    By as many threads as torch uses. Each chunk of pixels has its own sums, so that they don't depend on that number.
    """
    compiled = library()
    assert compiled is not None
    source, target = dense(source), target.long().contiguous()
    weights = None if pixels.weights is None else pixels.weights.float().contiguous()
    gradient = torch.empty_like(learner)
    images, classes, *size = learner.shape
    sums = torch.zeros(images, -(-math.prod(size) // _PIXELS_IN_A_CHUNK), 2, dtype=torch.float64)
    job = _Job(
        learner=learner.data_ptr(),
        source=source.data_ptr(),
        target=target.data_ptr(),
        weights=None if weights is None else weights.data_ptr(),
        gradient=gradient.data_ptr(),
        sums=sums.data_ptr(),
        learner_strides=_Strides(*steps(learner)),
        source_strides=_Strides(*steps(source)),
        images=images,
        classes=classes,
        pixels=math.prod(size),
        ignore_index=IGNORE_INDEX,
        with_labels=pixels.with_labels,
        threads=torch.get_num_threads(),
        temperature=pixels.temperature,
        smoothing=pixels.smoothing,
        entropy_scale=scales.entropy,
        divergence_scale=scales.divergence,
    )
    status = compiled.kdseg_fused(ctypes.byref(job))
    if status == 1:
        labels = target[target != IGNORE_INDEX]
        raise IndexError(
            f"the target holds labels {labels.min().item()} to {labels.max().item()}; "
            f"classes are 0 to {classes - 1}, and {IGNORE_INDEX} is ignored"
        )
    if status:
        raise MemoryError("no memory for the fused losses' rows")
    entropy, divergence = _total(sums.view(-1, 2))
    return gradient, Sums(divergence=divergence, entropy=entropy)


def _total(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Add the chunks' sums in their order, whatever the number of threads."""
    entropy, divergence = (torch.tensor(math.fsum(column), dtype=torch.float64) for column in sums.t().tolist())
    return entropy, divergence
