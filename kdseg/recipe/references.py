"""Names in a recipe, and what they refer to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from kdseg.errors import KdsegError, did_you_mean
from kdseg.recipe.heads import Head
from kdseg.recipe.schema import NAME, Learner, nature_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg.components import Loss
    from kdseg.recipe.keys import KeyPath
    from kdseg.recipe.values import Mistake
    from kdseg.registry import Registry

_RECORDED = ("loss", "critic", "weight", "lr", "grad", "cosine", "gate", "val")
"""How the names of a run's own numbers begin."""


def reference_mistakes(document: Mapping[str, Any], registry: Registry) -> Iterator[Mistake]:
    """Tell of names that do not fit and of names that nothing has, each with its key.

    The merged document is read, not the structured recipe, so that this is told together with what cannot be
    structured. What has the wrong shape is skipped: `kdseg.recipe.structure` tells it.
    """
    names = _Names(
        models={name: table for name, table in _table(document, "models").items() if isinstance(table, dict)},
        turns=[turn for _, turn in _order(document)] if "turns" in document else None,
    )
    yield from _words(document)
    if isinstance(document.get("models"), dict) and not names.learners:
        yield ("models",), "no participant learns; one without `frozen` and `shadow_of` would"
    if document.get("terms") == {}:
        yield ("terms",), "no term; without one nothing is learned"
    for name, table in names.models.items():
        if isinstance(table.get("shadow_of"), str):
            yield from names.learner(("models", name, "shadow_of"), table["shadow_of"])
    if "steps_of" in _table(document, "train") and "gate" in _table(document, "turns"):
        yield ("train", "steps_of"), "who steps how often is the gate's to say; give the length as `steps` or `epochs`"
    for name in _table(_table(document, "train"), "steps_of"):
        yield from names.learner(("train", "steps_of", name), name)
    for name, term in _table(document, "terms").items():
        if isinstance(term, dict):
            yield from _term(("terms", name), term, names, registry)


@frozen(kw_only=True)
class _Names:
    """What can be referred to."""

    models: Mapping[str, Mapping[str, Any]]
    turns: Iterable[str] | None

    @property
    def learners(self) -> list[str]:
        return [name for name, table in self.models.items() if nature_of(table) is Learner]

    def participant(self, path: KeyPath, name: str) -> Iterator[Mistake]:
        """Check the name of any participant."""
        if name not in self.models:
            yield path, f"there is no participant {name!r}{_nearest(name, self.models)}"

    def learner(self, path: KeyPath, name: str) -> Iterator[Mistake]:
        """Check the name of one that learns."""
        if name not in self.models:
            yield path, f"there is no learner {name!r}{_nearest(name, self.learners)}"
        elif name not in self.learners:
            nature = nature_of(self.models[name]).nature
            yield path, f"{name!r} is {nature}, which learns nothing; the learners are {_listed(self.learners)}"

    def turn(self, path: KeyPath, name: str) -> Iterator[Mistake]:
        """Check the name of a turn."""
        if self.turns is None:
            yield path, f'there are no turns; add [turns] with order = ["{name}", …], or leave this key out: always'
        elif self.turns and name not in self.turns:
            yield path, f"there is no turn {name!r} in turns.order{_nearest(name, self.turns)}"


def _term(path: KeyPath, term: Mapping[str, Any], names: _Names, registry: Registry) -> Iterator[Mistake]:
    """Check what a term refers to, and that it has a source if its loss wants one."""
    learner = term.get("learner")
    if isinstance(learner, str):
        yield from names.learner((*path, "learner"), Head.of(learner).participant)
    for key, turn in _one_or_several(term, "turn"):
        yield from names.turn((*path, *key), turn)
    sources = _one_or_several(term, "source")
    for key, source in sources:
        yield from names.participant((*path, *key), Head.of(source).participant)
    yield from _ensemble(path, term, [source for _, source in sources])
    try:
        entry = registry.find("loss", str(_table(term, "loss").get("use")))
    except KdsegError:  # told where the loss is structured
        return
    loss = cast("type[Loss]", entry.cls)
    role = loss.role
    if role == "distillation" and not term.get("source"):
        yield (*path, "source"), f"missing: the loss {entry.name!r} compares with a source; name a participant"
    if role != "distillation" and term.get("source"):
        wants = "compares with the labels" if role == "supervised" else "looks at the learner alone"
        yield (*path, "source"), f"the loss {entry.name!r} {wants} and takes no source; leave this key out"
    if term.get("on") == "all" and (role == "supervised" or loss.counts_by_label):
        wants = "compares with the labels" if role == "supervised" else "divides by what follows from the labels"
        yield (*path, "on"), f"the loss {entry.name!r} {wants}, which not all pixels have; leave this key out"


def _ensemble(path: KeyPath, term: Mapping[str, Any], sources: list[str]) -> Iterator[Mistake]:
    """Check that what a term compares with is another than what it teaches, and that several become one."""
    if sources == [term.get("learner")]:
        yield (*path, "source"), f"{sources[0]!r} is the learner itself; its source may be a shadow of it"
    if len(sources) > 1 and "combine" not in term:
        yield (*path, "combine"), f'missing: how {len(sources)} sources become one, such as "probabilities"'
    if len(sources) < 2 and "combine" in term:  # noqa: PLR2004 (several)
        yield (*path, "combine"), "there is one source at most, and nothing to combine; leave this key out"
    for source in sorted({source for source in sources if sources.count(source) > 1}):
        yield (*path, "source"), f"names {source!r} more than once"


def _words(document: Mapping[str, Any]) -> Iterator[Mistake]:
    """Check that names can stand in logs, settings and file names."""
    groups = ("models", "terms", "callbacks")
    named = [((group, name), name) for group in groups for name in _table(document, group)]
    for path, name in (*named, *((("turns", "order", number), turn) for number, turn in _order(document))):
        if not NAME.fullmatch(name):
            length = f"; 64 at most, not {len(name)}" if len(name) > 64 else ""  # noqa: PLR2004 (of NAME)
            yield path, f"{name!r} is no name here: lower-case letters, digits, - and _, a letter first{length}"
    for name in _table(document, "callbacks"):
        if name in _RECORDED:
            told = f"a run's own numbers are called {name}/..., and a callback's would mix with them"
            yield ("callbacks", name), f"{told}; another name is right, such as '{name}-watch'"


def _nearest(name: str, known: Iterable[str]) -> str:
    return did_you_mean(name, known) or f"; there are {_listed(known)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name if NAME.fullmatch(name) else repr(name) for name in names) or "none"


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Give the table at a key; an empty one where there is none."""
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _order(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give the turns as they come, each with its index."""
    return _strings(_table(document, "turns").get("order"))


def _one_or_several(term: Mapping[str, Any], key: str) -> list[tuple[tuple[str, ...], str]]:
    """Give the strings at a key that takes one or a list of them, each with where it stands."""
    value = term.get(key)
    return [((key,), value)] if isinstance(value, str) else [((key, n), one) for n, one in _strings(value)]


def _strings(value: Any) -> list[tuple[str, str]]:
    """Give the strings of a list, each with its index as a key."""
    items = value if isinstance(value, list) else []
    return [(str(n), item) for n, item in enumerate(items) if isinstance(item, str)]
