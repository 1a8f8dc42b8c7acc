"""What the layers of a recipe say together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_origin

import attrs

from kdseg.components import Component, kind_of
from kdseg.errors import KdsegError, Problem, did_you_mean
from kdseg.options import component_options
from kdseg.recipe.keys import KeyPath, join_key, split_key
from kdseg.recipe.layers import Origins
from kdseg.recipe.schema import Frozen, Learner, Participant, Recipe, Shadow, nature_of
from kdseg.recipe.schema_keys import keys_of
from kdseg.recipe.schema_train import LENGTHS, ByName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdseg.recipe.layers import Layer
    from kdseg.registry import Registry


def merge_layers(layers: Sequence[Layer], registry: Registry) -> tuple[Origins, list[Problem]]:
    """Merge the layers of a recipe, the strongest first; tell what cannot be dropped or set."""
    problems: list[Problem] = []
    known: list[Layer] = []
    document: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for layer in reversed(layers):
        if layer.file:
            inherited = {key: value for key, value in document.items() if key != "name"}  # a name is one file's
            document, dropped = _drop(inherited, layer)
            problems += dropped
            own = {key: value for key, value in layer.raw.items() if key not in ("extends", "drop")}
            own = normalise(own, Recipe, document, registry)
            document = merge(document, own)
        else:
            so_far = merge(document, settings)
            try:
                own = normalise(_spread(layer.set_key, layer.set_value, so_far), Recipe, so_far, registry)
            except KdsegError as error:
                problems.append(Problem(where=layer.place, key=join_key(layer.set_key), message=str(error)))
                continue
            settings = merge(settings, own)
        known.insert(0, attrs.evolve(layer, document=own))
    return Origins(layers=tuple(known), document=merge(document, settings)), problems


def normalise(value: Any, hint: Any, inherited: Any, registry: Registry) -> Any:
    """Read a string in a component's place as ``{use = …}`` and qualify the names of components.

    Args:
        value: a part of a document; what does not fit its type is left as it is.
        hint: the type that it is to have.
        inherited: what it will be merged into, which may say the component whose options these are.
        registry: the components.
    """
    origin, args = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and issubclass(hint, Component | ByName):
        return _normalise_component(value, hint, inherited, registry)
    if origin in (tuple, list):
        if not isinstance(value, list):
            return value
        hints = item_hints(hint, len(value))
        return [normalise(item, hints[n], None, registry) if n < len(hints) else item for n, item in enumerate(value)]
    if isinstance(value, dict) and origin is dict:
        return _normalise_items(value, dict.fromkeys(value, args[1]), inherited, registry)
    if isinstance(value, dict) and attrs.has(hint):
        return _normalise_items(value, {key: o.type for key, o in keys_of(hint).items()}, inherited, registry)
    for member in args if origin is not dict else ():  # of a union: those that it does not fit leave it as it is
        value = normalise(value, member, inherited, registry)
    return value


def _normalise_component(value: Any, hint: type[Component | ByName], inherited: Any, registry: Registry) -> Any:
    if isinstance(value, str):
        value = {"use": value}
    if not isinstance(value, dict) or issubclass(hint, ByName):
        return value
    name = value.get("use", inherited.get("use") if isinstance(inherited, dict) else None)
    try:
        entry = registry.find(kind_of(hint).name, str(name))
    except KdsegError:  # told when the merged table is structured
        return value
    hints = {option.name: option.type for option in component_options(entry.cls)}
    named = {"use": entry.qualified} if "use" in value else {}
    return _normalise_items(value, hints, inherited, registry) | named


def _normalise_items(
    table: dict[str, Any], hints: Mapping[str, Any], inherited: Any, registry: Registry
) -> dict[str, Any]:
    below = inherited if isinstance(inherited, dict) else {}
    return {
        key: normalise(item, hints[key], below.get(key), registry) if key in hints else item
        for key, item in table.items()
    }


def item_hints(hint: Any, count: int) -> tuple[Any, ...]:
    """Give the types of the items of a list or tuple type that is to hold `count` of them."""
    args = get_args(hint)
    return args if get_origin(hint) is tuple and args[-1] is not Ellipsis else (args[0],) * count


def merge(inherited: Any, own: Any, path: KeyPath = ()) -> Any:
    """Merge two normalised documents: tables key by key; of anything else, `own` holds."""
    if not isinstance(inherited, dict) or not isinstance(own, dict) or _replaces(inherited, own, path):
        return own
    merged = dict(inherited)
    if path == ("train",) and not own.keys().isdisjoint(LENGTHS):
        merged = {key: value for key, value in inherited.items() if key not in LENGTHS}
    for key, value in own.items():
        merged[key] = merge(merged[key], value, (*path, key)) if key in merged else value
    return merged


def _replaces(inherited: Mapping[str, Any], own: Mapping[str, Any], path: KeyPath) -> bool:
    """Whether a table takes the place of the inherited one as a whole."""
    if "use" in inherited and "use" in own and inherited["use"] != own["use"]:
        return True
    if len(path) == 2 and path[0] == "models":  # noqa: PLR2004 (models.NAME)
        return _spoken_nature(own) not in (None, nature_of(inherited))
    return _is_weight(path)


def _is_weight(path: KeyPath) -> bool:
    """Whether this is the place of a term's weight or of a participant's weights."""
    return path[::2] in (("terms", "weight"), ("models", "weights")) and len(path) == 3  # noqa: PLR2004 (terms.NAME.weight)


def _spoken_nature(own: Mapping[str, Any]) -> type[Participant] | None:
    """Give the nature that a participant's table speaks of; None where it only changes details of the inherited one.

    Without ``frozen`` or ``shadow_of`` it is a learner's if it would do as one: it has a network by name and says
    something that only learners have.
    """
    if nature_of(own) is not Learner:
        return nature_of(own)
    backbone = own.get("backbone")
    speaks = keys_of(Learner).keys() - keys_of(Frozen).keys() - keys_of(Shadow).keys()
    return Learner if isinstance(backbone, dict) and "use" in backbone and not speaks.isdisjoint(own) else None


def _spread(path: KeyPath, value: Any, current: Any, at: KeyPath = ()) -> Any:
    """Give the document that a `--set` of `value` at `path` says.

    What merging replaces as a whole, a list or a weight, is copied from `current` where the path leads into it.

    Raises:
        KdsegError: the path leads to an item that a list does not have.
    """
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(current, list):
        if not head.isdecimal() or int(head) >= len(current):
            raise KdsegError(f"{join_key(at)} has {len(current)} items, counted from 0; {head!r} is none of them")
        item = current[int(head)]
        return [
            merge(item, _spread(rest, value, item, (*at, head))) if n == int(head) else other
            for n, other in enumerate(current)
        ]
    inner = current.get(head) if isinstance(current, dict) else None
    below = _spread(rest, value, inner, (*at, head))
    if rest and isinstance(inner, dict) and _is_weight((*at, head)):
        below = inner | below
    return {head: below}


def _drop(document: dict[str, Any], layer: Layer) -> tuple[dict[str, Any], list[Problem]]:
    """Take what a file drops out of the document that it inherits."""
    targets = layer.raw.get("drop", [])
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        message = 'must be a list of keys, such as ["terms.mimic"]'
        return document, [Problem(where=layer.where(("drop",)), key="drop", message=message)]
    problems = []
    for number, target in enumerate(targets):
        try:
            document = _without(document, split_key(target))
        except KdsegError as error:
            place = ("drop", str(number))
            problems.append(Problem(where=layer.where(place), key=join_key(place), message=str(error)))
    return document, problems


def _without(document: Any, path: KeyPath, at: KeyPath = ()) -> dict[str, Any]:
    """Copy a document without one key.

    Raises:
        KdsegError: the document does not have it.
    """
    head, rest = path[0], path[1:]
    if not isinstance(document, dict) or head not in document:
        known = [join_key((*at, key, *rest)) for key in document] if isinstance(document, dict) else []
        whole = join_key((*at, *path))
        raise KdsegError(f"nothing is inherited as {whole!r}{did_you_mean(whole, known)}")
    if rest:
        return document | {head: _without(document[head], rest, (*at, head))}
    return {key: value for key, value in document.items() if key != head}
