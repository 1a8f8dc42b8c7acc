"""The diagnostic at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kdseg import Accumulator
from kdseg_biasvar.batch import Batch
from kdseg_biasvar.design import designs
from kdseg_biasvar.reading import places_of
from kdseg_biasvar.run_sums import RunSums

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from kdseg import DiagnosticContext, Findings
    from kdseg_biasvar.components import BiasVariance


class Decomposition(Accumulator):
    """Adds up what the trials say of each pixel, by image, class and region.

    While it adds a batch it holds, of each arm, two float64 copies of one trial's probabilities and their votes, one
    more of each where several seeds share a training set, and one of the reference's; that number does not depend on
    how many trials there are. A batch is read twice where three training sets or more can be left out in turn.
    """

    def __init__(self, ctx: DiagnosticContext, options: BiasVariance) -> None:
        self._ctx, self._options = ctx, options
        self._designs = designs(ctx)
        self._places = places_of(self._designs, reference=ctx.reference is not None)
        classes = len(ctx.classes)
        self._pixels = torch.zeros(ctx.images, classes, 2, dtype=torch.int64)
        self._sums = [RunSums.zeros(ctx.images, classes, design) for design in self._designs]

    @torch.no_grad()
    def update(self, trials: Iterable[Tensor], target: Tensor, indices: Sequence[int]) -> None:
        """Add a batch of images.

        Args:
            trials: logits N×C×H×W: the reference's, if there is one, then each arm's; read one at a time, twice.
            target: N×H×W class indices, 255 where ignored.
            indices: of the images.

        Raises:
            KdsegError: a trial knows another number of classes, or the target holds a label that is none.
            ValueError: the number of trials is not the one promised, or an image is none.
        """
        if any(not 0 <= index < self._ctx.images for index in indices):
            raise ValueError(f"images {list(indices)} came; they go from 0 to {self._ctx.images - 1}")
        batch = Batch(self._designs, len(self._ctx.classes), target, self._options.radius)
        batch.read_all(trials, self._places)
        batch.leave_out(trials, self._places)
        where = torch.tensor(list(indices))
        for mine, found in zip(self._sums, batch.sums, strict=True):
            mine.add(found, where)
        self._pixels.index_add_(0, where, batch.pixels.cpu())

    def tensors(self) -> Sequence[Tensor]:
        """Give the pixels of each image, class and region, and all sums over them."""
        return [self._pixels, *(tensor for sums in self._sums for tensor in sums.tensors())]

    def compute(self) -> Findings:
        """Give what the sums say, as the package's README tells, with pictures."""
        from kdseg_biasvar.findings import findings_of

        return findings_of(self._ctx, self._options, self._designs, self._pixels, self._sums)
