"""The public names."""

from __future__ import annotations

import ast
from pathlib import Path

import kdseg
from kdseg.testing import heavy_imports


def test_every_public_name_is_told_to_type_checkers_and_can_be_had() -> None:
    tree = ast.parse(Path(kdseg.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == set(kdseg.__all__)
    for name in kdseg.__all__:
        assert getattr(kdseg, name) is not None


def test_importing_kdseg_loads_nothing_heavy() -> None:
    assert not heavy_imports("import kdseg")


def test_no_room_of_the_engine_imports_a_private_name_of_another() -> None:
    """Nor does anything else import one: a name that others need is public."""
    root = Path(kdseg.__file__).parents[1]
    found = []
    for file in (file for folder in ("kdseg", "plugins", "tests") for file in (root / folder).rglob("*.py")):
        place = ".".join(file.relative_to(root).with_suffix("").parts)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kdseg.engine."):
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                room = ".".join((node.module or "").split(".")[:3])
                found += [f"{place}: {name} of {node.module}" for name in private if not place.startswith(f"{room}.")]
    assert found == []
