"""How a GPU calculates: torch's switches, set for the whole process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from kdseg.recipe.schema_train import Train


def set_arithmetic(
    device: torch.device, *, tf32: bool = False, deterministic: bool = False, cudnn_benchmark: bool = False
) -> None:
    """Set how operations on a GPU are done; on a CPU nothing: it has no TF32, and its bits are the same at every run.

    Args:
        device: on which this process calculates.
        tf32: let products in fp32 have ten bits after the point. torch's own default lets convolutions have it unasked.
        deterministic: take such kernels alone as give the same bits at every run.
        cudnn_benchmark: let cuDNN try its kernels for each new size; not where `deterministic`.
    """
    if device.type != "cuda":
        return
    if deterministic:  # cuBLAS reads it when it is first used
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = cudnn_benchmark and not deterministic
    # The older names: torch refuses to mix them with the newer ones, and its compiler reads these.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32


def arithmetic_told(train: Train, device: torch.device) -> str:
    """Say how a GPU calculates, for the log."""
    tf32 = "with TF32" if train.tf32 else "without TF32 (train.tf32)"
    if train.deterministic:
        kernels = "deterministic kernels"
    elif train.cudnn_benchmark:
        kernels = "kernels chosen by trial (train.cudnn_benchmark)"
    else:
        kernels = "cuDNN's own choice of kernels"
    return f"{torch.cuda.get_device_name(device)}: {train.precision} {tf32}, {kernels}"
