"""From the parts of a page to its text. What recipes, datasets and callbacks say is taken for text, never for HTML."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdseg.engine.report import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    import jinja2

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, parts: Mapping[str, Any]) -> str:
    """Give a page as HTML."""
    return _environment().get_template(template).render(**parts)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "number": words.number,
        "score": words.score,
        "delta": words.delta,
        "duration": words.duration,
        "count": words.count,
        "share": words.share,
        "parameters": words.parameters,
        "score_name": words.score_name,
    }
    environment.globals["style"] = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return environment
