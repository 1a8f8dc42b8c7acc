"""Losses between taps, as recipes see them."""

from __future__ import annotations

LOSSES = ()
