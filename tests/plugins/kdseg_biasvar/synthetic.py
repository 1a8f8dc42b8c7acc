"""Predictors whose bias and variance are known: Dirichlet around known means, and Gaussian logits."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import digamma, logsumexp


class Dirichlet:
    """Probabilities of M kinds of pixel, each from a Dirichlet distribution of its own.

    Args:
        alpha: M×C, the distributions' parameters; the smaller their sum, the wider the spread.
        labels: M.
    """

    def __init__(self, alpha, labels):
        self.alpha, self.labels = np.asarray(alpha), np.asarray(labels)

    def draw(self, rng, *shape):
        """Give probabilities of every kind, of the shape …×M×C."""
        gamma = rng.standard_gamma(np.broadcast_to(self.alpha, (*shape, *self.alpha.shape)))
        return np.maximum(gamma / gamma.sum(-1, keepdims=True), 1e-300)

    def truth(self, votes=20_000):
        """Give what infinitely many trials would show, as means over kinds; of the votes, what `votes` trials show."""
        concentration = self.alpha.sum(-1, keepdims=True)
        log_mean = digamma(self.alpha) - digamma(concentration)
        mean = self.alpha / concentration
        kinds = np.arange(len(self.labels))
        nll, variance = -log_mean[kinds, self.labels], -logsumexp(log_mean, -1)
        spread = (1 - (mean**2).sum(-1)) / (concentration[..., 0] + 1)
        bias = ((np.eye(mean.shape[1])[self.labels] - mean) ** 2).sum(-1)
        found = {
            "nll": nll,
            "nll_variance": variance,
            "nll_bias": nll - variance,
            "brier": bias + spread,
            "brier_variance": spread,
            "brier_bias": bias,
            **self._votes(votes),
        }
        return {name: float(values.mean()) for name, values in found.items()}

    def _votes(self, count):
        rng = np.random.default_rng(12345)
        votes = np.zeros(self.alpha.shape)
        for _ in range(0, count, 1000):
            votes += np.eye(votes.shape[1])[self.draw(rng, 1000).argmax(-1)].sum(0)
        shares = votes / votes.sum(-1, keepdims=True)
        right_share = shares[np.arange(len(shares)), self.labels]
        right = shares.argmax(-1) == self.labels
        return {
            "error": 1 - right_share,
            "error_bias": (~right).astype(float),
            "error_variance": np.where(right, 1 - right_share, -right_share),
        }


def spread_kinds(seed, kinds, classes, concentration):
    """Give kinds of pixel with all sorts of means, sure and unsure, of which most are right in the mean."""
    rng = np.random.default_rng(seed)
    means = rng.dirichlet(np.ones(classes), kinds)
    labels = np.array([rng.choice(classes, p=mean) for mean in means])
    return Dirichlet((0.02 + (1 - 0.02 * classes) * means) * concentration, labels)


def scenes(seed, classes):
    """Give four scenes of twelve kinds each, the trials nearly agreed on the first and apart on the last."""
    parts = [spread_kinds(seed + number, 12, classes, spread) for number, spread in enumerate((200, 60, 20, 8))]
    return Dirichlet(np.concatenate([part.alpha for part in parts]), np.concatenate([part.labels for part in parts]))


def as_logits(p):
    """Give logits I×C×1×W of probabilities I×W×C."""
    return torch.from_numpy(np.log(p)).movedim(-1, 1).unsqueeze(2)


def as_labels(labels, images=1):
    """Give masks I×1×W."""
    return torch.from_numpy(np.broadcast_to(labels, (images, len(labels))).astype(np.uint8))[:, None]


def gaussian_truth(centre, spread, label):
    """Give what infinitely many trials show whose two logits differ by a Gaussian, by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    weights = weights / weights.sum()
    difference = centre + spread * nodes
    log_p = np.stack([-np.logaddexp(0, -difference), -np.logaddexp(0, difference)])
    variance = -float(np.logaddexp(*(log_p @ weights)))
    p = np.exp(log_p)
    mean = p @ weights
    spread_of_p = float(((p**2) @ weights).sum() - (mean**2).sum())
    nll = -float(log_p[label] @ weights)
    bias = float(((np.eye(2)[label] - mean) ** 2).sum())
    return {
        "nll": nll,
        "nll_variance": variance,
        "nll_bias": nll - variance,
        "brier": bias + spread_of_p,
        "brier_variance": spread_of_p,
        "brier_bias": bias,
    }
