"""Reading a recipe: from its name to classes, or to problems that say where they can be mended."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from kdseg.errors import KdsegError, Problem, ProblemsError, did_you_mean, display_path
from kdseg.plugins import Plugins, load_plugins
from kdseg.recipe.keys import split_key
from kdseg.recipe.layers import Origins, Text, read_layers
from kdseg.recipe.merge import merge_layers
from kdseg.recipe.references import reference_mistakes
from kdseg.recipe.schema import Recipe
from kdseg.recipe.structure import structure
from kdseg.recipe.values import Mistakes
from kdseg.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdseg.recipe.layers import Layer


@frozen(kw_only=True)
class LoadedRecipe:
    """A recipe, the plugins that it was read with, and where each of its keys comes from."""

    recipe: Recipe
    plugins: Plugins
    path: Path
    """The recipe's file, absolute."""
    origins: Origins

    def problem(self, key: str, message: str) -> Problem:
        """Place a problem at a dotted key or, where that is missing, at the header of the table that lacks it.

        Items of a list go by index: ``data.augment.0.p``.
        """
        try:
            path = split_key(key)
        except KdsegError:  # a key that TOML would want in quotes
            path = tuple(key.split("."))
        return self.origins.problem(path, message)


def load_recipe(path: str | Path, settings: Sequence[str | Layer] = ()) -> LoadedRecipe:
    """Read a recipe, check its shape and load the plugins beside it; no torch is loaded.

    Args:
        path: a file, or the name of a bundled recipe.
        settings: what `--set` says: ``"train.epochs=2"``, or the layer of a setting that is written elsewhere.

    Raises:
        KdsegError: there is no such recipe.
        ProblemsError: with all problems of its syntax or, where there are none, all of its shape.
    """
    file = find_recipe(path)
    layers = read_layers(file, settings)
    if any("sweep" in layer.raw for layer in layers if layer.file):
        raise KdsegError(f"{display_path(file)} is a study of several runs, not a recipe: kdseg sweep {path}")
    plugins = _load_plugins(layers)
    origins, problems = merge_layers(layers, plugins.registry)
    origins.document.setdefault("name", file.stem)
    found = list(reference_mistakes(origins.document, plugins.registry))
    try:
        recipe = structure(origins.document, plugins.registry)
    except Mistakes as mistakes:
        found += mistakes.found
    problems += [origins.problem(key, message) for key, message in found]
    if problems:
        raise ProblemsError(sorted(problems, key=_position))
    return LoadedRecipe(recipe=recipe, plugins=plugins, path=file, origins=origins)


def find_recipe(name_or_path: str | Path) -> Path:
    """Give the file that is meant: an existing one, or else the bundled recipe of that name.

    Raises:
        KdsegError: neither is there; the text names the nearest.
    """
    path = Path(name_or_path).absolute()
    if path.is_file():
        return path
    bundled = {file.stem: file for file in sorted(_bundled_folder().glob("*.toml"))}
    name = str(name_or_path).removesuffix(".toml")
    if name in bundled and not path.is_dir():
        return bundled[name]
    if path.is_dir():
        raise KdsegError(f"{display_path(path)} is a folder; name a recipe in it")
    beside = [display_path(file) for file in path.parent.glob("*.toml")] if path.parent.is_dir() else []
    near = did_you_mean(display_path(path), beside) or did_you_mean(name, bundled)
    raise KdsegError(f"there is no recipe {str(name_or_path)!r}{near}; bundled are {', '.join(bundled) or 'none'}")


def _bundled_folder() -> Path:
    """Give the folder of bundled recipes: within an installed package, beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "bundled_recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def _load_plugins(layers: Sequence[Layer]) -> Plugins:
    """Load the plugins, those files too that the recipe lists.

    Raises:
        ProblemsError: one of these files cannot be loaded. It is told alone: much else would only follow from it.
    """
    origins, _ = merge_layers(layers, Registry(entries=()))  # no component is needed to know the files
    listed = origins.document.get("plugins")
    files: dict[str, Path] = {}
    for number, item in enumerate(listed if isinstance(listed, list) else []):
        with suppress(KdsegError):  # no path: told when it is structured
            files |= {str(number): item.as_path()} if isinstance(item, Text) else {}
    plugins = load_plugins([*files.values()])
    failed = {report.path: "; ".join(report.problems) for report in plugins.reports if report.status == "failed"}
    problems = [
        origins.problem(("plugins", number), failed[file.resolve()])
        for number, file in files.items()
        if file.resolve() in failed
    ]
    if problems:
        raise ProblemsError(problems)
    return plugins


def _position(problem: Problem) -> tuple[str, int]:
    """Give what problems are sorted by: the file and the line; a `--set` comes first."""
    file, _, line = problem.where.rpartition(":")
    return file, int(line) if file else 0
