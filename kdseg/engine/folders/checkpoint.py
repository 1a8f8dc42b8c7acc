"""Checkpoints: all that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import logging
import re
import reprlib
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen
from safetensors.torch import load_file

from kdseg.engine.folders.files import sha256, whole_folder
from kdseg.engine.folders.tensor_files import plain_tensors, save_tensors
from kdseg.errors import KdsegError, display_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import nn

    from kdseg.engine.learn.critics import CriticState
    from kdseg.engine.learn.participants import LearnerState

STATE = "state.json"
CHECKSUMS = "checksums.json"
_NAME = re.compile(r"step-([0-9]{8,})")
_LARGEST_CHECKSUMS = 1 << 20
"""Bytes: room for thousands of files, and no room for what would fill the memory."""
log = logging.getLogger(__name__)


@frozen(kw_only=True, eq=False)
class Checkpointed:
    """The parts of a run that a checkpoint holds, each by its name in the recipe."""

    networks: Mapping[str, nn.Module]
    """Learners and shadows; frozen networks never change, their hash stands in the saved recipe."""
    learners: Mapping[str, LearnerState]
    losses: Mapping[str, nn.Module]
    critics: Mapping[str, CriticState]
    """Their weights belong to their losses."""


def write_checkpoint(folder: Path, step: int, parts: Checkpointed, state: Mapping[str, Any]) -> None:
    """Write ``folder/step-N`` whole or not at all.

    Args:
        folder: the run's folder of checkpoints.
        step: optimizer steps taken.
        parts: networks, optimizers and losses.
        state: everything else, as plain values that JSON can hold.
    """
    path = folder / f"step-{step:08d}"
    if not _is_folder(path):
        path.unlink(missing_ok=True)
    with whole_folder(path) as draft:
        for file, module in _modules(parts).items():
            save_tensors(plain_tensors(module), draft / file)
        for file, learner in _learners(parts).items():
            training = {
                "optimizer": learner.optimizer.state_dict(),
                "schedule": learner.schedule.state_dict(),
                "scaler": learner.scaler.state_dict(),
                "steps": learner.steps,
            }
            torch.save(training, draft / file)
        for file, critic in _critics(parts).items():
            training = {"optimizer": critic.optimizer.state_dict(), "scaler": critic.scaler.state_dict()}
            torch.save(training, draft / file)
        (draft / STATE).write_text(json.dumps({"step": step, **state}), encoding="utf-8")
        checksums = {file.name: sha256(file) for file in sorted(draft.iterdir())}
        (draft / CHECKSUMS).write_text(json.dumps(checksums, indent=2), encoding="utf-8")


def prune_checkpoints(folder: Path, step: int, keep: int) -> None:
    """Keep the newest `keep` checkpoints of a run at `step`, and sweep away what a killed process left half written.

    A checkpoint of a later step is one that the run found damaged when it was resumed.
    """
    found = _newest_first(folder)
    later = [path for path in found if _step(path) > step]
    for dropped in (*folder.glob(".step-*"), *later, *found[len(later) + keep :]):
        if _is_folder(dropped):
            shutil.rmtree(dropped)
        else:
            dropped.unlink()


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

    Only files are read whose checksums `whole_checkpoints` has seen, and nothing in them is ever run.

    Raises:
        KdsegError: where the run is built otherwise than the checkpoint.
    """
    try:
        return _read(path, parts)
    except Exception as error:  # whatever the readers make of content that no run would write
        told = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise KdsegError(f"{display_path(path)}: this checkpoint does not fit the run: {told}") from error


def _read(path: Path, parts: Checkpointed) -> dict[str, Any]:
    modules, learners, critics = _modules(parts), _learners(parts), _critics(parts)
    wanted, found = {*modules, *learners, *critics, STATE}, set(_read_checksums(path))
    odd = [f"it lacks {file}" for file in wanted - found] + [f"the run has no {file}" for file in found - wanted]
    if odd:
        raise ValueError("; ".join(sorted(odd)))
    for file, module in modules.items():
        module.load_state_dict(load_file(path / file))
    for file, learner in learners.items():
        training = torch.load(path / file, map_location="cpu", weights_only=True)
        learner.optimizer.load_state_dict(training["optimizer"])
        learner.schedule.load_state_dict(training["schedule"])
        learner.scaler.load_state_dict(training["scaler"])
        learner.steps = training["steps"]
    for file, critic in critics.items():
        training = torch.load(path / file, map_location="cpu", weights_only=True)
        critic.optimizer.load_state_dict(training["optimizer"])
        critic.scaler.load_state_dict(training["scaler"])
    state: dict[str, Any] = json.loads((path / STATE).read_text(encoding="utf-8"))
    _check_state(state, _step(path))
    return state


def _modules(parts: Checkpointed) -> dict[str, nn.Module]:
    """Give the modules that have anything to keep, by file."""
    losses = {f"{name}.loss.safetensors": loss for name, loss in parts.losses.items() if loss.state_dict()}
    return {f"{name}.safetensors": network for name, network in parts.networks.items()} | losses


def _learners(parts: Checkpointed) -> dict[str, LearnerState]:
    return {f"{name}.training.pt": learner for name, learner in parts.learners.items()}


def _critics(parts: Checkpointed) -> dict[str, CriticState]:
    return {f"{name}.critic.pt": critic for name, critic in parts.critics.items()}


def _newest_first(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("step-*") if _NAME.fullmatch(path.name)), key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _is_folder(path: Path) -> bool:
    """Whether it is a folder itself, not a link to one."""
    return path.is_dir() and not path.is_symlink()


def _damage(path: Path) -> str | None:
    """Say what is wrong with a checkpoint's files. Nothing is opened but plain files that lie in its folder."""
    try:
        if not _is_folder(path):
            return "it is no folder"
        for name, checksum in _read_checksums(path).items():
            if Path(name).name != name:
                return f"{CHECKSUMS} names {name!r}, which is no file of this folder"
            if not stat.S_ISREG((path / name).lstat().st_mode):
                return f"{name} is no plain file"
            if sha256(path / name) != checksum:
                return f"{name} is not as it was written"
    except (OSError, ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _read_checksums(path: Path) -> dict[str, Any]:
    file = path / CHECKSUMS
    info = file.lstat()
    if not stat.S_ISREG(info.st_mode) or info.st_size > _LARGEST_CHECKSUMS:
        raise ValueError(f"{CHECKSUMS} is no list of checksums")
    checksums = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(checksums, dict):
        raise ValueError(f"{CHECKSUMS} is no list of checksums")  # noqa: TRY004 (the file's fault, not a caller's)
    return checksums


def _check_state(state: Any, step: int) -> None:
    """Refuse a state that is not of the types that a run writes."""
    if not isinstance(state, dict):
        raise ValueError(f"{STATE} holds no table but {reprlib.repr(state)}")  # noqa: TRY004 (the file's fault)
    for key, is_sound in _SOUND.items():
        if key not in state:
            raise ValueError(f"{STATE} lacks {key!r}")
        if not is_sound(state[key]):
            raise ValueError(f"{STATE}: {key!r} cannot be {reprlib.repr(state[key])}")
    if state["step"] != step:
        raise ValueError(f"{STATE} is of step {state['step']}")


def _table_of(is_sound: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(is_sound, value.values()))


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_best(value: Any) -> bool:
    return isinstance(value, dict) and _is_count(value.get("step")) and isinstance(value.get("value"), float)


_table = _table_of(lambda _: True)
_SOUND: Mapping[str, Callable[[Any], bool]] = {
    "step": _is_count,
    "metrics_position": _is_count,
    "values": _table_of(lambda value: not isinstance(value, dict | list)),
    "scores": _table_of(_table),
    "best": _table_of(_is_best),
    "one_class": _table_of(_is_count),
    "stop_reason": lambda value: value is None or isinstance(value, str),
    "turns": lambda value: value is None or (isinstance(value, dict) and value.keys() == {"turn", "gate"}),
    "hooks": _table,
}
