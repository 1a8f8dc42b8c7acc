"""Every callback that watches, in two processes: what one writes alone, the main one writes, and each its profile."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def test_two_processes_write_what_one_writes(train, processes, lines):
    alone = train("", extends="stateful/watched.toml", name="alone").folder
    run = processes(2, "", extends="stateful/watched.toml", name="both")
    for folder in (alone, run):
        assert json.loads((folder / "summary.json").read_text())["dropped_callbacks"] == {}
    written = [
        {str(file.relative_to(folder)) for part in ("pictures", "profile") for file in (folder / part).iterdir()}
        for folder in (alone, run)
    ]
    assert written[1] - written[0] == {"profile/profile-1.json.gz", "profile/profile-1.txt"}
    assert written[0] < written[1]
    assert [*(run / "models-lowest").iterdir()]
    told = [[(line["step"], *line) for line in lines(folder, "callback")] for folder in (alone, run)]
    assert told[0] == told[1]
