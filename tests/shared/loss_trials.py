"""Every registered loss at work on made predictions, under its default options and some others."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve, frozen

from kdseg.components import ClassShares, Loss, LossContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.losses import LossCall, Prediction
from kdseg.plugins import load_plugins

STRIDES = {"encoder.1": 2, "bottleneck": 4}
CHANNELS = {"learner": {"encoder.1": 4, "bottleneck": 6}, "source": {"encoder.1": 8, "bottleneck": 12}}

DISTANCE = "the distance of the classes' numbers"
"""A cost, made for as many classes as there are."""

REQUIRED: dict[str, dict[str, object]] = {}
"""Options that a loss cannot do without."""

VARIANTS = {
    "cross_entropy": [
        {"weights": (1.0, 0.5, 2.0, 0.0, 3.0), "label_smoothing": 0.1},
        {"class_weights": "median_frequency"},
        {"label_smoothing": 1.0},
    ],
    "focal": [{"gamma": 0.0}, {"gamma": 0.5, "weights": (1.0, 0.5, 2.0, 0.0, 3.0)}, {"class_weights": "enet"}],
    "ohem_cross_entropy": [
        {"threshold": 1.0},
        {"threshold": 0.01, "keep": 0.3, "weights": (1.0, 0.5, 2.0, 0.0, 3.0)},
        {"keep": 0.0},
        {"keep": 1.0, "class_weights": "effective_number"},
    ],
    "pixel_kl": [
        {"temperature": 4.0},
        {"temperature": 0.5},
        {"standardise": True},
        {"direction": "reverse", "temperature": 2.0},
        {"direction": "jensen_shannon", "temperature": 0.5},
        {"direction": "jensen_shannon", "standardise": True},
    ],
    "curriculum_kl": [
        {"temperature": 15.6},
        {"temperature": 0.8, "lowest": 0.5, "highest": 1.5, "ramp": 1.0},
        {"standardise": True, "ramp": 0.0},
    ],
    "boundary_kl": [{"radius": 0.1, "temperature": 2.0}, {"radius": 0.07, "weight": 0.5, "standardise": True}],
    "gated_kl": [{"temperature": 4.0, "standardise": True}, {"gate": "sure", "threshold": 0.6}],
    "dkd": [{"alpha": 0.0, "temperature": 1.0}, {"beta": 0.0}, {"standardise": True, "temperature": 0.5}],
    "dist": [{"temperature": 4.0, "beta": 0.0}, {"gamma": 0.0}, {"standardise": True, "gamma": 2.0}],
    "wsl": [{"temperature": 0.5}, {"standardise": True}],
    "optimal_transport": [
        {"epsilon": 2.0, "temperature": 4.0, "standardise": True},
        {"cost": DISTANCE, "epsilon": 1.5},
        {"cost": DISTANCE, "epsilon": 1.0, "iterations": 50},
    ],
    "fitnet": [{"between": ("all",)}],
    "attention_transfer": [{"between": ("all",)}],
    "cwd": [{"temperature": 0.5}, {"between": ("all",)}, {"between": ("bottleneck",), "temperature": 1.0}],
    "mgd": [{"between": ("all",)}, {"mask_ratio": 0.0}],
    "pkd": [{"between": ("all",)}],
    "ifvd": [{"between": ("all",)}],
    "pairwise_similarity": [{"between": ("encoder.1",), "nodes": (3, 4)}, {"between": ("all",)}],
    "cirkd": [{"between": ("encoder.1",), "batch": 0.5, "temperature": 0.5}],
    "holistic": [{"objective": "hinge", "width": 4}],
}
"""Options under which the contracts are tried beside the defaults."""

BUNDLED = [entry for entry in load_plugins().registry.of_kind("loss") if entry.distribution == "kdseg"]


@frozen(kw_only=True)
class Scene:
    """What a loss may be given: how many images of which size and classes, and which of their pixels are ignored."""

    classes: int
    images: int
    rows: int
    columns: int
    ignored: str
    seed: int

    @property
    def size(self):
        return 4 * self.rows, 4 * self.columns

    def labels(self):
        numbers = torch.Generator().manual_seed(self.seed)
        target = torch.randint(0, self.classes, (self.images, *self.size), generator=numbers, dtype=torch.uint8)
        chance = torch.rand(target.shape, generator=numbers)
        if self.ignored in ("scattered", "most"):
            target[chance < {"scattered": 0.2, "most": 0.9}[self.ignored]] = IGNORE_INDEX
        if self.ignored == "columns":
            target[:, :, : self.size[1] // 2] = IGNORE_INDEX
        if self.ignored == "images":
            target[:: 2 if self.images > 1 else 1] = IGNORE_INDEX
        return target


def options_for(classes, options):
    """Give options of as many classes as there are: what holds a number for each is stated for five."""
    found = dict(options)
    if "weights" in found:
        found["weights"] = tuple(found["weights"][number % 5] for number in range(classes))
    if found.get("cost") == DISTANCE:
        found["cost"] = [[abs(one - other) / classes for one in range(classes)] for other in range(classes)]
    return found


@frozen
class Case:
    """A loss under some options, with a source whose features have other channels than the learner's, or as many."""

    cls: type[Loss]
    options: dict[str, object]
    source: str = "source"

    def of(self, scene):
        return Trial(self.cls(**options_for(scene.classes, self.options)), scene, CHANNELS[self.source])


@frozen
class Trial:
    component: Loss
    scene: Scene
    source_channels: dict[str, int]
    scale: int = 1
    """How often each pixel and cell is repeated in both directions."""

    def taps(self):
        """Give the shapes of the taps that it asks for, of the learner and of the source."""
        names = self.component.taps(list(STRIDES), list(STRIDES))
        sides = (CHANNELS["learner"], self.source_channels)
        return [
            {
                name: (channels[name], *(self.scale * length // STRIDES[name] for length in self.scene.size))
                for name in asked
            }
            for asked, channels in zip(names, sides, strict=True)
        ]

    def module(self, dtype=torch.float64):
        classes = self.scene.classes
        shares = ClassShares(
            pixels=tuple(900 // (number + 1) + 1 for number in range(classes)),
            pixels_where_present=tuple(1000 // (number + 1) + 1 for number in range(classes)),
            images=tuple(10 // (number + 1) + 1 for number in range(classes)),
        )
        learner, source = self.taps()
        ctx = LossContext(num_classes=classes, class_shares=lambda: shares, learner_taps=learner, source_taps=source)
        torch.default_generator.manual_seed(0)  # the processor's alone: torch.manual_seed asks other devices for 2 ms
        return self.component.build(ctx).to(dtype)

    def predictions(self, *, dtype=torch.float64, scale=2.0, alike=False):
        """A learner's prediction, and a source's where the loss has one."""
        learner = self._prediction(self.taps()[0], dtype, scale, 1)
        if self.component.role != "distillation":
            return learner, None
        if alike:
            return learner, changed(learner, lambda values: values.detach().clone().requires_grad_())
        return learner, self._prediction(self.taps()[1], dtype, scale, 2)

    def _prediction(self, taps, dtype, scale, seed):
        numbers = torch.Generator().manual_seed(self.scene.seed + seed)
        sizes = {"": (self.scene.classes, *self.scene.size), **taps}
        made = {
            name: (scale * torch.randn(self.scene.images, *size, generator=numbers, dtype=torch.float64))
            .to(dtype)
            .requires_grad_()
            for name, size in sizes.items()
        }
        return Prediction(logits=made.pop(""), taps=made)

    def mean(self, learner, source, target, dtype=torch.float64):
        """Give the loss as the engine has it: a sum over its count."""
        module = self.module(dtype)
        loss = module(learner, source, target, call(len(target)))
        if self.component.per == "batch":
            return loss
        return loss / module.count(target).clamp_min(1e-9)


def changed(one, change):
    """Give a prediction with all of its tensors changed."""
    if one is None:
        return None
    return evolve(one, logits=change(one.logits), taps={name: change(tap) for name, tap in one.taps.items()})


def tensors(one):
    return [] if one is None else [one.logits, *one.taps.values()]


def with_tensors(one, values):
    return None if one is None else evolve(one, logits=values[0], taps=dict(zip(one.taps, values[1:], strict=True)))


def call(images, device="cpu", seed=0):
    generator = torch.Generator(device=device).manual_seed(seed)
    return LossCall(progress=0.5, images=torch.zeros(images, 3, 32, 32, device=device), generator=generator)


def cases():
    for entry in BUNDLED:
        for options in ({}, *VARIANTS.get(entry.name, [])):
            case = Case(entry.cls, REQUIRED.get(entry.name, {}) | options)
            yield pytest.param(case, id=f"{entry.name}-{options}" if options else entry.name)
