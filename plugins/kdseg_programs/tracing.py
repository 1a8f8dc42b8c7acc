"""A network as a program of torch.export, for images of every size or of one."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import torch
from torch.fx.experimental import _config as symbolic

from kdseg import KdsegError
from kdseg_programs.exported import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.export import ExportedProgram

    from kdseg import ExportContext

_PROBES = ((32, 32), (64, 96), (33, 47), (128, 130))
"""Sizes at which a program that takes any must run: multiples of much, and of nothing."""
_GUARDED = ((1, 96, 64), (1, 32, 4096), (1, 4096, 32), (1, 1500, 1100), (2, 64, 96), (9, 64, 96))
"""Images, heights and widths for which it must hold: upright, thin and large ones, and several at once."""

_ENDLESS = 2**31


@torch.no_grad()
def traced(ctx: ExportContext) -> ExportedProgram:
    """Trace what an exporter is to write.

    Raises:
        KdsegError: it cannot be traced, or what was traced holds for some sizes alone.
    """
    if ctx.size is None:  # weights with channels last would bind it to more images than one
        ctx.module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload] # torch's stub lacks it
    free: Any = None if ctx.size else ({0: torch.export.Dim.DYNAMIC} | dict.fromkeys((2, 3), torch.export.Dim.DYNAMIC),)
    try:
        # Else each comparison of two sizes would bind the program to those for which it comes out as it did here.
        with quiet(), symbolic.patch(backed_size_oblivious=ctx.size is None):
            program = torch.export.export(ctx.module, (ctx.example,), dynamic_shapes=free, strict=False)
            if ctx.size is None:
                _try_sizes(program, ctx.example)
    except KdsegError:
        raise
    except Exception as error:  # of many parts of torch
        mend = "" if ctx.size else "; --size HEIGHTxWIDTH traces it for one size alone"
        raise KdsegError(f"torch.export cannot trace the network: {_told(error)}{mend}") from error
    return program


def _try_sizes(program: ExportedProgram, example: torch.Tensor) -> None:
    module = program.module()
    bound = next((one for one in program.range_constraints.values() if one.upper < _ENDLESS), None)
    if bound is not None:
        raise _holds_for_some(f"for more than {bound.upper} images, rows or columns", None)
    for height, width in _PROBES:
        _try(module, example.new_zeros(1, 3, height, width))
    guards = getattr(module, "_guards_fn", None)  # what was decided by sizes; nothing is calculated
    for count, height, width in _GUARDED if guards is not None else ():
        _try(guards, example.new_zeros(1).expand(count, 3, height, width))


def _try(module: Callable[[torch.Tensor], object], images: torch.Tensor) -> None:
    try:
        module(images)
    except Exception as error:
        count, _, height, width = images.shape
        several = f" for {count} images at once" if count > 1 else ""
        raise _holds_for_some(f"at {height}x{width}{several}", error) from error


def _holds_for_some(where: str, error: Exception | None) -> KdsegError:
    told = "" if error is None else f": {_told(error)}"
    return KdsegError(
        f"the network decides by the images' size what it does, so what was traced does not hold {where}{told}; "
        "--size HEIGHTxWIDTH writes it for one size alone"
    )


@contextmanager
def library_told(what: str) -> Iterator[None]:
    """Keep libraries from telling of themselves, and tell what they cannot do as what it is.

    Args:
        what: they are asked for, to follow "cannot": ``quantise the network``.

    Raises:
        KdsegError: in place of what they raise.
    """
    try:
        with _quiet_libraries():
            yield
    except (KdsegError, OSError):
        raise
    except Exception as error:  # of many parts of theirs
        raise KdsegError(f"its library cannot {what}: {_told(error)}") from error


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    names = ("torch.onnx", "torch.export", "nncf", "onnxscript", "onnx_ir", "root")
    loggers = [logging.getLogger(None if name == "root" else name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
