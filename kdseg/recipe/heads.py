"""Which prediction of which participant a term means."""

from __future__ import annotations

from attrs import frozen


@frozen
class Head:
    """A participant's logits, or those of a further head of its network: ``student``, ``student.branch2``."""

    participant: str
    name: str | None = None

    @classmethod
    def of(cls, text: str) -> Head:
        """Read what a recipe says."""
        participant, _, name = text.partition(".")
        return cls(participant, name or None)
