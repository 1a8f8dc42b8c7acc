"""The entry points of installed distributions, those that are damaged too."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import metadata
from typing import Any

from attrs import frozen

UNKNOWN = "unknown"
"""The name or version of a distribution whose metadata hold none."""


@frozen(kw_only=True)
class Point:
    """One entry point and where it comes from."""

    name: str
    distribution: str
    version: str
    load: Callable[[], Any]
    problem: str
    """Why it cannot be loaded; empty where nothing is wrong so far."""


def installed_points(group: str) -> list[Point]:
    """List the entry points of a group; a distribution that cannot be read is one with a problem."""
    try:
        points = [point for point in metadata.entry_points(group=group) if point.dist is not None]
        distributions = {id(point.dist): point.dist for point in points}  # each is read once, however many it has
        provenances = {key: _provenance(distribution) for key, distribution in distributions.items()}
        return [_point(point, *provenances[id(point.dist)]) for point in points]
    except Exception:  # noqa: BLE001 (one distribution's broken file stops that walk: go one by one)
        return [point for distribution in metadata.distributions() for point in _points_of(distribution, group)]


def text_of(error: BaseException) -> str:
    """Give an error's text, though its class may be anybody's."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 (whatever that class raises)
        return f"its own text cannot be had: {type(failure).__name__}"


def _points_of(distribution: metadata.Distribution, group: str) -> list[Point]:
    name, version = _provenance(distribution)
    try:
        return [_point(point, name, version) for point in distribution.entry_points.select(group=group)]
    except Exception as error:  # noqa: BLE001 (whatever reading a damaged file raises)
        problem = f"its entry points cannot be read ({text_of(error)}); install it again"
        return [Point(name="entry_points.txt", distribution=name, version=version, load=lambda: None, problem=problem)]


def _point(point: metadata.EntryPoint, name: str, version: str) -> Point:
    problem = (
        "" if name != UNKNOWN else f"the metadata of its distribution ({point.value}) hold no name; install it again"
    )
    return Point(name=point.name, distribution=name, version=version, load=point.load, problem=problem)


def _provenance(distribution: Any) -> tuple[str, str]:
    """Give a distribution's name, as indexes spell it (saved recipes must not depend on a build tool), and version."""
    try:
        told = distribution.metadata  # read anew each time that it is asked for
        return re.sub(r"[-_.]+", "-", told["Name"]).lower(), told["Version"] or UNKNOWN
    except Exception:  # noqa: BLE001 (whatever reading a damaged file raises)
        return UNKNOWN, UNKNOWN
