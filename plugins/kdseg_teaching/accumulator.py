"""The diagnostic at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kdseg.boundaries import boundary
from kdseg.data.samples import IGNORE_INDEX
from kdseg.diagnostics import Accumulator, Findings
from kdseg.errors import KdsegError
from kdseg_teaching.findings import scalars_of, tables_of
from kdseg_teaching.pixels import add_agreement, add_entropies, add_errors, add_grid, centred_ranks
from kdseg_teaching.places import sample
from kdseg_teaching.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from kdseg.components import DiagnosticContext

CHUNK = 1 << 15
"""Pixels that are calculated with at once: of 19 classes, 5 MB for each float64 copy, which a CPU's cache holds."""


class Teaching(Accumulator):
    """Adds up what the first trial's probabilities hold, and how far the others rank the non-target classes alike.

    While it adds a batch it holds one copy of a trial's logits at valid pixels, some float64 copies of a chunk of them,
    and the first trial's ranks at the sampled pixels.
    """

    def __init__(self, ctx: DiagnosticContext, temperatures: Sequence[float], radius: int, pixels: int) -> None:
        self._ctx, self._temperatures, self._radius, self._pixels = ctx, tuple(temperatures), radius, pixels
        self._sums = Sums.zeros(len(ctx.classes), len(temperatures))

    @torch.no_grad()
    def update(self, trials: Iterable[Tensor], target: Tensor, indices: Sequence[int]) -> None:  # noqa: ARG002 (all images count alike)
        """Add a batch of images.

        Args:
            trials: logits N×C×H×W of each trial, the teacher's first, read one at a time.
            target: N×H×W class indices, 255 where ignored.
            indices: of the images.

        Raises:
            KdsegError: a trial knows another number of classes, or the target holds a label that is none.
            ValueError: the number of trials is not the one promised.
        """
        classes, count = len(self._ctx.classes), self._ctx.trials
        valid = target != IGNORE_INDEX
        labels = target[valid].long()
        if len(labels) and int(labels.max()) >= classes:
            raise KdsegError(
                f"a mask holds the label {int(labels.max())}; labels go from 0 to {classes - 1}, and {IGNORE_INDEX} is "
                "ignored"
            )
        sampled = sample(*target.shape[1:], self._pixels, target.device).expand_as(target)[valid]
        sums = Sums.zeros(classes, len(self._temperatures), target.device)
        ours: Tensor | None = None
        seen = 0
        for logits in trials:
            if logits.shape[1] != classes:
                raise KdsegError(
                    f"trial {seen + 1} of {count} predicts {logits.shape[1]} classes; the images have {classes}"
                )
            chosen = logits.movedim(1, -1)[valid]
            some = chosen[sampled].double()
            if ours is None:
                self._add_teacher(sums, chosen, labels, boundary(target, self._radius)[valid])
                add_grid(sums, some, labels[sampled])
                ours = centred_ranks(some, labels[sampled])
            else:
                add_agreement(sums, ours, centred_ranks(some, labels[sampled]), labels[sampled])
            del logits, chosen, some  # else they would lie beside the next trial's
            seen += 1
        if seen != count:
            raise ValueError(f"{seen} trials came; {count} were promised")
        self._sums.add(sums)

    def _add_teacher(self, sums: Sums, logits: Tensor, labels: Tensor, edges: Tensor) -> None:
        labels, order = labels.sort()  # sums over the pixels of a class are sums over slices
        for part, chunk in zip(labels.split(CHUNK), order.split(CHUNK), strict=True):
            precise = logits[chunk].double()
            add_entropies(sums, precise, part, edges[chunk], self._temperatures)
            add_errors(sums, precise, part)

    def tensors(self) -> Sequence[Tensor]:
        """Give all sums."""
        return self._sums.tensors()

    def compute(self) -> Findings:
        """Give what the sums say, as the package's README tells, and pictures of a few images."""
        from kdseg_teaching.pictures import pictures_of

        tables = tables_of(self._sums, self._ctx.classes.names, self._temperatures)
        return Findings(
            scalars=scalars_of(self._sums),
            tables=tables,
            pictures=pictures_of(tables, self._ctx.examples(), self._ctx.classes.colours, self._temperatures[0]),
        )
