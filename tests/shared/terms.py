"""Terms as recipes have them, for tests that share some."""

from __future__ import annotations


def term(name: str, learner: str, loss: str = "cross_entropy", *, source: str = "", turn: str = "") -> str:
    """Write a term.

    Args:
        name: the term's.
        learner: who learns.
        loss: by name, or an inline table.
        source: from whom; left out: from the labels.
        turn: when, one name or a list as TOML has it; left out: always.
    """
    told = {"turn": turn, "learner": learner, "source": source, "loss": loss}
    lines = [f"{key} = {value if value[0] in '[{' else repr(value)}\n" for key, value in told.items() if value]
    return f"[terms.{name}]\n{''.join(lines)}"
