"""What Accelerate gives the engine: the device, autocast, and sums over processes."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, broadcast_object_list, gather_object
from attrs import define, field

from kdseg.engine.machine.arithmetic import set_arithmetic
from kdseg.engine.machine.launch import asks_for_fsdp, refuse_other_engines
from kdseg.engine.machine.sharding import is_sharded, refuse_unfit_for_sharding
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from kdseg.data.batches import Batch
    from kdseg.recipe.schema_train import Train

T = TypeVar("T")

BUCKET_ELEMENTS = 1 << 24
"""Numbers sent at once: large enough to fill the wire, small enough that the copy costs no memory to speak of."""

_SUPPORTED = {DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU, DistributedType.FSDP}


@define(eq=False)
class Processes:
    """The processes of a run, seen from one of them."""

    accelerator: Accelerator
    _copies: torch.cuda.Stream | None = field(default=None, init=False)
    """Of a GPU: what is copied to it by itself, while it calculates."""

    @classmethod
    def start(cls, train: Train) -> Processes:
        """Join the processes that `accelerate launch` started, or be the only one, and calculate as `[train]` says.

        Raises:
            KdsegError: for a precision that the device lacks, and for launchers that cannot serve several learners.
        """
        refuse_other_engines()
        precision = train.precision
        # A run before this one, of a teacher, may have had another precision; and FSDP is not set up twice.
        AcceleratorState._reset_state(reset_partial_state=asks_for_fsdp())  # noqa: SLF001
        try:
            accelerator = Accelerator(mixed_precision="no" if precision == "fp32" else precision)
        except ValueError as error:
            raise KdsegError(f"train.precision: {precision!r} cannot run here: {error}") from error
        except torch.distributed.DistNetworkError as error:
            raise KdsegError(f"the processes of this run do not meet: {error}; one that ended tells why") from error
        if precision == "fp16" and accelerator.device.type == "cpu":
            raise KdsegError("train.precision: 'fp16' needs a GPU; 'bf16' runs on CPUs too")
        if asks_for_fsdp():
            refuse_unfit_for_sharding(accelerator, precision)
        if accelerator.distributed_type not in _SUPPORTED:
            raise KdsegError(
                f"accelerate was told to use {accelerator.distributed_type.value}; kdseg trains several learners with "
                "plain data parallelism: run `accelerate config`, or launch with --multi_gpu"
            )
        started = int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1
        if started != accelerator.num_processes:
            raise KdsegError(
                f"{started} processes were started, but each would train alone: Accelerate joins them on GPUs, and on "
                "CPUs only where ACCELERATE_USE_CPU=1 is set"
            )
        set_arithmetic(
            accelerator.device,
            tf32=train.tf32,
            deterministic=train.deterministic,
            cudnn_benchmark=train.cudnn_benchmark,
        )
        return cls(accelerator)

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""
        return int(self.accelerator.process_index)

    @property
    def world(self) -> int:
        """How many processes there are."""
        return int(self.accelerator.num_processes)

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return bool(self.accelerator.is_main_process)

    @property
    def sharded(self) -> bool:
        """Whether learners lie in parts over the processes."""
        return bool(self.accelerator.distributed_type == DistributedType.FSDP)

    def bring(self, batch: Batch) -> Batch:
        """Give a batch on this process's device; to a GPU it travels beside what that is still calculating."""
        if self.device.type != "cuda":
            return batch.to(self.device)
        if self._copies is None:
            self._copies = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call] # likewise
        with torch.cuda.stream(self._copies):
            brought = batch.to(self.device)
        calculating = torch.cuda.current_stream(self.device)
        calculating.wait_stream(self._copies)
        for values in brought.tensors:
            values.record_stream(calculating)  # else their memory could be written anew while it is read
        return brought

    def autocast(self) -> AbstractContextManager[Any]:
        """Run the forward in the recipe's precision."""
        context: AbstractContextManager[Any] = self.accelerator.autocast()
        return context

    def wait(self) -> None:
        """Wait until every process is here."""
        with _all_alive():
            self.accelerator.wait_for_everyone()

    def agree(self, value: T) -> T:
        """Give the main process's value to all."""
        values = [value]
        with _all_alive():
            broadcast_object_list(values)
        return values[0]

    def first_of_all(self, value: T | None) -> T | None:
        """Give what the first process gives that gives anything, to all."""
        with _all_alive():
            values = gather_object([value])
        return next((one for one in values if one is not None), None)

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over processes, bit for bit the same on all."""
        if self.world == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket]).to(self.device)
            with _all_alive():
                total = self.accelerator.reduce(flat, reduction="sum")
            for tensor, part in zip(bucket, total.split([tensor.numel() for tensor in bucket]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def average_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over processes; one that is the same on all stays as it is, to the bit."""
        if self.world == 1:
            return
        tensors = list(tensors)
        sums = [tensor.double() for tensor in tensors]  # float32 adds up in float64 without rounding
        self.sum_(sums)
        for tensor, total in zip(tensors, sums, strict=True):
            tensor.copy_(total / self.world)

    def gather(self, values: Tensor) -> Tensor:
        """Join a tensor, of one shape in all processes, along its first dimension; gradient flows back to each."""
        if self.world == 1:
            return values
        joined: Tensor = _Gather.apply(values, self)  # type: ignore[no-untyped-call] # torch declares no types for it
        return joined

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum gradients over processes. One that is None everywhere stays None: its parameter is not stepped."""
        if self.world == 1:
            return
        parameters = [parameter for parameter in parameters if not is_sharded(parameter)]  # FSDP2 has summed theirs
        present = torch.tensor([parameter.grad is not None for parameter in parameters], device=self.device).int()
        self.sum_([present])
        gradients = []
        for parameter, count in zip(parameters, present.tolist(), strict=True):
            if count and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if parameter.grad is not None:
                gradients.append(parameter.grad)
        self.sum_(gradients)


class _Gather(torch.autograd.Function):
    """Joins tensors of all processes. What each adds to the gradient of a part is summed and goes to its owner."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, processes: Processes) -> Tensor:
        ctx.processes, ctx.size = processes, len(values)
        with _all_alive():
            joined: Tensor = processes.accelerator.gather(values.contiguous())
        return joined

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        ctx.processes.sum_([total])
        return total[ctx.processes.rank * ctx.size :][: ctx.size], None


@contextmanager
def _all_alive() -> Iterator[None]:
    """Tell why processes cannot meet: one of them is gone.

    Raises:
        KdsegError: in place of what the library that joins them raises.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # of gloo; of NCCL a class below it
        raise KdsegError(
            "another process of this run has ended, and this one cannot go on alone; what that one printed last, or "
            "the kernel's log where it was killed, tells why. The run keeps all up to its last checkpoint"
        ) from error


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Split tensors into runs of one dtype and a bounded size, in an order that all processes share."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in sorted(tensors, key=lambda tensor: str(tensor.dtype)):
        if bucket and (tensor.dtype != bucket[0].dtype or size + tensor.numel() > BUCKET_ELEMENTS):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.numel()
    if bucket:
        yield bucket
