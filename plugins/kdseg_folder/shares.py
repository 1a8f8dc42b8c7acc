"""Splits by a seeded share that keeps groups together."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from kdseg import Defect

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def group_keys(
    images: Mapping[str, Path], expression: re.Pattern[str] | None
) -> tuple[dict[str, list[str]], list[Defect]]:
    """Sort images' keys into groups, each by its name; those that the expression does not fit are defects."""
    if expression is None:
        return {key: [key] for key in images}, []
    groups: dict[str, list[str]] = {}
    defects = []
    for key, path in sorted(images.items()):
        found = expression.search(key)
        if found is None or found[1] is None:
            text = f"belongs to no group: group = {expression.pattern!r} does not fit {key!r}, its name without suffix"
            defects.append(Defect(path, text))
        else:
            groups.setdefault(found[1], []).append(key)
    return groups, defects


def share_out(groups: Mapping[str, Iterable[str]], shares: Mapping[str, float], seed: int) -> dict[str, set[str]]:
    """Give the keys of each split of `shares`; what is left over is nobody's.

    Groups come in an order that follows from the seed and their names alone, so neither the order of files nor that of
    groups matters. A split takes a group unless that would carry it further beyond its share than it now lacks; it
    takes one at least, the smallest, and leaves one for each split that comes after, and one to train on.
    """
    sizes = {name: len(list(keys)) for name, keys in groups.items()}
    left = sorted(groups, key=lambda name: (_place(seed, name), name))
    whole = sum(sizes.values())
    split_keys: dict[str, set[str]] = {}
    for number, (split, share) in enumerate(shares.items()):
        others = len(shares) - number
        wanted, count = share * whole, 0
        taken: list[str] = []
        for name in left:
            if len(taken) + others < len(left) and count + sizes[name] / 2 < wanted:
                taken.append(name)
                count += sizes[name]
        taken = taken or [min(left, key=sizes.__getitem__)]
        left = [name for name in left if name not in set(taken)]
        split_keys[split] = {key for name in taken for key in groups[name]}
    return split_keys


def _place(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()
