"""Checkpoints: all that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from kdseg.engine.files import sha256, whole_folder
from kdseg.engine.models import plain_tensors
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import nn

    from kdseg.engine.participants import LearnerState

STATE = "state.json"
CHECKSUMS = "checksums.json"
log = logging.getLogger(__name__)


@frozen(kw_only=True, eq=False)
class Checkpointed:
    """The parts of a run that a checkpoint holds, each by its name in the recipe."""

    networks: Mapping[str, nn.Module]
    """Learners and shadows; frozen networks never change, their hash stands in the saved recipe."""
    learners: Mapping[str, LearnerState]
    losses: Mapping[str, nn.Module]


def write_checkpoint(folder: Path, step: int, parts: Checkpointed, state: Mapping[str, Any]) -> None:
    """Write ``folder/step-N`` whole or not at all.

    Args:
        folder: the run's folder of checkpoints.
        step: optimizer steps taken.
        parts: networks, optimizers and losses.
        state: everything else, as plain values that JSON can hold.
    """
    with whole_folder(folder / _name(step)) as draft:
        for name, network in parts.networks.items():
            save_file(plain_tensors(network), draft / f"{name}.safetensors")
        for name, learner in parts.learners.items():
            training = {
                "optimizer": learner.optimizer.state_dict(),
                "schedule": learner.schedule.state_dict(),
                "scaler": learner.scaler.state_dict(),
                "steps": learner.steps,
            }
            torch.save(training, draft / f"{name}.training.pt")
        for name, loss in parts.losses.items():
            if loss.state_dict():
                save_file(plain_tensors(loss), draft / f"{name}.loss.safetensors")
        (draft / STATE).write_text(json.dumps({"step": step, **state}), encoding="utf-8")
        checksums = {file.name: sha256(file) for file in sorted(draft.iterdir())}
        (draft / CHECKSUMS).write_text(json.dumps(checksums, indent=2), encoding="utf-8")


def prune_checkpoints(folder: Path, step: int, keep: int) -> None:
    """Keep the newest `keep` checkpoints of a run at `step`, and sweep away what a killed process left half written.

    A checkpoint of a later step is one that the run found damaged when it was resumed.
    """
    for draft in folder.glob(".step-*"):
        shutil.rmtree(draft)
    found = _newest_first(folder)
    later = [path for path in found if path.name > _name(step)]
    for dropped in later + found[len(later) + keep :]:
        shutil.rmtree(dropped)


def whole_checkpoints(folder: Path) -> Iterator[Path]:
    """Give the checkpoints whose files are as they were written, newest first; tell which are not."""
    for path in _newest_first(folder):
        problem = _damage(path)
        if problem is None:
            yield path
        else:
            log.warning("%s: damaged (%s); an older one is used", display_path(path), problem)


def read_checkpoint(path: Path, parts: Checkpointed) -> dict[str, Any]:
    """Put a checkpoint's values into the parts of a run, and give its plain state.

    Raises:
        KdsegError: where the run is built otherwise than the checkpoint.
    """
    try:
        for name, network in parts.networks.items():
            network.load_state_dict(load_file(path / f"{name}.safetensors"))
        for name, learner in parts.learners.items():
            training = torch.load(path / f"{name}.training.pt", map_location="cpu", weights_only=True)
            learner.optimizer.load_state_dict(training["optimizer"])
            learner.schedule.load_state_dict(training["schedule"])
            learner.scaler.load_state_dict(training["scaler"])
            learner.steps = training["steps"]
        for name, loss in parts.losses.items():
            if loss.state_dict():
                loss.load_state_dict(load_file(path / f"{name}.loss.safetensors"))
        state: dict[str, Any] = json.loads((path / STATE).read_text(encoding="utf-8"))
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        raise KdsegError(f"{display_path(path)}: this checkpoint does not fit the run: {error}") from error
    return state


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)


def _damage(path: Path) -> str | None:
    try:
        checksums: dict[str, str] = json.loads((path / CHECKSUMS).read_text(encoding="utf-8"))
        for name, checksum in checksums.items():
            if sha256(path / name) != checksum:
                return f"{name} is not as it was written"
    except (OSError, ValueError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"
    return None
