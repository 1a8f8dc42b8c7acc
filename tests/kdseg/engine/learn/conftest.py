"""Loops written by hand, which the engine's steps are held against."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F


class Hand:
    """A network that learns with AdamW under poly, as the recipes of these tests say."""

    def __init__(self, network, rate, steps):
        self.network, self.rate, self.steps, self.taken = network, rate, steps, 0
        self.optimizer = torch.optim.AdamW(network.parameters())

    def learn(self, *losses):
        self.optimizer.zero_grad()
        sum(losses).backward()
        self.optimizer.param_groups[0]["lr"] = self.rate * (1 - self.taken / self.steps) ** 0.9
        self.optimizer.step()
        self.taken += 1

    def study(self, images):
        return self.network.train()(images)

    @torch.no_grad()
    def tell(self, images):
        return self.network.eval()(images)

    @torch.no_grad()
    def tell_by_the_batch(self, images):
        return copy.deepcopy(self.network).train()(images)


def labels(logits, target):
    return F.cross_entropy(logits, target, ignore_index=255)


def divergence(logits, wanted, target, temperature=1.0):
    """T^2 sum_c p_c (log p_c - log q_c), over the labelled pixels' mean."""
    p, q = (F.log_softmax(values / temperature, 1) for values in (wanted.detach(), logits))
    return (temperature**2 * (p.exp() * (p - q)).sum(1))[target != 255].mean()


@pytest.fixture(scope="session")
def hands():
    """A learner by hand, and the two losses as a paper writes them."""
    return SimpleNamespace(Hand=Hand, labels=labels, divergence=divergence)
