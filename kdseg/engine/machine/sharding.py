"""FSDP2, for experiments: a learner's weights, gradients and optimizer state lie in parts over the processes.

Only learners are sharded, and of them only the network: frozen networks, shadows and the parts of losses are whole in
each process. From its forward pass to the end of its step a learner's weights are whole; else they are DTensors.

PyTorch's own modules are imported only to shard: that takes a second, and every run passes through this file.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeGuard, TypeVar

import torch
from accelerate.utils import DistributedType
from attrs import define
from torch import nn

from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from accelerate import Accelerator
    from torch import Tensor
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor
    from torch.optim import Optimizer

    from kdseg.engine.learn.participants import LearnerState
    from kdseg.engine.run.state import Run

P = ParamSpec("P")
T = TypeVar("T")


def refuse_unfit_for_sharding(accelerator: Accelerator, precision: str) -> None:
    """Refuse where learners cannot be sharded.

    Raises:
        KdsegError: with what is wrong.
    """
    if accelerator.distributed_type != DistributedType.FSDP:
        raise KdsegError(
            "accelerate was told to use FSDP2, which shards learners over several GPUs, and it found none; launch with "
            "--multi_gpu, or without FSDP"
        )
    if precision == "fp16":
        raise KdsegError("train.precision: 'fp16' cannot run with FSDP2; 'bf16' can")
    from torch.distributed.fsdp import FSDPModule

    if not hasattr(FSDPModule, "set_force_sum_reduction_for_comms"):
        raise KdsegError(f"FSDP2 here needs a newer PyTorch: {torch.__version__} cannot add gradients up")


@define(eq=False)
class Sharded:
    """A sharded network and its optimizer, whose states are those of one that is not.

    `load_state_dict` takes whole tensors and keeps this process's part. `state_dict` gives whole tensors: all processes
    must ask for it, but within `gathered`.
    """

    module: nn.Module
    optimizer: Optimizer
    _weights: dict[str, Tensor] | None = None
    _state: dict[int, Any] | None = None

    @classmethod
    def of(cls, learner: LearnerState, accelerator: Accelerator) -> Sharded:
        """Shard a learner, by the one call in which Accelerate wants a network and an optimizer of it alone."""
        from torch.distributed.fsdp import OffloadPolicy, fully_shard

        module, optimizer = learner.participant.module, learner.optimizer
        plugin = accelerator.state.fsdp_plugin
        plugin.auto_wrap_policy = None
        plugin.cpu_offload = OffloadPolicy()  # none
        plugin.cpu_ram_efficient_loading = False  # all have the same first weights; and it cannot handle buffers
        plugin.activation_checkpointing = False  # it would put the layers that losses tap under other names
        plugin.mixed_precision_policy = None  # autocast decides layer by layer, as it does without FSDP
        plugin.reshard_after_forward = False
        module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload] # FSDP2 takes no other
        stages = learner.participant.stages()  # each by itself, else a gradient that enters at a tap finds no weights
        for stage in reversed([one for one in module.modules() if one in stages and one is not module]):
            fully_shard(stage, reshard_after_forward=False)
        accelerator.prepare(module, torch.optim.SGD(module.parameters(), lr=0.0))  # ours has the losses' parts, too
        optimizer.param_groups[0]["params"] = list(module.parameters())
        for unit in _units(module):
            unit.set_gradient_divide_factor(1.0)  # terms are divided by counts over all processes: they add up
            unit.set_force_sum_reduction_for_comms(enable=True)
        self = cls(module, optimizer)
        give = partial(self._give_weights)  # torch puts a mark on it, which no method takes
        module.register_state_dict_post_hook(give)  # type: ignore[no-untyped-call]
        module.register_load_state_dict_pre_hook(self._take_weights)  # type: ignore[no-untyped-call]
        optimizer.register_state_dict_post_hook(self._give_state)
        optimizer.register_load_state_dict_pre_hook(self._take_state)
        return self

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Have whole weights and states at hand. All processes enter; within, one may predict, then save, alone."""
        self._weights, self._state = dict(self.module.state_dict()), self.optimizer.state_dict()["state"]
        for unit in _units(self.module):
            unit.unshard()
        try:
            yield
        finally:
            self._weights = self._state = None
            reshard(self.module)

    def _give_weights(self, _module: nn.Module, state: dict[str, Any], *_: Any) -> None:
        state.update(self._weights or {name: whole(value).cpu() for name, value in state.items() if is_sharded(value)})

    def _take_weights(self, module: nn.Module, state: dict[str, Any], *_: Any) -> None:
        reshard(module)
        for name, parameter in module.named_parameters(remove_duplicate=False):
            if name in state:
                state[name] = _part(state[name], parameter)

    def _give_state(self, _optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        whole_state = self._state or {
            index: {name: whole(value).cpu() if is_sharded(value) else value for name, value in values.items()}
            for index, values in state["state"].items()
        }
        return {**state, "state": whole_state}

    def _take_state(self, optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        indices = [index for group in state["param_groups"] for index in group["params"]]
        parts = {
            index: {name: _part(value, parameter) for name, value in state["state"][index].items()}
            for index, parameter in zip(indices, parameters, strict=True)
            if index in state["state"]
        }
        return {**state, "state": parts}


def with_whole_learners(method: Callable[Concatenate[Run, P], T]) -> Callable[Concatenate[Run, P], T]:
    """Let a run do what it does on all processes, but each at its own pace, or the main one alone."""

    @wraps(method)
    def call(run: Run, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with ExitStack() as stack:
            for sharded in run.sharded:
                stack.enter_context(sharded.gathered())
            return method(run, *args, **kwargs)

    return call


def is_sharded(tensor: Any) -> TypeGuard[DTensor]:
    """Whether a tensor lies in parts over the processes."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Any) -> Any:
    """Give a tensor whole; one that is sharded is gathered, for which all processes must ask."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """Give this process's part of a tensor, to read or to change."""
    return tensor.to_local() if is_sharded(tensor) else tensor


def reshard(module: nn.Module) -> None:
    """Let go of weights that were gathered."""
    if _is_unit(module):  # else there is nothing to walk through at every step
        for unit in _units(module):
            unit.reshard()


def clip_gradients(parameters: Sequence[nn.Parameter], limit: float) -> None:
    """Clip by the norm over all parameters, of which some may be sharded; then all processes take part."""
    sharded = [parameter for parameter in parameters if is_sharded(parameter)]
    if not sharded:
        nn.utils.clip_grad_norm_(parameters, limit)
        return
    others = [parameter for parameter in parameters if not is_sharded(parameter)]
    gradients = [[parameter.grad for parameter in some if parameter.grad is not None] for some in (sharded, others)]
    norms = [whole(nn.utils.get_total_norm(some)) for some in gradients if some]
    if norms:
        scale = (limit / (torch.linalg.vector_norm(torch.stack(norms)) + 1e-6)).clamp(
            max=1
        )  # as clip_grad_norm_ has it
        for gradient in (*gradients[0], *gradients[1]):
            local(gradient).mul_(scale)


def _part(value: Any, like: Tensor) -> Any:
    """Give a whole tensor as its parameter is sharded; what is no image of the parameter stays as it is."""
    from torch.distributed.tensor import distribute_tensor

    if not is_sharded(like) or not isinstance(value, torch.Tensor) or value.shape != like.shape:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def _units(module: nn.Module) -> list[FSDPModule]:
    return [unit for unit in module.modules() if _is_unit(unit)]  # type: ignore[misc] # they are of both classes


def _is_unit(module: nn.Module) -> bool:
    return hasattr(module, "set_gradient_divide_factor")
