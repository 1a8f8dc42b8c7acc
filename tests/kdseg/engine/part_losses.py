"""A plugin file for the tests of the engine: losses, each with what some test needs to tell a fault."""

from __future__ import annotations

import os
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import nn

from kdseg import Loss, LossModule, PixelLoss, hookimpl
from kdseg.losses import full_precision


class FeatureMimicModule(LossModule):
    """The sum over images of the mean squared distance, the learner's features projected to the source's."""

    def __init__(self, learner, source, norm):
        super().__init__()
        norms = [nn.BatchNorm2d(source)] if norm == "batch" else []
        self.projector = nn.Sequential(nn.Conv2d(learner, source, 1, bias=not norms), *norms)

    def count(self, target):
        return torch.tensor(len(target))

    def forward(self, learner, source, target, call):
        found = self.projector(full_precision(learner.taps["encoder.1"]))
        return (found - full_precision(source.taps["encoder.1"])).square().mean(dim=(1, 2, 3)).sum()


@frozen(kw_only=True)
class FeatureMimic(Loss):
    """Features of the encoder, through a projector that learns and may keep running statistics."""

    name: ClassVar[str] = "feature_mimic"
    role: ClassVar[Literal["distillation"]] = "distillation"
    per: ClassVar[Literal["image"]] = "image"
    norm: Annotated[Literal["batch", "group"], "whether the projector normalises; group: it does not"] = "batch"

    def build(self, ctx):
        return FeatureMimicModule(ctx.learner_taps["encoder.1"][0], ctx.source_taps["encoder.1"][0], self.norm)

    def taps(self, learner, source):
        return ("encoder.1",), ("encoder.1",)


class SmallFeaturesModule(LossModule):
    def count(self, target):
        return torch.tensor(len(target))

    def forward(self, learner, source, target, call):
        return full_precision(learner.taps["encoder.1"]).square().mean(dim=(1, 2, 3)).sum()


@frozen(kw_only=True)
class SmallFeatures(Loss):
    """A penalty on the encoder alone: no gradient reaches decoder and head."""

    name: ClassVar[str] = "small_features"
    role: ClassVar[Literal["regulariser"]] = "regulariser"
    per: ClassVar[Literal["image"]] = "image"

    def build(self, ctx):
        return SmallFeaturesModule()

    def taps(self, learner, source):
        return ("encoder.1",), ()


class EdgeModule(LossModule):
    def count(self, target):
        return torch.tensor(len(target))

    def forward(self, learner, source, target, call):
        return learner.heads["edge"].square().mean(dim=(1, 2, 3)).sum()


@frozen(kw_only=True)
class Edge(Loss):
    """A penalty on the second head, which reads neither logits nor taps."""

    name: ClassVar[str] = "edge"
    role: ClassVar[Literal["regulariser"]] = "regulariser"
    per: ClassVar[Literal["image"]] = "image"

    def build(self, ctx):
        return EdgeModule()


class MarginModule(LossModule):
    """A mean over the micro-batch: the squared mean of the logits."""

    def forward(self, learner, source, target, call):
        return learner.logits.mean().square()


@frozen(kw_only=True)
class Margin(Loss):
    """A loss per batch."""

    name: ClassVar[str] = "margin"
    role: ClassVar[Literal["regulariser"]] = "regulariser"
    per: ClassVar[Literal["batch"]] = "batch"

    def build(self, ctx):
        return MarginModule()


class LearnedScaleModule(PixelLoss):
    """Cross-entropy of noisy logits times a learned scale; remembers how often and on what it was called."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(()))

    def pixel_map(self, learner, source, target, call):
        self.calls += 1
        self.mean.lerp_(learner.detach().mean().to(self.mean), 0.1)
        noise = torch.randn(learner.shape, generator=call.generator, device=learner.device)
        return F.cross_entropy(self.scale * learner + 0.1 * noise + self.mean.detach(), target, reduction="none")


@frozen(kw_only=True)
class LearnedScale(Loss):
    """A loss with a weight, buffers and random numbers of its own."""

    name: ClassVar[str] = "learned_scale"
    role: ClassVar[Literal["supervised"]] = "supervised"

    def build(self, ctx):
        return LearnedScaleModule()


class DuelModule(LossModule):
    """A critic tells the source's mean classes from the learner's; the learner raises what it says of its own."""

    def __init__(self, num_classes):
        super().__init__()
        self.critic = nn.Linear(num_classes, 1)

    def count(self, target):
        return torch.tensor(len(target))

    def forward(self, learner, source, target, call):
        assert not any(parameter.requires_grad for parameter in self.critic.parameters())
        return (self.judged(source) - self.judged(learner)).sum()

    def critic_loss(self, learner, source, target, call):
        assert not learner.logits.requires_grad
        return F.softplus(self.judged(learner)).sum() + F.softplus(-self.judged(source)).sum()

    def judged(self, one):
        return self.critic(one.logits.softmax(1).mean(dim=(2, 3)).to(self.critic.weight.dtype))


@frozen(kw_only=True)
class Duel(Loss):
    """A loss with an opponent."""

    name: ClassVar[str] = "duel"
    role: ClassVar[Literal["distillation"]] = "distillation"
    per: ClassVar[Literal["image"]] = "image"

    def build(self, ctx):
        return DuelModule(ctx.num_classes)


class QueueModule(LossModule):
    """Half the squared distance of the mean logits from those of the last 8 batches of all processes."""

    def __init__(self, num_classes):
        super().__init__()
        self.register_buffer("queue", torch.zeros(8, num_classes))
        self.register_buffer("next", torch.zeros((), dtype=torch.int64))

    def forward(self, learner, source, target, call):
        mean = learner.logits.to(self.queue.dtype).mean(dim=(0, 2, 3))
        loss = (mean - self.queue.mean(0)).square().sum() / 2
        with torch.no_grad():
            self.queue[self.next % 8] = call.gather(mean.unsqueeze(0)).mean(0)
            self.next += 1
        return loss


@frozen(kw_only=True)
class Queue(Loss):
    """A loss with a memory that all processes fill."""

    name: ClassVar[str] = "queue"
    role: ClassVar[Literal["regulariser"]] = "regulariser"
    per: ClassVar[Literal["batch"]] = "batch"

    def build(self, ctx):
        return QueueModule(ctx.num_classes)


class AlikeModule(LossModule):
    """The mean squared product of the mean logits of every two images, over all processes."""

    def forward(self, learner, source, target, call):
        mine = learner.logits.mean(dim=(2, 3))
        return (mine @ call.gather(mine).T).square().mean()


@frozen(kw_only=True)
class Alike(Loss):
    """A loss over pairs of images."""

    name: ClassVar[str] = "alike"
    role: ClassVar[Literal["regulariser"]] = "regulariser"
    per: ClassVar[Literal["batch"]] = "batch"

    def build(self, ctx):
        return AlikeModule()


class Together:
    """Two losses from one call, by their closed gradients."""

    how = "together"

    def __init__(self, modules):
        self.modules = modules

    def __call__(self, learner, source, target, call, scales):
        values = torch.stack([module(learner, source, target, call) for module in self.modules])
        return scales.to(values.dtype) @ values, values.detach()


class FusibleModule(PixelLoss):
    """Squared logits: computed together with a cross-entropy, where there is one."""

    def pixel_map(self, learner, source, target, call):
        return learner.square().mean(1)

    def fuse(self, others, *, device, compiled):
        partners = [other for other in others if type(other).__name__ == "CrossEntropyLoss"]
        return Together([self, *partners[:1]]) if partners else None


@frozen(kw_only=True)
class Fusible(Loss):
    """A loss that offers to be fused."""

    name: ClassVar[str] = "fusible"
    role: ClassVar[Literal["regulariser"]] = "regulariser"

    def build(self, ctx):
        return FusibleModule()


class DeafModule(LossModule):
    """Half the mean squared logit in the first process, and a bare 0 in every other."""

    def forward(self, learner, source, target, call):
        if os.environ.get("RANK", "0") != "0":
            return torch.zeros(())
        return learner.logits.square().mean() / 2


@frozen(kw_only=True)
class Deaf(Loss):
    """A loss that has nothing to say in some processes."""

    name: ClassVar[str] = "deaf"
    role: ClassVar[Literal["regulariser"]] = "regulariser"
    per: ClassVar[Literal["batch"]] = "batch"

    def build(self, ctx):
        return DeafModule()


@hookimpl
def kdseg_losses():
    return [FeatureMimic, SmallFeatures, Edge, Margin, LearnedScale, Duel, Queue, Alike, Fusible, Deaf]
