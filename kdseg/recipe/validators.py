"""What attrs alone cannot check of a recipe's tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

MOST_STEPS = 1_000_000_000
"""Optimizer steps of a run: at a thousand a second they would take twelve days."""
LONGEST_NAME = 200
"""Bytes of a run's name."""

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attrs import Attribute

    from kdseg.recipe.schema import Evaluate, Recipe, Weights
    from kdseg.recipe.schema_train import Resample, Train


def exactly_one(table: Any, keys: Sequence[str]) -> None:
    """Refuse a table that says several of these keys, or none."""
    found = [key for key in keys if getattr(table, key) is not None]
    if len(found) != 1:
        raise ValueError(f"say exactly one of {', '.join(keys)}; found {' and '.join(found) or 'none'}")


def keys_of_origin(weights: Weights) -> None:
    """Refuse what only weights of a run have beside a file, and the other way round."""
    if weights.file is None:
        wrong = [key for key in ("prefix", "rename", "partial") if getattr(weights, key)]
        where = "only with `file`; the weights of a run must fit as they are"
    else:
        defaults = (("model", None), ("which", "best"), ("prune", False))
        wrong = [key for key, default in defaults if getattr(weights, key) != default]
        where = "only with `recipe` or `run`; a file is one set"
    if wrong:
        raise ValueError(f"{' and '.join(wrong)}: {where}")


def divides_batch(train: Train, _: Attribute[int], value: int) -> None:
    """Refuse micro-batches of unequal size."""
    if train.batch_size % max(value, 1):
        raise ValueError(f"must divide batch_size, which is {train.batch_size}; found {value}")


def one_participant(_train: Train, _: Attribute[Any], value: dict[str, int] | None) -> None:
    """Refuse anything but one participant's positive number of steps."""
    if value is not None and (len(value) != 1 or min(value.values()) < 1):
        raise ValueError("must be one participant's number of steps, such as { student = 600 }")
    if value is not None and max(value.values()) > MOST_STEPS:
        raise ValueError(f"must be <= {MOST_STEPS} steps")


def parts_of_method(resample: Resample, _: Attribute[int], value: int) -> None:
    """Refuse a single part: it would be the whole split."""
    if resample.method == "disjoint" and value == 1:
        raise ValueError('must be >= 2 with method = "disjoint", of which one part is the whole split: 1')


def below_trials(resample: Resample, _: Attribute[int], value: int) -> None:
    """Refuse a trial that is none of the trials."""
    if value >= resample.trials > 0:
        raise ValueError(f"must be < trials, which is {resample.trials}, as trials count from 0: {value}")


def block_of_method(resample: Resample, _: Attribute[int], value: int) -> None:
    """Refuse blocks where single images are drawn, and single images where blocks are."""
    if resample.method == "blocks" and value == 1:
        raise ValueError('must be >= 2 with method = "blocks"; to draw single images, say "bootstrap": 1')
    if resample.method == "bootstrap" and value > 1:
        raise ValueError(f'must be 1 with method = "bootstrap", which draws single images; or say "blocks": {value}')


def not_empty(_table: Any, _: Attribute[Any], value: Sequence[Any]) -> None:
    """Refuse an empty list."""
    if not value:
        raise ValueError("must not be empty")


def different(_table: Any, _: Attribute[Any], value: Sequence[str]) -> None:
    """Refuse a name that comes twice."""
    if twice := [name for name in dict.fromkeys(value) if value.count(name) > 1]:
        raise ValueError(f"names {' and '.join(map(repr, twice))} more than once")


SMALLEST = 32
"""Height and width that every network takes."""
LARGEST_WINDOW = 2**14
SCALES = (0.1, 4.0)
"""The smallest and the largest at which an image is seen: memory grows with the square."""


def window_size(_evaluate: Evaluate, _: Attribute[Any], value: tuple[int, int] | None) -> None:
    """Refuse what is smaller than every network takes, or larger than any image."""
    if value is not None and not all(SMALLEST <= side <= LARGEST_WINDOW for side in value):
        raise ValueError(f"height and width must be {SMALLEST} or more, {LARGEST_WINDOW} at most; found {list(value)}")


def sha256(_weights: Weights, _: Attribute[Any], value: str | None) -> None:
    """Refuse what is no SHA-256."""
    if value is not None and not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError("must be 64 hexadecimal digits, in lower case")


def folder_name(_recipe: Recipe, _: Attribute[str], value: str) -> None:
    """Refuse what cannot name a folder."""
    if not re.fullmatch(r"[^.\s/\\\x00-\x1f][^/\\\x00-\x1f]*", value):
        raise ValueError(f"names a folder: it must not be empty, hold a slash or begin with a dot; found {value!r}")
    if not value.isprintable() or len(value.encode()) > LONGEST_NAME:
        raise ValueError(f"names a folder: {LONGEST_NAME} bytes at most, all of which can be seen; found {value!r}")
