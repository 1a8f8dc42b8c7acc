"""Write the parts of the pages that follow from the code: `python docs/generate.py`."""

from __future__ import annotations

import inspect
import re
import tomllib
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from kdseg.components import KINDS, Component, Metric, kind_of
from kdseg.options import component_options
from kdseg.plugins import load_plugins
from kdseg.recipe import schema, schema_keys, schema_train
from kdseg.recipe.curves import Curve, Points
from kdseg.recipe.load import load_recipe
from kdseg.recipe.save import dumps
from kdseg.recipe.single import plain_component

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from kdseg.options import Option
    from kdseg.registry import Entry, Registry

HERE = Path(__file__).parent
PAGES = ("recipes.md", "components.md", "design.md", "paradigms.md")

TABLES: Mapping[type, tuple[str, str]] = {
    schema.Recipe: ("The top of the file", "recipe"),
    schema_train.Train: ("`[train]`", "table"),
    schema_train.Data: ("`[data]`", "table"),
    schema_train.Resample: ("`[data.resample]`", "table"),
    schema_train.RareClasses: ("`[data.rare_classes]`", "table"),
    schema_train.Unlabelled: ("`[data.unlabelled]`", "table"),
    schema.Learner: ("`[models.NAME]` that learns", "learners"),
    schema.Frozen: ("`[models.NAME]` with frozen", "frozen ones"),
    schema.Shadow: ("`[models.NAME]` with shadow_of", "shadows"),
    schema.View: ("`view` of a participant", "table"),
    schema.Weights: ("`weights` of a participant", "table"),
    schema.Turns: ("`[turns]`", "table"),
    schema.Term: ("`[terms.NAME]`", "terms"),
    Curve: ("`weight` as a curve", "curve"),
    Points: ("`weight` as points", "points"),
    schema.Evaluate: ("`[evaluate]`", "table"),
    schema.Checkpoints: ("`[checkpoint]`", "table"),
    schema.Tracking: ("`[tracking]`", "table"),
    schema.Wandb: ("`wandb` of tracking", "table"),
    schema.Output: ("`[output]`", "table"),
}
"""The classes of the schema in the order of the page, each with its heading and with what it is called as a type."""

TYPES = {
    (schema_train.Data, "train"): "table of the dataset's options",
    (schema_train.Data, "val"): "table of the dataset's options",
    (schema.Term, "turn"): "string or list of strings",
    (schema.Term, "source"): "string or list of strings",
}
"""Where a recipe may write something else than the type of the field says."""

NOUNS = {
    bool: ("boolean", "booleans"),
    int: ("integer", "integers"),
    float: ("number", "numbers"),
    str: ("string", "strings"),
    Path: ("path", "paths"),
    schema_train.ByName: (
        "[class by name](recipes.md#classes-by-name)",
        "[classes by name](recipes.md#classes-by-name)",
    ),
}


def main() -> None:
    """Write the pages anew."""
    for name in PAGES:
        page = HERE / name
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


def filled(text: str) -> str:
    """Give a page with each part between its two markers as the code has it now."""
    return re.sub(
        r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{_part(found[2])}\n{found[3]}",
        text,
        flags=re.DOTALL,
    )


def _part(marker: str) -> str:
    """Give what fills the space below a marker: ``terms:NAME`` shows a bundled recipe."""
    name, _, recipe = marker.partition(":")
    return recipe_terms(recipe) if name == "terms" else PARTS[name]()


def recipe_terms(name: str) -> str:
    """Show who learns what from whom by a bundled recipe."""
    recipe = load_recipe(HERE.parent / "recipes" / f"{name}.toml").recipe
    registry = load_plugins().registry
    heads = ["term", "learner", "learns from", "loss", "weight"]
    if recipe.turns is not None and len(recipe.turns.order) > 1:
        heads.append("turn")
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for label, term in recipe.terms.items():
        source = ", ".join(f"`{one}`" for one in term.source) or ("labels" if term.loss.role == "supervised" else "")
        if term.combine is not None:
            source += f" by `{term.combine.name}`"
        defaults = {option.name: option.default for option in component_options(type(term.loss))}
        loss = plain_component(term.loss, registry)
        options = [
            f"{key} = {_toml(loss[key])}" for key, default in defaults.items() if getattr(term.loss, key) != default
        ]
        cells = [f"`{label}`", f"`{term.learner}`", source, ", ".join([f"`{term.loss.name}`", *options])]
        cells += [_weight(term.weight), ", ".join(term.turn) or "every"]
        lines.append("| " + " | ".join(cells[: len(heads)]) + " |")
    return "\n".join(lines) + "\n"


def _weight(weight: float | Curve | Points) -> str:
    """Say a weight, and how it changes over the run."""
    if isinstance(weight, Curve):
        return f"{weight.start:g} to {weight.end:g}, {weight.curve}"
    if isinstance(weight, Points):
        return ", ".join(f"{value:g} at {at:g}" for at, value in zip(weight.at, weight.value, strict=True))
    return f"{weight:g}"


def recipe_tables() -> str:
    """Describe every table of a recipe and its keys."""
    return "\n".join(
        f"### {heading}\n\n{inspect.getdoc(cls)}\n\n{_rows(cls, schema_keys.keys_of(cls).items())}"
        for cls, (heading, _) in TABLES.items()
    )


def reference_recipe() -> str:
    """Show the recipe that has every key."""
    return f"```toml\n{(HERE / 'reference_recipe.toml').read_text(encoding='utf-8')}```\n"


def layers() -> str:
    """Show who may import whom, as import-linter holds it."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = [found for found in project["tool"]["importlinter"]["contracts"] if found["type"] == "layers"]
    return "```\n" + "\n".join(contract["layers"]) + "\n```\n"


def bundled_components() -> str:
    """Describe the components that come with kdseg."""
    registry = load_plugins().registry
    return "\n".join(
        f"## {kind.plural.capitalize()}\n\n" + ("\n".join(_components(registry, kind.name)) or "None yet.\n")
        for kind in KINDS.values()
    )


def _components(registry: Registry, kind: str) -> Iterator[str]:
    for entry in registry.of_kind(kind):
        if entry.distribution == "kdseg":
            options = {option.name: option for option in component_options(entry.cls)}
            rows = _rows(entry.cls, options.items(), registry) if options else "It has no options.\n"
            told = [inspect.getdoc(entry.cls) or "", *_scores(entry), _origin(entry), rows]
            yield f"### `{entry.name}`\n\n" + "\n\n".join(told)


def _scores(entry: Entry) -> Iterator[str]:
    """Say what a recipe with a metric can judge by."""
    if issubclass(entry.cls, Metric):
        names = ", ".join(f"`{entry.name}/{score}`" for score in entry.cls.scores)
        yield f"A recipe can judge by {names}."


def _origin(entry: Entry) -> str:
    needs = f"; needs {', '.join(f'`{line}`' for line in entry.cls.requires)}" if entry.cls.requires else ""
    return f"From the plugin `{entry.plugin}`{needs}."


def _rows(cls: type, options: Iterable[tuple[str, Option]], registry: Registry | None = None) -> str:
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for key, option in options:
        cells = (f"`{key}`", TYPES.get((cls, key)) or _words(option.type), _default(option, registry), option.help)
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _words(hint: Any, *, several: bool = False) -> str:  # noqa: PLR0911 (one a form of type)
    """Say a type in the words of TOML."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _listed(_words(arg, several=several) for arg in args if arg is not type(None))
    if origin is Literal:
        return _listed(f"`{_toml(choice)}`" for choice in args)
    if origin in (tuple, list):
        number = f"{len(args)} " if origin is tuple and args[-1] is not Ellipsis else ""
        return f"{'lists' if several else 'list'} of {number}{_words(args[0], several=True)}"
    if origin is dict:
        return f"{'tables' if several else 'table'} of {_words(args[1], several=True)}"
    if hint in TABLES:
        heading, label = TABLES[hint]
        anchor = re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
        return f"[{label}](#{anchor})"
    if issubclass(hint, Component):
        kind = kind_of(hint)
        return f"[{kind.plural if several else kind.name}](components.md#{kind.plural})"
    return NOUNS[hint][several]


def _listed(words: Iterable[str]) -> str:
    """Join alternatives."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _default(option: Option, registry: Registry | None) -> str:
    """Give a default as a recipe would say it; nothing where the help tells it or a table of its own does."""
    if "default:" in option.help or "left out:" in option.help:
        return ""
    if option.required:
        return "required"
    value = option.default
    if isinstance(value, Component):
        assert registry is not None
        value = plain_component(value, registry)
    if value is None or type(value) in TABLES or value == {}:
        return ""
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    """Write a value as TOML, on one line."""
    if isinstance(value, schema_train.ByName):
        return _toml({"use": value.use, **value.options} if value.options else value.use)
    if isinstance(value, tuple):
        value = list(value)
    return dumps({"table": {"inner": {"key": value}}}).partition("key = ")[2].strip()


PARTS: Mapping[str, Callable[[], str]] = {
    "tables": recipe_tables,
    "reference": reference_recipe,
    "components": bundled_components,
    "layers": layers,
}
"""What fills the space below a marker, by the marker's name."""

if __name__ == "__main__":
    main()
