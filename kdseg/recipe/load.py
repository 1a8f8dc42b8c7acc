"""Reading a recipe: from its name to classes, or to problems that say where they can be mended."""

from __future__ import annotations

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
    from collections.abc import Iterator, Sequence

    from kdseg.recipe.keys import KeyPath
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
        return self.origins.problem(split_key(key), message)


def load_recipe(path: str | Path, settings: Sequence[str] = ()) -> LoadedRecipe:
    """Read a recipe, check its shape and load the plugins beside it; no torch is loaded.

    Args:
        path: a file, or the name of a bundled recipe.
        settings: what `--set` says: ``"train.epochs=2"``.

    Raises:
        KdsegError: there is no such recipe.
        ProblemsError: with all problems of its syntax or, where there are none, all of its shape.
    """
    file = find_recipe(path)
    layers = read_layers(file, settings)
    plugins = load_plugins(_plugin_files(layers))
    registry = plugins.registry
    origins, problems = merge_layers(layers, registry)
    origins.document.setdefault("name", file.stem)
    found = [*_plugin_mistakes(origins, plugins), *reference_mistakes(origins.document, registry)]
    try:
        recipe = structure(origins.document, registry)
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


def _plugin_files(layers: Sequence[Layer]) -> list[Path]:
    """Give the plugin files that a recipe lists; their components are not needed to know that."""
    listed = merge_layers(layers, Registry(entries=()))[0].document.get("plugins")
    return [item.as_path() for item in listed if isinstance(item, Text)] if isinstance(listed, list) else []


def _plugin_mistakes(origins: Origins, plugins: Plugins) -> Iterator[tuple[KeyPath, str]]:
    """Tell of listed files that cannot be loaded."""
    failed = {
        report.name: report.problems for report in plugins.reports if report.status == "failed" and not report.version
    }
    listed = origins.document.get("plugins")
    for number, item in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(item, Text) and item.as_path().stem in failed:
            yield ("plugins", str(number)), "; ".join(failed[item.as_path().stem])


def _position(problem: Problem) -> tuple[str, int]:
    """Give what problems are sorted by: the file and the line; a `--set` comes first."""
    file, _, line = problem.where.rpartition(":")
    return file, int(line) if file else 0
