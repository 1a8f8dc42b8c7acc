"""Names of classes from a file, given to what masks were found to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError, display_path
from kdseg.mask_values.class_files import find_class_files, read_class_file
from kdseg.mask_values.meanings import IGNORE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kdseg.mask_values.class_files import ClassFile
    from kdseg.proposals import Proposal

_OPTIONS = ("classes", "values", "reduce_zero_label", "colours", "categories")
"""Of `ByValues`, those that say the classes."""
_VOID = ("void", "ignore", "ignored", "unlabeled", "unlabelled", "dontcare")
"""Names that mean no class."""
_BOTH = [0, 255]
_SHOWN = 5


def named_nearby(proposal: Proposal, folder: Path) -> Proposal:
    """Name the classes by a file of names in a folder, where one fits; tell of one that does not.

    Args:
        proposal: of a dataset whose options are those of `ByValues`.
        folder: what the dataset reads.
    """
    refusals = []
    for path in find_class_files(folder):
        try:
            return named(proposal, read_class_file(path))
        except KdsegError as error:
            refusals.append(f"{error}: it was left out.")
    return evolve(proposal, class_notes=(*proposal.class_notes, *refusals))


def named(proposal: Proposal, file: ClassFile) -> Proposal:
    """Name the classes by a file.

    Raises:
        KdsegError: the masks hold what it does not name.
    """
    means, how = _means(file, sorted(proposal.values))
    void = sorted({name for name in means.values() if name.lower() in _VOID})
    means = {value: IGNORE if name in void else name for value, name in means.items()}
    if {*means.values()} == {IGNORE}:
        raise KdsegError(f"{display_path(file.path)}: names no class but {', '.join(void)}")
    options = {key: value for key, value in proposal.options.items() if key not in _OPTIONS} | _as_options(means)
    if file.colours and "#" not in next(iter(means)):
        options["colours"] = {
            name: colour for name, colour in zip(file.names, file.colours, strict=True) if name in means.values()
        }
    notes = [f"The classes are called as {file.path.name} lists them, {how}."]
    notes += [f"{', '.join(void)} is taken for pixels that count nowhere."] if void else []
    return evolve(proposal, options=options, class_notes=tuple(notes))


def _means(file: ClassFile, values: Sequence[str]) -> tuple[dict[str, str], str]:
    """Say what each value means, and how that was found."""
    if any(value.startswith("#") for value in values):
        _refuse_unnamed(file, values, file.colours)
        return dict(zip(file.colours, file.names, strict=True)), "by their colours"
    found = sorted(map(int, values))
    if file.numbers:
        known = [str(number) for number in file.numbers]
        _refuse_unnamed(file, [value for value in values if value != str(IGNORE_INDEX)], known)
        return dict(sorted(zip(known, file.names, strict=True), key=lambda pair: int(pair[0]))), "by their numbers"
    return _in_order(file, found)


def _in_order(file: ClassFile, found: list[int]) -> tuple[dict[str, str], str]:
    """Give names to numbers of which the file says nothing."""
    names, count = file.names, len(file.names)
    labels = [value for value in found if value != IGNORE_INDEX] or [0]
    if found == _BOTH and count <= len(_BOTH):
        return dict(zip(map(str, _BOTH), ("background", *names)[-2:], strict=True)), "background first"
    if max(labels) == count:  # from 1, for else the file would lack one
        return {"0": IGNORE} | {
            str(number): name for number, name in enumerate(names, 1)
        }, "from 1, as many as the highest number; 0 would be no class"
    if max(labels) < count:
        return {str(number): name for number, name in enumerate(names)}, "from 0"
    if len(labels) == count:
        return dict(zip(map(str, labels), names, strict=True)), "in the order of the masks' numbers"
    shown = ", ".join(map(str, labels[-_SHOWN:]))
    raise KdsegError(f"{display_path(file.path)}: lists {count} classes, and the masks hold numbers up to {shown}")


def _refuse_unnamed(file: ClassFile, values: Sequence[str], known: Sequence[str]) -> None:
    absent = [value for value in values if value not in known]
    if absent:
        what = f"{', '.join(absent[:_SHOWN])}{' …' if len(absent) > _SHOWN else ''}"
        raise KdsegError(f"{display_path(file.path)}: does not say what {what} in the masks means")


def _as_options(means: dict[str, str]) -> dict[str, Any]:
    """Write what values mean as shortly as the options can."""
    names = [name for name in means.values() if name != IGNORE]
    first = int(next(iter(means.values())) == IGNORE)
    plain = len({*names}) == len(names) == len(means) - first
    if plain and [*means] == [str(number) for number in range(len(means))]:
        return {"classes": names} | ({"reduce_zero_label": True} if first else {})
    if "#" not in next(iter(means)):
        means = means if str(IGNORE_INDEX) in means else {**means, str(IGNORE_INDEX): IGNORE}
    return {"values": means}
