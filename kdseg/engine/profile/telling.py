"""What is told while networks are measured, and of those that were."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import Progress

from kdseg.options import component_options
from kdseg.recipe.save import dumps
from kdseg.recipe.single import plain_component

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from kdseg.components import Backbone
    from kdseg.registry import Registry


@contextmanager
def counted_networks(console: Console, networks: int) -> Iterator[Callable[[str], object]]:
    """Show how many networks are counted, then that some are made and measured, where a person watches."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks = {"counting": bar.add_task("counting", total=networks)}

        def on_network(doing: str) -> None:
            if doing not in tasks:
                tasks[doing] = bar.add_task(doing, total=None)
            bar.advance(tasks[doing])

        yield on_network


def recipe_line(backbone: Backbone, registry: Registry) -> str:
    """Give a backbone as the value of a recipe's key, its defaults left out."""
    plain = plain_component(backbone, registry)
    defaults = {option.name: option.default for option in component_options(type(backbone))}
    changed = {key: value for key, value in plain.items() if key != "use" and value != defaults[key]}
    text = dumps({"models": {"student": {"backbone": {"use": backbone.name, **changed}}}})
    return text.partition("backbone = ")[2].strip()
