"""What a run comes to, and the files that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from kdseg.engine.folders.checkpoint import prune_checkpoints
from kdseg.engine.folders.files import write_json
from kdseg.engine.folders.run_folder import CHECKPOINTS, SUMMARY
from kdseg.engine.report.write import report_run

if TYPE_CHECKING:
    from pathlib import Path

    from kdseg.engine.run.state import Run

COMPARED_IMAGES = 4


@frozen(kw_only=True)
class Finished:
    """A run that took its last step."""

    folder: Path
    summary: dict[str, Any]


def conclude(run: Run) -> Finished:
    """Write the run's picture and summary, from when on it counts as finished, and its report."""
    summary = {
        "name": run.recipe.name,
        "folder": str(run.folder),
        "steps": run.step,
        "seconds": round(run.seconds, 1),
        "stopped": run.stop_reason,
        "dropped_callbacks": run.callbacks.dropped,
        "metric": run.recipe.evaluate.metric,
        "participants": {
            name: {
                "backbone": run.checked.loaded.plugins.registry.entry_of(type(participant.backbone)).qualified,
                "parameters": run.checked.parameters[name],
                "steps": run.stepper.learners[name].steps if name in run.stepper.learners else 0,
                **{key: value for key, value in run.scores[name].items() if isinstance(value, float)},
                "best": run.best.get(name),
            }
            for name, participant in run.stepper.participants.items()
        },
    }
    run.save_comparison(run.pictures / "comparison.png", COMPARED_IMAGES)
    if run.is_main:
        prune_checkpoints(run.folder / CHECKPOINTS, run.step, keep=1)
        write_json(run.folder / SUMMARY, summary)
        report_run(run.folder)
    run.processes.wait()
    return Finished(folder=run.folder, summary=summary)
