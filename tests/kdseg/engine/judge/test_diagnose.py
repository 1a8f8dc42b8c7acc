"""A diagnostic sees every image once, whatever the number of processes, and one trial's logits at a time."""

from __future__ import annotations

import gc
import json
import shutil
import weakref

import pytest
import torch
from rich.console import Console

from kdseg.engine.judge.arms import arms_of
from kdseg.engine.judge.diagnose import Chosen, diagnose

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

RECIPE = """
[train]
steps = 1
batch_size = 4
[models.student]
backbone = "tiny"
[models.teacher]
backbone = { use = "tiny", width = 6 }
[terms.labels]
learner = "student"
loss = "cross_entropy"
[terms.teacher-labels]
learner = "teacher"
loss = "cross_entropy"
[data]
dataset = { use = "squares", images = 7 }
"""
SETTLED = {
    "settings": [],
    "split": "val",
    "which": "last",
    "images": None,
    "batch_size": 2,
    "trust_code": False,
}


@pytest.mark.parametrize("name", ["biasvar", "teachability"])
def test_processes_find_what_one_does(train, together, folder, name):
    """Seven images do not divide by two; one at a time they pass through a network to the same bits."""
    run = train(RECIPE).folder

    words = {**SETTLED, "batch_size": 1, "models": ["student", "teacher"], "console": Console(quiet=True)}

    def work():
        findings = diagnose(name, arms_of({"trials": [run, run]}), **words)
        rank = torch.distributed.get_rank()
        (folder / f"found-{rank}.json").write_text(json.dumps([findings.scalars, findings.tables]))
        assert ({"entropy_maps", "bias_variance_map_1"}.isdisjoint(findings.pictures)) == (rank != 0)

    assert together(2, work) == [0, 0]
    alone = diagnose(name, arms_of({"trials": [run, run]}), **words)
    for rank in range(2):
        scalars, tables = json.loads((folder / f"found-{rank}.json").read_text())
        assert scalars == pytest.approx(alone.scalars, rel=1e-10, nan_ok=True)
        assert tables.keys() == alone.tables.keys()
        for title, table in tables.items():
            for label, row in table.items():
                assert row == pytest.approx(alone.tables[title][label], rel=1e-10, abs=1e-12, nan_ok=True)


def test_one_trial_s_logits_are_in_memory_at_a_time(train, folder, monkeypatch):
    run = train(RECIPE).folder
    runs = [run, *(shutil.copytree(run, folder / f"copy{number}") for number in range(2))]
    seen = []

    def update(_self, trials, _target, _indices):
        before = None
        for logits in trials:
            gc.collect()
            assert before is None or before() is None
            before = weakref.ref(logits)
            seen.append(tuple(logits.shape))
            del logits

    monkeypatch.setattr("kdseg_biasvar.accumulator.Decomposition.update", update)
    diagnose("biasvar", arms_of({"trials": runs}), **SETTLED, models=["student"], console=Console(quiet=True))
    assert len(seen) == 3 * 4
    assert len(set(seen)) == 2  # the last batch is smaller


@pytest.mark.parametrize(("count", "wanted"), [(1, [0]), (3, [0, 3, 6]), (4, [0, 2, 5, 7]), (10, [*range(10)])])
def test_chosen_samples_are_spread_evenly(count, wanted):
    chosen = Chosen(range(10), count)
    assert [chosen[index] for index in range(len(chosen))] == wanted
