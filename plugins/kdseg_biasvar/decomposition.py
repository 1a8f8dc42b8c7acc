"""The bias-variance decompositions of the negative log-likelihood and of the Brier score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kdseg.data.samples import IGNORE_INDEX
from kdseg.diagnostics import Accumulator, Findings
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor


class Decomposition(Accumulator):
    """Adds up, for each true class, the error of K trials and its variance.

    With p_k the probabilities of trial k at a pixel and y its label:

    - Negative log-likelihood (Heskes, Neural Computation 10(6), 1998; Yang et al., 2002.11328). The trials' centre p̄
      is the normalised geometric mean, and ``mean_k -log p_ky = KL(e_y‖p̄) + mean_k KL(p̄‖p_k)``, bias and variance.
      That variance, ``-logsumexp(mean_k log p_k)``, is about (K-1)/K of what many trials would show, so it is
      multiplied by K/(K-1), exact to leading order in the trials' spread; the bias is the rest of the error.
    - Brier score. p̄ is the arithmetic mean, the variance ``(sum_k ‖p_k‖² - K‖p̄‖²) / (K-1)``, and the bias the rest of
      ``mean_k ‖e_y-p_k‖²``. Both are unbiased.

    Either bias can come out below 0 where it is small and trials are few; clipping would make means of it wrong.
    While it adds a batch it holds some five float64 copies of one trial's probabilities, whatever the number of trials.
    """

    def __init__(self, classes: Sequence[str], trials: int) -> None:
        self._classes, self._trials = tuple(classes), trials
        self._pixels = torch.zeros(len(classes), dtype=torch.int64)
        self._sums = torch.zeros(len(classes), 4, dtype=torch.float64)  # nll and its variance, brier and its variance

    @torch.no_grad()
    def update(self, trials: Iterable[Tensor], target: Tensor, indices: Sequence[int]) -> None:  # noqa: ARG002
        """Add a batch of images.

        Args:
            trials: logits N×C×H×W of each trial, read one at a time.
            target: N×H×W class indices, 255 where ignored.
            indices: of the images.

        Raises:
            KdsegError: a trial knows another number of classes, or the target holds a label that is none.
            ValueError: the number of trials is not the one promised.
        """
        classes, count = len(self._classes), self._trials
        valid = target != IGNORE_INDEX
        labels = target[valid].long()
        pixels = torch.bincount(labels, minlength=classes)
        if len(pixels) > classes:
            raise KdsegError(
                f"a mask holds the label {len(pixels) - 1}; labels go from 0 to {classes - 1}, and {IGNORE_INDEX} is "
                "ignored"
            )
        log_sum = torch.zeros(len(labels), classes, dtype=torch.float64, device=labels.device)
        sum_ = torch.zeros_like(log_sum)
        squares = log_sum.new_zeros(len(labels))
        seen = 0
        for logits in trials:
            if logits.shape[1] != classes:
                raise KdsegError(
                    f"trial {seen + 1} of {count} predicts {logits.shape[1]} classes; the images have {classes}"
                )
            log_p = logits.movedim(1, -1)[valid].double().log_softmax(-1)
            p = log_p.exp()
            log_sum += log_p
            sum_ += p
            squares += p.square().sum(-1)
            seen += 1
        if seen != count:
            raise ValueError(f"{seen} trials came; {count} were promised")
        log_mean, mean = log_sum / count, sum_ / count
        at_label = labels.unsqueeze(1)
        nll = -log_mean.gather(1, at_label).squeeze(1)
        nll_variance = -log_mean.logsumexp(-1) * count / (count - 1)
        brier = 1 - 2 * mean.gather(1, at_label).squeeze(1) + squares / count
        brier_variance = (squares - count * mean.square().sum(-1)) / (count - 1)
        quantities = torch.stack([nll, nll_variance, brier, brier_variance], dim=1)
        self._sums += quantities.new_zeros(classes, 4).index_add_(0, labels, quantities).cpu()
        self._pixels += pixels.cpu()

    def tensors(self) -> Sequence[Tensor]:
        """Give the pixels of each true class and the sums over them."""
        return [self._pixels, self._sums]

    def compute(self) -> Findings:
        """Give the means over all valid pixels, and a table of the means over the pixels of each true class.

        Returns:
            ``nll``, ``nll_bias``, ``nll_variance`` in nats a pixel, ``brier``, ``brier_bias``, ``brier_variance``
            (the error is within 0..2), and ``pixels``, how many were counted; the table ``class`` has the same
            columns. nan where no pixel was counted.
        """
        rows = zip(self._classes, self._pixels, self._sums, strict=True)
        by_class = {name: _means(pixels, sums) for name, pixels, sums in rows}
        return Findings(scalars=_means(self._pixels.sum(), self._sums.sum(0)), tables={"class": by_class})


def _means(pixels: Tensor, sums: Tensor) -> dict[str, float]:
    nll, nll_variance, brier, brier_variance = (sums / pixels).tolist()
    return {
        "pixels": float(pixels),
        "nll": nll,
        "nll_bias": nll - nll_variance,
        "nll_variance": nll_variance,
        "brier": brier,
        "brier_bias": brier - brier_variance,
        "brier_variance": brier_variance,
    }
