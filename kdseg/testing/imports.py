"""What an import drags in, measured in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("torch", "accelerate", "wandb", "albumentations", "cv2", "numpy", "safetensors", "jinja2")
"""Libraries that cost a command line a noticeable time: plugins import them inside `build`."""


def heavy_imports(code: str, *, folder: Path | None = None) -> list[str]:
    """Give those of `HEAVY` that are loaded after running some code in a fresh interpreter.

    Args:
        code: such as ``"import kdseg_mine"``; it may end in `SystemExit`.
        folder: put first on the path.

    Raises:
        RuntimeError: the code failed; the text holds its traceback.
    """
    script = (
        f"import sys\nsys.path[:0] = {[str(folder)] if folder else []!r}\n"
        f"try:\n    exec({code!r})\nexcept SystemExit:\n    pass\n"
        f"sys.stderr.write('loaded: ' + ' '.join(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run(  # noqa: S603 (this interpreter, running the caller's code)
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{code!r} failed:\n{done.stderr}")
    return done.stderr.rpartition("loaded: ")[2].split()
