"""Import a Python file that lies in no package: a plugin beside a recipe."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def import_file(path: Path) -> ModuleType:
    """Import a file as a module whose name is its own: the same one each time, a new one when the content changed.

    Raises:
        ImportError: its name does not end in ``.py``.
        Exception: whatever the file itself raises.
    """
    source = path.read_bytes()
    digest = hashlib.sha256(bytes(path) + b"\0" + source).hexdigest()[:16]
    name = f"kdseg_file_{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise ImportError(f"{path.name} is no Python file; its name must end in .py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        # Compiled here, not by the spec's loader, which may take stale bytecode and writes its own beside the recipe.
        exec(compile(source, str(path), "exec", dont_inherit=True), vars(module))  # noqa: S102 (how a module is made)
    except BaseException:
        del sys.modules[name]
        raise
    return module
