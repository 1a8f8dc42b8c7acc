"""What the learner and the critic learn from, against critics whose slopes are known; and that learning works."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kdseg.components import LossContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg_losses.adversarial import Critic
from kdseg_losses.components.relation import Holistic

OBJECTIVES = ("wgan_gp", "hinge")
over_objectives = pytest.mark.parametrize("objective", OBJECTIVES)


def call(images=None, seed=0):
    return LossCall(
        progress=0.0,
        images=torch.zeros(0) if images is None else images,
        generator=torch.Generator().manual_seed(seed),
    )


def built(classes, critic=None, **options):
    ctx = LossContext(
        num_classes=classes,
        class_shares=lambda: pytest.fail("nobody asked for the shares"),
        learner_taps={},
        source_taps={},
    )
    torch.manual_seed(0)
    module = Holistic(width=2, **options).build(ctx)
    module.critic = critic or module.critic
    return module.double()


def predictions(*logits):
    return [Prediction(logits=torch.as_tensor(values)) for values in logits]


class Squares(nn.Module):
    """Judges each square of 2x2 pixels by the mean of w_c p_c + v_c p_c^2 / 2 summed over classes: slope w + v p."""

    def __init__(self, linear, square):
        super().__init__()
        self.linear, self.square = (nn.Parameter(torch.as_tensor(values)) for values in (linear, square))

    def forward(self, maps):
        linear, square = (weights[:, None, None] for weights in (self.linear, self.square))
        return nn.functional.avg_pool2d((linear * maps + square * maps.square() / 2).sum(1), 2)


def softmax(values):
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def judged(maps, valid, linear, square):
    """Give D of an image, its squares and their shares of valid pixels, pixel by pixel; ignored pixels are 0 in it."""
    squares, shares = [], []
    height, width = valid.shape
    for y in range(0, height, 2):
        for x in range(0, width, 2):
            pixels = [(i, j) for i in (y, y + 1) for j in (x, x + 1)]
            sees = [maps[i, j] if valid[i, j] else 0 * maps[i, j] for i, j in pixels]
            squares.append(sum(float(linear @ p + square @ p**2 / 2) for p in sees) / 4)
            shares.append(sum(valid[i, j] for i, j in pixels) / 4)
    return squares, shares


def mean(values, shares):
    return sum(v * s for v, s in zip(values, shares, strict=True)) / sum(shares) if sum(shares) else 0.0


def expected(learner, source, target, critic, objective, penalty, draws):
    """Give the learner's loss and the critic's, image by image from their formulas."""
    linear, square = critic
    loss = against = 0.0
    for image in range(len(target)):
        valid = target[image] != IGNORE_INDEX
        mine, theirs = (np.apply_along_axis(softmax, 0, one[image]).transpose(1, 2, 0) for one in (learner, source))
        (found, shares), (wanted, _) = (judged(one, valid, linear, square) for one in (mine, theirs))
        loss += mean(wanted, shares) - mean(found, shares)
        if objective == "hinge":
            sides = [max(0, 1 - one) + max(0, 1 + other) for one, other in zip(wanted, found, strict=True)]
            against += mean(sides, shares)
        elif valid.any():
            between = draws[image] * theirs + (1 - draws[image]) * mine
            # D is the mean over squares by their shares of the mean over 4 pixels: the weight of each pixel in it
            weights = np.array(shares).reshape(valid.shape[0] // 2, -1).repeat(2, 0).repeat(2, 1) / sum(shares) / 4
            slopes = [
                weights[i, j] * (linear + square * between[i, j]) for i, j in zip(*np.nonzero(valid), strict=True)
            ]
            norm = math.sqrt(sum(float(slope @ slope) for slope in slopes)) * math.sqrt(len(slopes))
            against += mean(found, shares) - mean(wanted, shares) + penalty * (norm - 1) ** 2
    return loss, against


@over_objectives
def test_both_losses_are_the_formulas(objective):
    @settings(deadline=None, max_examples=40)
    @given(
        st.integers(0, 1000), st.integers(2, 5), st.integers(1, 3), st.integers(1, 3), st.sampled_from([0, 0.3, 0.95])
    )
    def holds(seed, classes, height, width, ignored):
        numbers = np.random.default_rng(seed)
        learner, source = (numbers.normal(size=(3, classes, 2 * height, 2 * width)) for _ in range(2))
        target = numbers.integers(0, classes, (3, 2 * height, 2 * width))
        target[numbers.random(target.shape) < ignored] = IGNORE_INDEX
        critic = [3 * numbers.normal(size=classes) for _ in range(2)]
        module = built(classes, Squares(*critic), objective=objective, penalty=7.0)
        draws = torch.rand(3, 1, 1, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        wanted = expected(learner, source, target, critic, objective, 7.0, draws.flatten().tolist())
        both, target = predictions(learner, source), torch.as_tensor(target)
        assert module(*both, target, call()).item() == pytest.approx(wanted[0], rel=1e-10, abs=1e-12)
        against = module.critic_loss(*both, target, call(seed=seed))
        assert against.item() == pytest.approx(wanted[1], rel=1e-10, abs=1e-12)
        assert module.count(target) == (target != IGNORE_INDEX).flatten(1).any(1).sum()

    holds()


def test_the_penalty_of_a_critic_that_is_linear():
    """D = mean of w . p has the slope w / P at each of P pixels: |w| by the root of a mean, whatever the size."""
    weights = torch.tensor([3.0, 4.0], dtype=torch.float64)
    for size in (2, 6):
        module = built(2, Squares(weights, 0 * weights), penalty=10.0)
        alike = predictions(*[torch.zeros(1, 2, size, size, dtype=torch.float64)] * 2)
        loss = module.critic_loss(*alike, torch.zeros(1, size, size), call())
        assert loss.item() == pytest.approx(10 * (5 - 1) ** 2, rel=1e-12)
        (slope,) = torch.autograd.grad(loss, module.critic.linear)
        assert slope.tolist() == pytest.approx([2 * 10 * (5 - 1) * 3 / 5, 2 * 10 * (5 - 1) * 4 / 5], rel=1e-12)


def example(classes=3, size=(32, 36), seed=0):
    numbers = torch.Generator().manual_seed(seed)
    learner, source = (torch.randn(3, classes, *size, generator=numbers, dtype=torch.float64) for _ in range(2))
    target = torch.randint(0, classes, (3, *size), generator=numbers)
    target[torch.rand(target.shape, generator=numbers) < 0.2] = IGNORE_INDEX
    target[1] = IGNORE_INDEX
    return learner, source, target, torch.randn(3, 3, *size, generator=numbers)


@over_objectives
@pytest.mark.parametrize("sees_image", [False, True])
def test_ignored_pixels_change_nothing_of_either_loss(objective, sees_image):
    learner, source, target, images = example()
    hidden, results = (target == IGNORE_INDEX).unsqueeze(1), []
    for poison in (0.0, float("nan"), float("inf")):
        module = built(3, objective=objective, sees_image=sees_image)
        mine, theirs, seen = (one.masked_fill(hidden, poison) for one in (learner, source, images))
        mine.requires_grad_()
        both = predictions(mine, theirs)
        losses = [module(*both, target, call(seen)), module.critic_loss(*both, target, call(seen))]
        losses[1].backward()
        assert mine.grad is None
        critics = [weight.grad.clone() for weight in module.critic.parameters()]
        losses[0].backward()
        assert (mine.grad.masked_select(hidden) == 0).all()
        results.append([one.detach() for one in losses] + critics + [mine.grad])
    for other in results:
        assert all(
            torch.isfinite(one).all() and torch.equal(one, same) for one, same in zip(other, results[0], strict=True)
        )


@over_objectives
def test_nothing_is_learned_from_images_without_a_valid_pixel(objective):
    learner, source, target, _ = example()
    module, both = built(3, objective=objective), predictions(learner.requires_grad_(), source)
    nothing = torch.full_like(target, IGNORE_INDEX)
    against = module.critic_loss(*both, nothing, call())
    against.backward()
    assert against == 0
    assert all((weight.grad == 0).all() for weight in module.critic.parameters())
    assert module(*both, nothing, call()) == 0
    assert module.count(target) == 2


def test_what_is_not_drawn_is_the_same_in_all_splits():
    """The learner's loss, and the critic's under hinge, of one image after the other."""
    learner, source, target, _ = example()
    module = built(3, objective="hinge")
    for loss_of in (module, module.critic_loss):
        whole = loss_of(*predictions(learner, source), target, call())
        parts = [
            loss_of(*predictions(learner[[place]], source[[place]]), target[[place]], call()) for place in range(3)
        ]
        assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-12)


def test_the_image_is_seen_where_asked():
    learner, source, target, images = example()
    for sees_image in (False, True):
        module, both = built(3, sees_image=sees_image), predictions(learner, source)
        values = [module(*both, target, call(seen)).item() for seen in (images, -images)]
        assert (values[0] != values[1]) == sees_image


@settings(deadline=None, max_examples=15)
@given(st.integers(2, 150), st.integers(1, 70), st.integers(1, 70))
def test_maps_of_any_size_and_number_of_classes_serve(classes, height, width):
    judgement = Critic(classes, 2)(torch.rand(2, classes, height, width))
    assert judgement.shape == (2, max(1, height // 16), max(1, width // 16))
    assert torch.isfinite(judgement).all()


def distance(learner, source):
    """Between the mean probabilities of both, a sum over classes."""
    return (learner.softmax(1).mean((0, 2, 3)) - source.softmax(1).mean((0, 2, 3))).abs().sum().item()


@over_objectives
def test_a_learner_that_follows_the_critic_comes_to_predict_as_the_source_does(objective):
    numbers = torch.Generator().manual_seed(0)
    module = built(3, objective=objective)
    torch.manual_seed(1)
    module.critic = Critic(3, 4)
    learner, source = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        source.bias.copy_(torch.tensor([2.0, 0.0, -2.0]))
        learner.bias.copy_(torch.tensor([-2.0, 0.0, 2.0]))
    steps = torch.optim.Adam(learner.parameters(), 0.1), torch.optim.Adam(module.critic.parameters(), 5e-3, (0.5, 0.9))
    distances = []
    for step in range(60):
        images = torch.randn(4, 3, 32, 32, generator=numbers)
        target = torch.zeros(4, 32, 32)
        target[:, :, :4] = IGNORE_INDEX
        found, wanted = learner(images), source(images).detach()
        distances.append(distance(found, wanted))
        for optimizer, loss_of in zip(steps, (module, module.critic_loss), strict=True):
            learning = found if loss_of is module else found.detach()
            optimizer.zero_grad()
            loss = loss_of(*predictions(learning, wanted), target, call(seed=step)) / module.count(target)
            loss.backward()
            optimizer.step()
    assert distances[0] > 1.5
    assert np.mean(distances[-10:]) < 0.5 * distances[0]


@pytest.mark.parametrize("options", [{"penalty": -1.0}, {"width": 0}, {"penalty": float("nan")}])
def test_senseless_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Holistic(**options)
