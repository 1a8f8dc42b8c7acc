"""The pictures of a run, small enough for a page that holds them all."""

from __future__ import annotations

import base64
import json
import re
import struct
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FOLDER = "pictures"
WIDEST, WIDEST_OLDER = 1600, 1000
"""Pixels of the newest picture of a series, and of those before; wider and higher ones are made smaller."""
BYTES = 8 << 20
"""All pictures of a page have no more."""
STEPS = 5
"""So many pictures of a series are shown: the first, the last, and some between."""
SERIES = 24
"""So many series are shown."""
AS_IS = 96 << 10
"""Bytes of a PNG that is taken as it lies there."""
PIXELS = 32_000_000
"""So many are decoded for a page; what would take longer is named only."""
_PNG = b"\x89PNG\r\n\x1a\n"
_OF_STEP = re.compile(r"(.+)-(\d{8})")


@frozen(kw_only=True)
class Picture:
    """One picture."""

    step: int | None
    uri: str
    """With the picture inside."""
    width: int
    height: int
    alt: str


@frozen(kw_only=True)
class Series:
    """Pictures of one thing, the oldest first."""

    label: str
    title: str
    caption: str
    pictures: tuple[Picture, ...]
    count: int
    """How many lie in the folder."""


def read_pictures(folder: Path, described: dict[str, tuple[str, str]], budget: int = PIXELS) -> list[Series]:
    """Read the series of pictures of a run.

    Args:
        folder: the run's.
        described: by label, a title and what its pictures show, where the recipe tells.
        budget: pixels that may be decoded.
    """
    found = _by_label(folder)
    chosen = {
        label: _spread(members)
        for label, members in sorted(found.items(), key=lambda item: (item[0] != "comparison", item[0]))[:SERIES]
    }
    read = _read_newest_first(chosen, budget)
    series = []
    for label, members in chosen.items():
        title, caption = _told(folder, label, *described.get(label, (label, "")))
        shown = []
        for step, file in members:
            if file in read:
                uri, width, height = read[file]
                alt = f"{title}{'' if step is None else f', after step {step}'}{f': {caption}' if caption else ''}"
                shown.append(Picture(step=step, uri=uri, width=width, height=height, alt=alt))
        series.append(Series(label=label, title=title, caption=caption, pictures=tuple(shown), count=len(found[label])))
    return series


def count_more(folder: Path) -> int:
    """Give how many series of a run are not read: those beyond `SERIES`."""
    return max(0, len(_by_label(folder)) - SERIES)


def _by_label(folder: Path) -> dict[str, list[tuple[int | None, Path]]]:
    found: dict[str, list[tuple[int | None, Path]]] = {}
    try:
        files = sorted((folder / FOLDER).glob("*.png"))
    except OSError:
        files = []
    for file in files:
        stem = _OF_STEP.fullmatch(file.stem)
        label, step = (stem[1], int(stem[2])) if stem else (file.stem, None)
        found.setdefault(label, []).append((step, file))
    return found


def _read_newest_first(
    chosen: Mapping[str, Sequence[tuple[int | None, Path]]], budget: int
) -> dict[Path, tuple[str, int, int]]:
    """Embed the newest picture of every series, then the others, for as long as there is room."""
    newest = [members[-1][1] for members in chosen.values()]
    older = [file for members in chosen.values() for _, file in reversed(members[:-1])]
    read: dict[Path, tuple[str, int, int]] = {}
    room = BYTES
    for number, file in enumerate([*newest, *older]):
        embedded, pixels = _embedded(file, budget, WIDEST if number < len(newest) else WIDEST_OLDER)
        budget -= pixels
        if embedded is not None and len(embedded[0]) <= room:
            room -= len(embedded[0])
            read[file] = embedded
    return read


def _told(folder: Path, label: str, title: str, caption: str) -> tuple[str, str]:
    """Give title and caption as the file beside the pictures says them."""
    try:
        said: Any = json.loads((folder / FOLDER / f"{label}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return title, caption
    said = said if isinstance(said, dict) else {}
    return str(said.get("title") or title), str(said.get("caption") or caption)


def _spread(members: Sequence[tuple[int | None, Path]]) -> list[tuple[int | None, Path]]:
    """Choose those that are shown, evenly."""
    if len(members) <= STEPS:
        return [*members]
    return [members[round(number * (len(members) - 1) / (STEPS - 1))] for number in range(STEPS)]


def _embedded(file: Path, budget: int, widest: int) -> tuple[tuple[str, int, int] | None, int]:
    """Give a picture as part of a page, with its size, and how many pixels were decoded for it.

    There is None where it is no picture, or too much work.
    """
    try:
        data = file.read_bytes()
    except OSError:
        return None, 0
    if not data.startswith(_PNG) or len(data) < 24:  # noqa: PLR2004 (up to its size)
        return None, 0
    width, height = struct.unpack(">II", data[16:24])
    if len(data) <= AS_IS and max(width, height) <= widest:
        return (_uri("png", data), width, height), 0
    if not 0 < width * height <= budget:
        return None, 0
    return _smaller(data, widest), width * height


def _smaller(data: bytes, widest: int) -> tuple[str, int, int] | None:
    import cv2
    import numpy as np

    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    if image is None:
        return None
    height, width = image.shape[:2]
    factor = min(1.0, widest / max(height, width))
    if factor < 1:
        width, height = max(1, round(width * factor)), max(1, round(height * factor))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    # WebP is a third smaller and takes twenty times as long, which the end of a run would wait for.
    ok, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return (_uri("jpeg", encoded.tobytes()), width, height) if ok else None


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
