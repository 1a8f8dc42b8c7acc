"""Losses on relations between pixels, images and distributions, as recipes see them."""

from __future__ import annotations

LOSSES = ()
