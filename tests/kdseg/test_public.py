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
