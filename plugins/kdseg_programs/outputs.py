"""Which of a program's outputs are its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from kdseg import KdsegError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

_USUAL = ("logits", "out")
"""What transformers and torchvision call theirs."""


def chosen_output(file: Path, output: Any, wanted: str) -> Tensor:
    """Give the tensor N×C×h×w of scores.

    Args:
        file: the program's, for messages.
        output: what it gave: a tensor, or several by name or in order.
        wanted: a name or a number; empty: the usual name, or the only one.

    Raises:
        KdsegError: it is not there, it is not clear which one is meant, or it holds no scores.
    """
    named = _named(output)
    if not wanted:
        usual = [name for name in _USUAL if name in named]
        if not usual and len(named) != 1:
            raise KdsegError(f'{file}: gives {_listed(named)}; say output = "…", the name of its scores')
        wanted = usual[0] if usual else next(iter(named))
    if wanted not in named and wanted.isdigit() and int(wanted) < len(named):
        wanted = [*named][int(wanted)]
    if wanted not in named:
        hint = did_you_mean(wanted, named)
        raise KdsegError(f"{file}: has no output {wanted!r}{hint}; it gives {_listed(named)}")
    scores = named[wanted]
    if not isinstance(scores, Tensor) or scores.dim() != 4 or not scores.is_floating_point():  # noqa: PLR2004 (N×C×h×w)
        mend = "; a program that names each pixel's class teaches nothing more" if _is_integers(scores) else ""
        raise KdsegError(f"{file}: gives {_told(scores)}; scores N×C×h×w of each class are needed{mend}")
    return scores


def _named(output: Any) -> dict[str, Any]:
    if isinstance(output, Mapping):
        return {str(name): value for name, value in output.items()}
    if isinstance(output, Sequence):
        return {str(number): value for number, value in enumerate(output)}
    return {"0": output}


def _listed(named: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} ({_told(value)})" for name, value in named.items()) or "nothing"


def _told(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{'×'.join(map(str, value.shape))}{' of integers' if _is_integers(value) else ''}"


def _is_integers(value: Any) -> bool:
    return isinstance(value, Tensor) and not value.is_floating_point()
