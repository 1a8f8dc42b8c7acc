"""A network's weights from a file of anybody's making: held against it by names and shapes, then loaded."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING

import torch
from attrs import frozen

from kdseg.engine.folders.foreign_tensors import read_tensors
from kdseg.engine.folders.shards import weights_digest
from kdseg.errors import KdsegError, did_you_mean, display_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from kdseg.recipe.schema import Weights

WRAPPINGS = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put in front of every name."""
_COUNTER = "num_batches_tracked"
"""Of batch normalisation: files from before it was there are whole without, and it starts at 0."""

_TRIED = 20
"""Names for which one that looks alike is sought: it takes milliseconds each."""


@frozen(kw_only=True)
class Match:
    """What a file and a network have in common."""

    file: Path
    keys: Mapping[str, str]
    """For each tensor of the network that the file fills: the file's key."""
    total: int
    """Tensors of the network."""
    missing: str
    """Tensors that the file lacks; modules of which all are missing as ``decoder.* (24)``."""
    left_over: str
    """What the file has beyond them, likewise."""
    misshapen: str
    """Tensors of another shape, with both."""

    @property
    def is_full(self) -> bool:
        """Whether nothing is missing, left over or of another shape."""
        return not (self.missing or self.left_over or self.misshapen)

    def told(self) -> Iterator[str]:
        """Say all of it, a line a kind."""
        yield f"{display_path(self.file)}: {len(self.keys)} of {self.total} tensors match"
        if self.missing:
            yield f"missing in the file: {self.missing}"
        if self.left_over:
            yield f"left over in the file: {self.left_over}"
        if self.misshapen:
            yield f"of another shape: {self.misshapen}"


def match_file(weights: Weights, network: nn.Module) -> Match:
    """Hold a file against a network, which may live on the meta device: no value is looked at.

    Raises:
        KdsegError: it cannot be read, is not the file that the recipe means, or does not fit.
    """
    return _match(weights, _read(weights, torch.device("meta")), network)


def load_from_file(weights: Weights, network: nn.Module) -> Match:
    """Fill a network with what matches of a file.

    Raises:
        KdsegError: as `match_file` does.
    """
    tensors = _read(weights, torch.device("cpu"))
    match = _match(weights, tensors, network)
    network.load_state_dict({name: tensors[key] for name, key in match.keys.items()}, strict=False)
    return match


def _read(weights: Weights, device: torch.device) -> dict[str, Tensor]:
    assert weights.file is not None
    tensors = read_tensors(weights.file, device)
    if weights.sha256 is not None and (found := weights_digest(weights.file)) != weights.sha256:
        raise KdsegError(f"{display_path(weights.file)}: is not the file that the recipe means: its SHA-256 is {found}")
    return tensors


def _match(weights: Weights, tensors: Mapping[str, Tensor], network: nn.Module) -> Match:
    """Compare by names, then by shapes.

    Raises:
        KdsegError: nothing matches; or not all does, and the recipe does not say that a part will do.
    """
    assert weights.file is not None
    wanted: dict[str, Tensor] = network.state_dict(keep_vars=True)
    names = _names(weights, tensors, wanted)
    shared = [name for name in wanted if name in names]
    if not shared:
        raise KdsegError(f"{display_path(weights.file)}: {_none_matches(names, wanted)}")
    keys = {name: names[name] for name in shared if _kind(tensors[names[name]]) == _kind(wanted[name])}
    filled = {id(wanted[name]) for name in shared}  # tied weights have several names, of which files may hold one
    needed = [name for name in wanted if not name.endswith(_COUNTER)]
    match = Match(
        file=weights.file,
        keys=keys,
        total=len(wanted),
        missing=_listed([name for name in needed if name not in names and id(wanted[name]) not in filled], needed),
        left_over=_listed([name for name in names if name not in wanted], names),
        misshapen="; ".join(
            f"{name} is {_kind(tensors[names[name]])} in the file, {_kind(wanted[name])} in the network"
            for name in shared
            if name not in keys
        ),
    )
    if not keys or not (match.is_full or weights.partial):
        mend = "partial = true takes what matches" if keys else "nothing is left to load"
        raise KdsegError("; ".join([*match.told(), mend]))
    return match


def _kind(tensor: Tensor) -> str:
    """Give a shape as people read it, and whether it holds integers: those never become weights."""
    return f"{list(tensor.shape)}{'' if tensor.is_floating_point() else ' of integers'}"


def _names(weights: Weights, tensors: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, str]:
    """Give each tensor's key in the file by the name that it may have in the network."""
    assert weights.file is not None
    names = {key: key for key in tensors}
    if weights.prefix is not None:
        beginning = weights.prefix.rstrip(".") + "."
        below = _below(names, beginning) or _below(_unwrapped(names, wanted), beginning)
        if not below:
            hint = _nearest_beginning(weights.prefix, tensors) or f"; it has {_listed(tensors, tensors)}"
            raise KdsegError(f"{display_path(weights.file)}: no key lies below the prefix {weights.prefix!r}{hint}")
        names = below
    names = _unwrapped(names, wanted)
    return _renamed(weights.file, names, weights.rename) if weights.rename else names


def _below(names: Mapping[str, str], beginning: str) -> dict[str, str]:
    return {name.removeprefix(beginning): key for name, key in names.items() if name.startswith(beginning)}


def _unwrapped(names: dict[str, str], wanted: Collection[str]) -> dict[str, str]:
    """Take off what wrappers put in front of all names, unless the network's own begin so."""
    for wrapping in WRAPPINGS * 2:  # either may be around the other
        if all(name.startswith(wrapping) for name in names) and not any(name.startswith(wrapping) for name in wanted):
            names = _below(names, wrapping)
    return names


def _renamed(file: Path, names: Mapping[str, str], rename: Mapping[str, str]) -> dict[str, str]:
    """Replace the beginnings of names, of several that fit the longest."""
    renamed: dict[str, str] = {}
    for name, key in names.items():
        old = max((old for old in rename if name.startswith(old)), key=len, default=None)
        new = name if old is None else rename[old] + name.removeprefix(old)
        if new in renamed:
            raise KdsegError(f"{display_path(file)}: {renamed[new]!r} and {key!r} would both be called {new!r}")
        renamed[new] = key
    for old in rename:
        if not any(name.startswith(old) for name in names):
            hint = _nearest_beginning(old, names) or f"; there are {_listed(names, names)}"
            raise KdsegError(f"{display_path(file)}: rename: no key begins with {old!r}{hint}")
    return renamed


def _nearest_beginning(text: str, names: Iterable[str]) -> str:
    """Suggest a module, or a tensor, of a name much like this one."""
    parts = [name.split(".") for name in names]
    heads = dict.fromkeys(".".join(part[:end]) for part in parts for end in range(1, len(part) + 1))
    return did_you_mean(text, [f"{head}." for head in heads] if text.endswith(".") else heads)


def _none_matches(names: Mapping[str, str], wanted: Collection[str]) -> str:
    """Say that no name is the network's, and what is nearest: a prefix that would do, else names that look alike."""
    text = f"none of its {len(names)} tensors is called as one of the network's {len(wanted)}"
    fronts = Counter(
        name.removesuffix(f".{ours}") for name in names for ours in wanted if name.endswith(f".{ours}")
    ).most_common(1)
    if fronts:
        front, count = fronts[0]
        return f"{text}; with prefix = {front!r} {count} would be"
    firsts = [*wanted][:_TRIED]
    near = [(theirs, ours) for ours in firsts for theirs in get_close_matches(ours, names, n=1)]
    theirs, ours = near[0] if near else (next(iter(names)), firsts[0])
    what = "the nearest are" if near else "the first are"
    return f"{text}; {what} {theirs!r} in the file and {ours!r} in the network, which `rename` may make one"


def _listed(names: Iterable[str], among: Collection[str]) -> str:
    """List names, a module of which all are among them as one: ``decoder.* (24)``."""
    chosen = dict.fromkeys(names)
    groups: dict[str, list[str]] = {}
    whole: dict[str, bool] = {}
    for name in chosen:
        parts = name.split(".")
        for end in range(1, len(parts)):
            head = ".".join(parts[:end]) + "."
            if head not in whole:
                whole[head] = all(other in chosen for other in among if other.startswith(head))
            if whole[head]:
                groups.setdefault(f"{head}*", []).append(name)
                break
        else:
            groups[name] = [name]
    return ", ".join(f"{label} ({len(group)})" if len(group) > 1 else group[0] for label, group in groups.items())
