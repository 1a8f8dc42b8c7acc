from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tracked_runs import KILLED, RECIPE, finished

if TYPE_CHECKING:
    from pathlib import Path

TRACKING = """
[tracking]
wandb = { project = "lab", tags = ["first"] }
tensorboard = true
"""


@pytest.fixture(name="run", scope="session", params=[(), KILLED], ids=["whole", "killed and resumed, twice"])
def run_fixture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that all trackers were told of."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "job.toml").write_text(RECIPE + TRACKING, encoding="utf-8")
    place = {"WANDB_RUN_GROUP": "study", "WANDB_JOB_TYPE": "arm"}
    return finished(folder, *request.param, **place)
