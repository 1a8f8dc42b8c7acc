"""A critic that tells the source's predictions from the learner's."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossModule, full_precision

if TYPE_CHECKING:
    from kdseg.components import LossContext
    from kdseg.losses import LossCall, Prediction
    from kdseg_losses.components.relation import Holistic


_LEAST_SIZE = 16
"""What four halvings leave one cell of; smaller maps are padded with 0, which is what ignored pixels are."""


class HolisticLoss(LossModule):
    """D(source) - D(learner) of each image, D being what a critic makes of the map of class probabilities.

    Holistic distillation of Liu et al. (1903.04197), with the critic of Gulrajani et al. (1704.00028, equation 3). The
    critic, in turn, lowers by `critic_loss`, for each image,

    - wgan_gp: D(learner) - D(source) + penalty * (|dD/dx| - 1)^2, at a point x drawn between the two maps;
    - hinge: max(0, 1 - D(source)) + max(0, 1 + D(learner)), cell by cell of the critic's map, as Yang et al. have it in
      the code of 2204.06986.

    D is the mean of the critic's map, where each cell counts by the share of its pixels that are valid, and ignored
    pixels are 0 in all that the critic sees. The mean over images divides by the number of those with a valid pixel.

    Different from the paper and its code:

    - D(source) has no gradient here; it is there so that identical predictions give 0.
    - |dD/dx| is the norm over an image's pixels times the square root of their number. So the distance between
      maps, whose greatest slope is held at 1, is a root of a mean over pixels, not of a sum, and a weight means the
      same for any size of image. The code has a sum, over 65x65 pixels.
    - The map of probabilities, not of logits, whose scale the critic would have to take away first. It is seen at full
      size; the image beside it only where asked (the paper's formula has it, the code not).
    - The critic has no self-attention, and neither spectral nor batch normalisation: what it says of an image is a
      function of this image and of its weights.
    """

    critic: Critic

    def __init__(self, ctx: LossContext, options: Holistic) -> None:
        super().__init__()
        self.options = options
        self.critic = Critic(ctx.num_classes + 3 * options.sees_image, options.width)

    def count(self, target: Tensor) -> Tensor:
        """Give the number of images with a valid pixel."""
        return (target != IGNORE_INDEX).flatten(1).any(1).sum()

    def forward(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:
        """Sum the images' differences."""
        assert source is not None  # a distillation loss has one
        valid = target != IGNORE_INDEX
        found = self._judged(_probabilities(learner, valid), valid, call)
        with torch.no_grad():
            wanted = self._judged(_probabilities(source, valid), valid, call)
        return _mean_over_valid(wanted - found, valid).sum()

    def critic_loss(self, learner: Prediction, source: Prediction | None, target: Tensor, call: LossCall) -> Tensor:
        """Sum what the critic learns from over the images."""
        assert source is not None  # a distillation loss has one
        valid = target != IGNORE_INDEX
        maps = [_probabilities(one, valid).detach() for one in (learner, source)]
        found, wanted = (self._judged(one, valid, call) for one in maps)
        if self.options.objective == "hinge":
            return _mean_over_valid(F.relu(1 - wanted) + F.relu(1 + found), valid).sum()
        losses = _mean_over_valid(found - wanted, valid) + self.options.penalty * self._penalty(*maps, valid, call)
        return losses.sum()

    def _judged(self, probabilities: Tensor, valid: Tensor, call: LossCall) -> Tensor:
        """Give the critic's map, N×h×w."""
        if not self.options.sees_image:
            return self.critic(probabilities)
        images = full_precision(call.images).to(probabilities.dtype).masked_fill(~valid.unsqueeze(1), 0)
        return self.critic(torch.cat([probabilities, images], dim=1))

    def _penalty(self, learner: Tensor, source: Tensor, valid: Tensor, call: LossCall) -> Tensor:
        """Give (|dD/dx| - 1)^2 of each image, 0 without a valid pixel."""
        share = torch.rand(len(learner), 1, 1, 1, generator=call.generator, device=learner.device, dtype=learner.dtype)
        between = (share * source + (1 - share) * learner).requires_grad_()
        hidden = ~valid.unsqueeze(1)
        judged = _mean_over_valid(self._judged(between.masked_fill(hidden, 0), valid, call), valid)
        (slopes,) = torch.autograd.grad(judged.sum(), between, create_graph=True)
        pixels = valid.flatten(1).sum(1)
        norm = torch.linalg.vector_norm(slopes.flatten(1), dim=1) * pixels.to(slopes.dtype).sqrt()
        return (norm - 1).square().masked_fill(pixels == 0, 0)


class Critic(nn.Module):
    """Four convolutions that halve the map, and one that judges each cell of what is left.

    As the discriminator of 1903.04197 has them, but for the last one, which sees 3x3 cells in place of 4x4 and reaches
    over the border, so that maps of any size serve.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        sizes = [channels, *(width * 2**i for i in range(4))]
        layers: list[nn.Module] = []
        for inside, outside in pairwise(sizes):
            layers += [nn.Conv2d(inside, outside, 4, stride=2, padding=1), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(sizes[-1], 1, 3, padding=1))

    def forward(self, maps: Tensor) -> Tensor:
        """Give the judgement of each cell, N×h×w, of maps N×C×H×W; the higher, the more like the source's."""
        below, right = (max(0, _LEAST_SIZE - length) for length in maps.shape[-2:])
        if below or right:
            maps = F.pad(maps, (0, right, 0, below))
        judged: Tensor = self.layers(maps)
        return judged.squeeze(1)


def _probabilities(prediction: Prediction, valid: Tensor) -> Tensor:
    """Give the class probabilities, 0 at ignored pixels."""
    hidden = ~valid.unsqueeze(1)
    return full_precision(prediction.logits).masked_fill(hidden, 0).softmax(1).masked_fill(hidden, 0)


def _mean_over_valid(values: Tensor, valid: Tensor) -> Tensor:
    """Give each image's mean of a map N×h×w over its valid pixels, N×H×W; 0 where there are none."""
    share = F.adaptive_avg_pool2d(valid.to(values.dtype).unsqueeze(1), values.shape[-2:]).squeeze(1)
    total = share.sum((1, 2))
    return (values * share).sum((1, 2)) / total.masked_fill(total == 0, 1)
