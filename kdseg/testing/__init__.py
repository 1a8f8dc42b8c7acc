"""The published kit: what plugin authors, and kdseg's own tests, test plugins with."""

from __future__ import annotations

from kdseg.testing.distributions import fake_dist, on_path
from kdseg.testing.imports import heavy_imports

__all__ = ["fake_dist", "heavy_imports", "on_path"]
