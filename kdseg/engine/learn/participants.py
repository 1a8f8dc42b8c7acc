"""The networks of a run: who they are, how they predict, how a learner steps."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from attrs import define, evolve, field
from torch import nn

from kdseg.data.images import resized, scaled_size
from kdseg.engine.machine.sharding import clip_gradients, local, whole
from kdseg.losses import Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from torch import Tensor
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from kdseg.components import Backbone
    from kdseg.engine.learn.class_map import ClassMap
    from kdseg.engine.machine.processes import Processes
    from kdseg.recipe.schema import Frozen, Learner, Shadow


@define(eq=False)
class Participant:
    """A named network, and what it takes to run it."""

    name: str
    spec: Learner | Frozen | Shadow
    backbone: Backbone
    module: nn.Module
    class_map: ClassMap | None = None
    """Where its classes are others than the dataset's: in these it predicts."""
    taps: frozenset[str] = frozenset()
    """The taps that some term reads."""
    version: int = 0
    """Counts the changes of its weights."""
    _captured: dict[str, Tensor] = field(factory=dict)

    def watch(self, taps: Iterable[str]) -> None:
        """Capture these taps at every forward from now on."""
        self.taps = frozenset(taps)
        stages = self.backbone.taps(self.module)
        for tap in self.taps:
            resolve_tap(self.backbone, self.module, tap).register_forward_hook(
                self._capture(tap, copy=tap not in stages)
            )

    def stages(self) -> set[nn.Module]:
        """Give the stages of the network, and whatever else some term taps."""
        tapped = {resolve_tap(self.backbone, self.module, tap) for tap in self.taps}
        return {*self.backbone.taps(self.module).values(), *tapped}

    def _capture(self, tap: str, *, copy: bool) -> Callable[[nn.Module, Any, Tensor], Tensor | None]:
        """Make what captures a tap; with a copy the network goes on, since a layer may change it in its place."""

        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor | None:
            self._captured[tap] = output
            return output.clone() if copy and isinstance(output, torch.Tensor) else None

        return hook

    def predict(self, images: Tensor) -> Prediction:
        """Run the network as it stands, in its present mode, on normalised images N×3×H×W."""
        output = self.module(images)
        heads = dict(output) if isinstance(output, dict) else {"logits": output}
        taps, self._captured = self._captured, {}
        prediction = Prediction(logits=heads.pop("logits"), taps=taps, heads=heads)
        return prediction if self.class_map is None else self.class_map.prediction(prediction)

    def seen_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Give height and width at which it sees training images of a size."""
        return size if self.spec.view is None else scaled_size(*size, self.spec.view.scale)

    def predict_in_training(self, images: Tensor) -> Prediction:
        """Predict as its view shows the images: logits, and heads of their shape, come back at the images' size."""
        height, width = images.shape[2:]
        prediction = self.predict(resized(images, self.seen_size((height, width))))
        if self.spec.view is None:
            return prediction
        shape = prediction.logits.shape
        heads = {
            name: resized(head, (height, width)) if head.shape == shape else head
            for name, head in prediction.heads.items()
        }
        return evolve(prediction, logits=resized(prediction.logits, (height, width)), heads=heads)

    def features(self, images: Tensor, taps: Iterable[str]) -> dict[str, Tensor]:
        """Run the network as it stands on normalised images, and give what it makes at some taps.

        It is as the tap gave it, whatever a later layer does in its place.

        Raises:
            KeyError: it has no such tap; with the names that exist.
        """
        found: dict[str, Tensor] = {}
        hooks = [
            resolve_tap(self.backbone, self.module, tap).register_forward_hook(
                lambda _module, _inputs, output, tap=tap: found.__setitem__(
                    tap, output.clone() if isinstance(output, torch.Tensor) else output
                )
            )
            for tap in taps
        ]
        try:
            with torch.compiler.set_stance("force_eager"):  # else it would be compiled once more, with these hooks
                self.predict(images)
        finally:
            for hook in hooks:
                hook.remove()
        return found

    def logits(self, images: Tensor) -> Tensor:
        """Give nothing but the logits that `predict` gives."""
        return self.predict(images).logits

    def as_source(self) -> AbstractContextManager[None]:
        """Run as a source only: in eval mode, or in train mode without touching running statistics."""
        if getattr(self.spec, "source_mode", "eval") == "eval":
            self.set_training(False)
            return nullcontext()
        self.set_training(True)
        return still_statistics(self.module)

    def set_training(self, training: bool) -> None:
        """Switch the mode, where it is not so already: walking a large network costs more than a flag."""
        if self.module.training is not training:
            self.module.train(training)

    def digest(self) -> str:
        """Give the SHA-256 of all weights and buffers."""
        sha = hashlib.sha256()
        for name, tensor in self.module.state_dict().items():
            sha.update(name.encode())
            sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return sha.hexdigest()


@define(eq=False)
class LearnerState:
    """What makes a participant a learner: its own optimizer, schedule, scaler and clock."""

    participant: Participant
    optimizer: Optimizer
    schedule: LRScheduler
    clip: float | None
    scaler: torch.amp.GradScaler
    steps: int = 0

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All that the optimizer trains, in a fixed order."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    @property
    def learning_rate(self) -> float:
        """The rate of the next step, of the network's own weights."""
        return float(self.optimizer.param_groups[0]["lr"])

    def is_lost(self, processes: Processes) -> bool:
        """Whether some weight is no longer finite, on any process."""
        sums = torch.stack([local(parameter.detach()).sum(dtype=torch.float32) for parameter in self.parameters])
        if processes.sharded:  # each process holds its own part of a weight
            processes.sum_([sums])
        return not sums.isfinite().all()  # one such number spoils its sum

    def step(self, told: Callable[[], object] = lambda: None) -> None:
        """Clip, step, tick. Gradients are the global batch's by now, and `told` is called while they can be seen."""
        self.scaler.unscale_(self.optimizer)
        told()
        if self.clip is not None:
            clip_gradients(self.parameters, self.clip)
        scale = self.scaler.get_scale() if self.scaler.is_enabled() else 0.0
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.participant.version += 1
        if self.scaler.is_enabled() and self.scaler.get_scale() < scale:
            return  # overflow in half precision: the scaler skipped the step, so no clock ticks
        self.schedule.step()
        self.steps += 1


@define(eq=False)
class ShadowState:
    """A participant that follows a learner as its moving average."""

    participant: Participant
    of: LearnerState
    decay: float
    average_buffers: bool

    @torch.no_grad()
    def follow(self) -> None:
        """Take the learner's last step into the average.

        The decay of its n-th step is min(d, (1 + n) / (10 + n)), so that the random start is soon forgotten.
        """
        n = self.of.steps
        keep = min(self.decay, (1 + n) / (10 + n))
        mine, theirs = self.participant.module, self.of.participant.module
        for mean, parameter in zip(mine.parameters(), theirs.parameters(), strict=True):
            mean.lerp_(whole(parameter), 1 - keep)
        for average, buffer in zip(mine.buffers(), theirs.buffers(), strict=True):
            if self.average_buffers and average.is_floating_point():
                average.lerp_(buffer, 1 - keep)
            else:
                average.copy_(buffer)
        self.participant.version += 1


def resolve_tap(backbone: Backbone, module: nn.Module, tap: str) -> nn.Module:
    """Find the submodule of a stage name or dotted path.

    Raises:
        KeyError: with the names that exist, as its only argument.
    """
    stages = backbone.taps(module)
    if tap in stages:
        return stages[tap]
    modules: dict[str, nn.Module] = dict(module.named_modules())
    scripted = torch.jit.ScriptModule  # it takes no hooks
    submodules = {name: one for name, one in modules.items() if not isinstance(one, scripted)}
    if tap in submodules:
        return submodules[tap]
    raise KeyError((*stages, *submodules))


@contextmanager
def still_statistics(module: nn.Module) -> Iterator[None]:
    """Let train mode use the batch's statistics and put the recorded ones back, whatever layer keeps them."""
    buffers = list(module.buffers())
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)


def initialise(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Build a module whose first weights depend on `seed` alone, and leave torch's generators as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
