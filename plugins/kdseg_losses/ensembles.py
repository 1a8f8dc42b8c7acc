"""Several sources as one. Each function is a `kdseg.ensembles.Combination`: logits of all to logits N×C×H×W."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from kdseg.data.samples import IGNORE_INDEX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from kdseg.losses import LossCall


def mean_probabilities(sources: Sequence[Tensor], target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG001
    """Give the logarithm of the mean of the sources' probabilities."""
    return _log_probabilities(sources).logsumexp(0) - math.log(len(sources))


def mean_logits(sources: Sequence[Tensor], target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG001
    """Give the mean of the sources' logits."""
    return torch.stack([*sources]).mean(0)


def least_loss(sources: Sequence[Tensor], target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG001
    """Give, at each pixel, the logits of the source that finds the label likeliest; the first of equals.

    KDCL-Naive (Guo et al., "Online Knowledge Distillation via Collaborative Learning", CVPR 2020), which chooses for
    each image; here it does for each pixel.
    """
    labels = _labels(target)
    likelihood = torch.stack([found.gather(1, labels) for found in _log_probabilities(sources)])
    chosen = likelihood.argmax(0, keepdim=True).expand(1, *sources[0].shape)
    return torch.stack([*sources]).gather(0, chosen).squeeze(0)


def min_logit(sources: Sequence[Tensor], target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG001
    """Give the least of z_k - z_k[label] over the sources k, class by class: 0 at the label.

    KDCL-MinLogit (Guo et al., CVPR 2020, section 3.3): no source is more sure of the label than this is.
    """
    labels = _labels(target)
    return torch.stack([logits - logits.gather(1, labels) for logits in sources]).amin(0)


def by_certainty(sources: Sequence[Tensor], target: Tensor, call: LossCall) -> Tensor:  # noqa: ARG001
    """Give the logarithm of the mean of the probabilities p_k, with weights exp(-H(p_k)) over their sum, pixel-wise."""
    log_p = _log_probabilities(sources)
    entropy = -(log_p.exp() * log_p).sum(2, keepdim=True)
    return (log_p + (-entropy).log_softmax(0)).logsumexp(0)


def _log_probabilities(sources: Sequence[Tensor]) -> Tensor:
    """Give them for each source: K×N×C×H×W."""
    return torch.stack([logits.log_softmax(1) for logits in sources])


def _labels(target: Tensor) -> Tensor:
    """Give the labels N×1×H×W, some label where they are ignored: nothing of that place counts."""
    return target.masked_fill(target == IGNORE_INDEX, 0).long().unsqueeze(1)
