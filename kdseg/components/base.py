"""What every component is."""

from __future__ import annotations

from typing import ClassVar


class Component:
    """A thing that a recipe can name.

    A component is an attrs class (``@frozen(kw_only=True)``): its docstring is its help, its fields, best each
    ``Annotated[type, "help"]``, with a default or without, are its options in a recipe, and its ``build(ctx)``
    makes the working object. Importing its module loads no torch: `build` imports what it needs.
    """

    name: ClassVar[str]
    """What recipes call it: lower-case letters, digits, ``-`` and ``_``."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Requirement strings of optional libraries (``"transformers>=4.40"``), checked when a recipe uses it."""
