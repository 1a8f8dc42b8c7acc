"""`sweep`: a whole one in miniature, killed and gone on with; what it prints; what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from kdseg.recipe.load import load_recipe

ALONE = """
extends = "recipe.toml"
drop = ["models.teacher", "terms.teacher-labels", "terms.mimic", "turns", "terms.labels.turn", "callbacks.best"]
[evaluate]
every = 100
"""
TEACHER = """
extends = "recipe.toml"
drop = ["models.student", "terms.labels", "terms.mimic", "turns", "terms.teacher-labels.turn", "callbacks.best"]
train = { steps = 2 }
"""
OFFLINE = """
extends = "recipe.toml"
drop = ["terms.teacher-labels", "turns", "terms.labels.turn", "terms.mimic.turn", "callbacks.best"]
[models.teacher]
frozen = true
backbone = { use = "unet", base = 4 }
weights = { recipe = "teacher.toml" }
[evaluate]
every = 100
"""
SWEEP = """
[sweep]
seeds = [1, 2]
jobs = 2
set = { train.steps = 3, train.fuse = "off" }
[sweep.arms.alone]
recipe = "alone.toml"
[sweep.arms.offline]
recipe = "offline.toml"
"""


@pytest.fixture
def study(folder, write, monkeypatch):
    """A working folder with a study."""
    write()
    for name, text in (("alone", ALONE), ("teacher", TEACHER), ("offline", OFFLINE), ("study", SWEEP)):
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    return folder


def stamps(runs):
    """Give when each file below a folder was written last."""
    return {path: path.stat().st_mtime_ns for run in runs for path in run.rglob("*") if path.is_file()}


def finished(folder):
    return [path.parent for path in sorted(folder.glob("runs/sweeps/study/runs/*/[0-9]*/summary.json"))]


@pytest.mark.slow
@pytest.mark.timeout(600)  # seven processes, each of which imports everything
def test_a_sweep_that_is_killed_goes_on_and_makes_nothing_twice(kdseg, study):
    with (study / "out.txt").open("wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "kdseg", "sweep", "study.toml"], cwd=study, stdout=out, stderr=out
        )
        deadline = time.monotonic() + 200
        while not finished(study):
            assert child.poll() is None, (study / "out.txt").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
        child.wait()
    before = stamps(finished(study))
    status, out, err = kdseg("sweep", "study.toml", "--json")
    assert status == 0, err
    assert before.items() <= stamps(finished(study)).items()
    table = json.loads(out)
    runs = finished(study)
    assert sorted(run.parent.name for run in runs) == [
        "alone-seed1", "alone-seed2", "offline-seed1", "offline-seed2", "teacher", "teacher"
    ]  # fmt: skip
    assert len(list(study.glob("runs/sweeps/study/runs/*/[0-9]*"))) == 6  # none begun besides
    assert [(row["arm"], sorted(row["scores"])) for row in table["rows"]] == [
        ("alone", ["1", "2"]),
        ("offline", ["1", "2"]),
    ]
    for row in table["rows"]:
        for seed, run in row["folders"].items():
            recipe = load_recipe(f"{run}/recipe.toml").recipe
            assert recipe.seed == int(seed)
            if row["arm"] == "offline":  # paired by seed, the teacher too
                assert load_recipe(recipe.models["teacher"].weights.run / "recipe.toml").recipe.seed == int(seed)
            summary = json.loads((study / run / "summary.json").read_text())
            assert row["scores"][seed] == summary["participants"]["student"]["miou"]
    alone, offline = table["rows"]
    apart = [offline["scores"][seed] - alone["scores"][seed] for seed in ("1", "2")]
    assert offline["difference"]["mean"] == pytest.approx(sum(apart) / 2)
    assert (offline["steps"], offline["steps_before"]) == ({"student": 3}, {"teacher.toml: teacher": 2})
    home = study / "runs/sweeps/study"
    assert json.loads((home / "table.json").read_text()) == table
    assert (home / "comparison.png").stat().st_size > 3000
    states = json.loads((home / "sweep.json").read_text())["runs"]
    assert [state["state"] for state in states] == ["finished"] * 6

    whole = stamps(finished(study))
    status, out, err = kdseg("sweep", "study.toml")
    assert (status, stamps(finished(study))) == (0, whole)
    assert err == "runs/sweeps/study: 0 runs, 2 at once; 4 are there\n"
    lines = out.splitlines()
    assert lines[0] == "study: miou of student"
    assert lines[2].split()[:4] == ["alone", "2", "of", "2"]
    assert [" ".join(line.split()) for line in (lines[-3], lines[-1])] == [
        "picture runs/sweeps/study/comparison.png",
        "all runs on one page kdseg report runs/sweeps/study",
    ]
    out = kdseg("sweep", "study.toml", "--dry-run").out
    assert out.startswith("runs/sweeps/study: 6 runs, 0 of them to be made\n")

    compared = json.loads(kdseg("compare", "runs/sweeps/study", "--json").out)
    assert [group["label"] for group in compared["groups"]] == ["alone", "offline"]
    wanted = ("student", "last", "miou")
    (scores,) = [one for one in compared["scores"] if (one["participant"], one["which"], one["metric"]) == wanted]
    assert [one["scores"] for one in scores["groups"]] == [alone["scores"], offline["scores"]]
    assert scores["groups"][1]["difference"] == offline["difference"]
    assert all((run / "report.html").exists() for run in finished(study))


def test_one_that_fails_is_told_the_others_go_on_and_the_table_says_so(kdseg, study):
    broken = (
        '[sweep.arms.broken]\nrecipe = "alone.toml"\n'
        'set = { callbacks.kill = { use = "signalled", number = 9, step = 2 } }\n'
    )
    text = SWEEP.replace("[1, 2]", "1").partition("[sweep.arms.offline]")[0]
    (study / "study.toml").write_text(text + broken, encoding="utf-8")
    status, out, err = kdseg("sweep", "study.toml")
    assert status == 1
    assert "broken-seed0: failed (" in err
    assert "  killed by SIGKILL" in err.splitlines()
    assert "missing: broken, seed 0: killed by SIGKILL" in out.splitlines()
    assert [run.parent.name for run in finished(study)] == ["alone-seed0"]


def test_a_dry_run_checks_lists_and_writes_nothing(kdseg, study):
    before = sorted(study.rglob("*"))
    status, out, err = kdseg("sweep", "study.toml", "--dry-run")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "runs/sweeps/study: 6 runs, 6 of them to be made"
    assert len([line for line in out.splitlines() if line.endswith("  missing")]) == 6
    plan = json.loads(kdseg("sweep", "study.toml", "--dry-run", "--json").out)
    assert [run["row"] for run in plan["runs"]] == ["alone", None, "offline", "alone", None, "offline"]
    assert plan["rows"]["offline"]["steps"] == {"student": 3}
    assert sorted(study.rglob("*")) == before


def test_mistakes_are_told_with_their_lines_and_nothing_is_written(kdseg, study):
    (study / "study.toml").write_text(SWEEP.replace("seeds", "sedes").replace("train.steps = 3", "seed = 3"))
    before = sorted(study.rglob("*"))
    status, out, err = kdseg("sweep", "study.toml")
    assert (status, out) == (2, "")
    assert err.splitlines()[1] == "study.toml:3: sweep.sedes: unknown key; did you mean 'seeds'?"
    (study / "study.toml").write_text(SWEEP + "set = { train.steps = 4 }\n")
    status, out, err = kdseg("sweep", "study.toml")
    assert status == 2
    assert err.startswith("study.toml:8: sweep.arms.offline: student takes 4 steps in 'offline' and 3 in 'alone'")
    assert sorted(study.rglob("*")) == before


def test_a_launcher_is_refused(kdseg, study, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert kdseg("sweep", "study.toml") == (
        2,
        "",
        "kdseg sweep starts its runs itself: leave `accelerate launch` out\n",
    )


def test_without_optuna_a_search_says_how_to_get_it(kdseg, study, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert kdseg("sweep", "study.toml", "--search", "2") == (
        2,
        "",
        "--search needs Optuna: pip install 'kdseg[search]'\n",
    )


def test_a_search_tries_points_and_goes_on(kdseg, study):
    pytest.importorskip("optuna")
    text = SWEEP.replace("[1, 2]", "[1]").partition("[sweep.arms.offline]")[0]
    grid = """
        grid = {}
        [sweep.arms.tried]
        recipe = "alone.toml"
        [sweep.arms.tried.grid]
        models.student.optimizer.lr = { low = 1e-3, high = 1e-1, log = true }
        terms.labels.loss.label_smoothing = [0.0, 0.1]
    """
    (study / "study.toml").write_text(text + grid, encoding="utf-8")
    status, out, err = kdseg("sweep", "study.toml", "--search", "2", "--json")
    assert status == 0, err
    before = stamps(finished(study))
    assert len(finished(study)) == 3
    alone, tried = json.loads(out)["rows"]
    assert (alone["point"], list(tried["point"])) == (
        {},
        ["models.student.optimizer.lr", "terms.labels.loss.label_smoothing"],
    )
    assert 1e-3 <= tried["point"]["models.student.optimizer.lr"] <= 1e-1
    assert tried["against"] == "alone"
    status, out, _ = kdseg("sweep", "study.toml", "--search", "3", "--json")
    assert status == 0
    assert before.items() <= stamps(finished(study)).items()
    assert len(finished(study)) == 4
    assert any("the best of 3 trials" in note for note in json.loads(out)["notes"])
    assert (study / "runs/sweeps/study/search.journal").stat().st_size > 0
