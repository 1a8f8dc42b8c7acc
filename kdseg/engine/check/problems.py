"""What a check has found so far, each problem at its key of the recipe."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import define, field

from kdseg.errors import KdsegError, OptionError, Problem, ProblemsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg.recipe.load import LoadedRecipe


@define(eq=False)
class Found:
    """The problems of a recipe, gathered through a phase so that all of them are told at once."""

    loaded: LoadedRecipe
    problems: list[Problem] = field(factory=list)

    def add(self, key: str, message: str) -> None:
        """Note a problem at a dotted key."""
        problem = self.loaded.problem(key, " ".join(message.split()))
        if problem not in self.problems:  # a folder that lacks both splits is told once
            self.problems.append(problem)

    @contextmanager
    def at(self, key: str) -> Iterator[None]:
        """Turn whatever a part raises while it is made into a problem at its key."""
        try:
            yield
        except OptionError as error:
            for option, message in error.problems:
                self.add(f"{key}.{option}" if option else key, message)
        except ProblemsError as error:  # of another recipe, which this one builds on
            for problem in error.problems:
                self.add(key, str(problem))
        except (KdsegError, ValueError, TypeError) as error:
            self.add(key, str(error))
        except Exception as error:  # noqa: BLE001 (a plugin may raise anything; it is told where the recipe asks for it)
            self.add(key, f"{type(error).__name__}: {error}")

    def end_of_phase(self) -> None:
        """Let no later phase begin on what is wrong.

        Raises:
            ProblemsError: with all that was found.
        """
        if self.problems:
            raise ProblemsError(self.problems)
