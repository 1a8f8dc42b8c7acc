"""What `accelerate launch` and `accelerate config` ask for: they put it into the environment."""

from __future__ import annotations

import os

from kdseg.errors import KdsegError

_INSTEAD = "launch with --multi_gpu, or with torchrun; `accelerate config` makes that the default"


def refuse_other_engines() -> None:
    """Refuse what cannot train several learners, before Accelerate asks for libraries that it would need.

    Raises:
        KdsegError: with the reason and the way out.
    """
    if _asked("ACCELERATE_USE_DEEPSPEED"):
        raise KdsegError(
            "accelerate was told to use DeepSpeed. Its engine owns the backward pass, the optimizer step and the "
            "checkpoints of one network, and the learners of a recipe step on their own, each with its optimizer: "
            f"{_INSTEAD}"
        )
    if _asked("ACCELERATE_USE_MEGATRON_LM"):
        raise KdsegError(f"accelerate was told to use Megatron-LM, which trains language models of its own: {_INSTEAD}")
    if _asked("ACCELERATE_USE_PARALLELISM_CONFIG"):
        raise KdsegError(f"accelerate was told to split networks or images; processes here share a batch: {_INSTEAD}")
    if asks_for_fsdp() and os.environ.get("FSDP_VERSION", "1") != "2":
        raise KdsegError(
            "accelerate was told to use FSDP of version 1. It wraps networks so that their layers, which losses tap, "
            f"and their weights, which each learner's optimizer takes, are no longer found: {_INSTEAD}. Version 2 "
            "(--fsdp_version 2) is there for experiments"
        )


def asks_for_fsdp() -> bool:
    """Whether the networks are to be sharded over the processes."""
    return _asked("ACCELERATE_USE_FSDP")


def _asked(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() == "true"
