"""Predictions as benchmarks take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.components import Dataset
from kdseg.data.submission import Submission
from kdseg.engine.folders.run_folder import RECIPE, find_run
from kdseg.engine.models.model import CARD, code_of, read_card
from kdseg.errors import KdsegError, display_path
from kdseg.plugins import load_plugins
from kdseg.recipe.load import load_recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kdseg.registry import Registry


def find_submission(run: Path, benchmark: str, *, trust_code: bool) -> Submission:
    """Give what the dataset of a name says of its benchmark, the datasets of the run's plugin files among them.

    Raises:
        KdsegError: there is no such dataset, it has no benchmark that takes predictions, or says
            something else of it.
    """
    registry = _registry(run, trust_code=trust_code)
    cls = registry.find("dataset", benchmark).cls
    assert issubclass(cls, Dataset)
    if cls.submission is None:
        takers = [
            entry.name
            for entry in registry.of_kind("dataset")
            if issubclass(entry.cls, Dataset) and isinstance(entry.cls.submission, Submission)
        ]
        raise KdsegError(
            f"the dataset {benchmark!r} has no format for submissions; those that have: {', '.join(takers) or 'none'}"
        )
    if not isinstance(cls.submission, Submission):
        raise KdsegError(f"the dataset {benchmark!r}: its submission is {cls.submission!r:.80}, no kdseg.Submission")
    return cls.submission


def refuse_other_classes(classes: Sequence[str], submission: Submission) -> None:
    """Refuse a model whose classes are not the benchmark's.

    Raises:
        KdsegError: naming both.
    """
    if tuple(classes) != submission.classes:
        raise KdsegError(
            f"the benchmark takes predictions of the classes {', '.join(submission.classes)}; the model's are "
            f"{', '.join(classes)}"
        )


def refuse_strays(plain: Iterable[Path]) -> None:
    """Refuse to write beside masks and overlays of the same images: an evaluator takes them for predictions, too.

    Raises:
        KdsegError: naming the first that is there.
    """
    for file in plain:
        if file.exists():
            raise KdsegError(
                f"{display_path(file)}: an evaluator would take it for a second prediction of its image; name another "
                "folder by --output"
            )


def _registry(run: Path, *, trust_code: bool) -> Registry:
    if run.is_file():  # exported
        return load_plugins().registry
    if (run / CARD).exists():
        code = code_of(run, read_card(run))
        return load_plugins([code] if code is not None and trust_code else []).registry
    return load_recipe(find_run(run) / RECIPE).plugins.registry
