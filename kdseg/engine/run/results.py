"""What a run writes of its networks: the models, and their confusion matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.engine.folders.files import write_json
from kdseg.engine.folders.run_folder import CONFUSION
from kdseg.engine.folders.tensor_files import save_weights
from kdseg.engine.models.model import MODELS, write_card

if TYPE_CHECKING:
    from pathlib import Path

    from kdseg.engine.judge.evaluate import Judgement
    from kdseg.engine.run.state import Run


def save_models(run: Run, which: str) -> None:
    """Write every learner and shadow as it stands, as its best or its last weights."""
    for name in run.cards:
        save_model(run, name, run.folder / MODELS / name, which)


def save_model(run: Run, name: str, folder: Path, which: str) -> None:
    """Write one of them, ready to use."""
    participant = run.stepper.participants[name]
    plugin = run.checked.loaded.plugins.registry.entry_of(type(participant.backbone)).path
    write_card(folder, run.cards[name] | {"step": run.step, "best": run.best.get(name)}, plugin)
    save_weights(participant.module, folder / f"{which}.safetensors")


def save_confusion(run: Run, name: str, judgement: Judgement) -> None:
    """Write which classes a participant took for which at its last evaluation, in pixels."""
    folder = run.folder / CONFUSION
    folder.mkdir(exist_ok=True)
    matrix = {"step": run.step, "split": "val", "classes": run.classes.names, "matrix": judgement.matrix.tolist()}
    write_json(folder / f"{name}.json", matrix)
