"""What the sums over trials say of each pixel. All are added up over pixels as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from kdseg_biasvar.pixel_sums import PixelSums

ERRORS = (
    "nll",
    "kl_within",
    "kl_between",
    "brier",
    "brier_within",
    "brier_between",
    "error",
    "error_bias",
    "error_unbiased",
    "error_biased",
)
"""Against the labels; `within` and `between` are spreads of K values over K: not yet corrected for the centre's own."""
LEFT = "kl_left"
"""The mean of kl_within + kl_between over the trials without one sample, each sample in turn."""
REFERENCE = ("reference_nll", "reference_noise", "reference_brier")
"""Against another network's probabilities."""
QUANTITIES = (*ERRORS, LEFT, *REFERENCE)


def at_pixels(sums: PixelSums, samples: int, seeds: int, labels: Tensor, reference: Tensor | None) -> Tensor:
    """Give `QUANTITIES` of each pixel; zeros for `LEFT`, and for `REFERENCE` where there is none.

    Negative log-likelihood (Heskes, Neural Computation 10(6), 1998; Yang et al., 2002.11328): the trials' centre is the
    normalised geometric mean, and the mean of KL(centre‖p) over trials is -logsumexp(mean log p). Brier score: the
    centre is the arithmetic mean. Wrong pixels (Domingos, ICML 2000): the centre is the class that most trials predict,
    of several the first; where it is right, trials that are not are `error_unbiased`; where it is wrong, trials that
    are right all the same are `error_biased`, which lowers the error.

    Args:
        sums: over the trials, at P pixels.
        samples: how many training sets they had.
        seeds: trials of each.
        labels: P class indices.
        reference: C×P, log probabilities.

    Returns:
        P×Q, float64.
    """
    trials = samples * seeds
    row = labels[None]
    log_mean, mean, squares = sums.log_p / trials, sums.p / trials, sums.squares / trials
    centres, log_norms = sums.centres / samples, sums.log_norms / samples
    share_right = sums.votes.gather(0, row)[0].double() / trials
    most, voted = sums.votes.max(0)
    right = voted == labels
    found = [
        -log_mean.gather(0, row)[0],
        -log_norms,
        log_norms - log_mean.logsumexp(0),
        1 - 2 * mean.gather(0, row)[0] + squares,
        squares - centres,
        centres - mean.square().sum(0),
        1 - share_right,
        (~right).double(),
        torch.where(right, 1 - most.double() / trials, 0),
        torch.where(right, 0, share_right),
    ]
    found += [torch.zeros_like(squares)] * (len(QUANTITIES) - len(found))
    if reference is not None:
        p = reference.exp()
        found[-len(REFERENCE) :] = [
            -(p * log_mean).sum(0),
            -(p * reference).sum(0),
            p.square().sum(0) - 2 * (p * mean).sum(0) + squares,
        ]
    return torch.stack(found, 1)


def ensembles(sums: PixelSums) -> tuple[Tensor, Tensor, Tensor]:
    """Give the P classes that the trials predict together: by vote, by arithmetic and by geometric mean."""
    return sums.votes.max(0).indices, sums.p.max(0).indices, sums.log_p.max(0).indices
