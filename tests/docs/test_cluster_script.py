"""The script for a cluster, run as SLURM would, by stand-ins for its commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # each of its processes loads torch

RECIPE = """
plugins = ["parts.py"]
train = { steps = 500, batch_size = 4, workers = 0 }
data = { dataset = "squares" }
evaluate = { every = 10000, unit = "step" }
checkpoint = { every = 10000, unit = "step" }
[models.student]
backbone = "tiny"
[terms.labels]
learner = "student"
loss = "cross_entropy"
"""

STAND_INS = {
    "kdseg": f'exec {sys.executable} -m kdseg "$@"',
    # Starts the tasks, ignores signals to itself, and gives the highest status of a task.
    "srun": """
        trap '' TERM
        while [[ $1 == --* ]]; do shift; done
        for task in 0 1; do
            SLURM_PROCID=$task SLURM_LOCALID=$task SLURM_NTASKS=2 "$@" &
            tasks+=($!)
        done
        printf '%s\\n' "${tasks[@]}" > tasks
        highest=0
        for task in "${tasks[@]}"; do
            wait "$task"; status=$?
            ((status > highest)) && highest=$status
        done
        exit $highest
    """,
    "scancel": 'echo "$@" >> scancelled; kill -TERM $(cat tasks)',
    "scontrol": """
        if [[ $1 == show ]]; then echo 127.0.0.1; else echo "$@" >> requeued; fi
    """,
}


@pytest.fixture
def cluster(tmp_path, root):
    """A folder with a recipe, and the commands of SLURM; give what starts the job's script there."""
    for name, text in STAND_INS.items():
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/usr/bin/env bash\n{text}\n", encoding="utf-8")
        command.chmod(0o755)
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    shutil.copy(root / "tests" / "kdseg" / "engine" / "parts.py", tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = os.environ | {
        "PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "41",
        "SLURM_JOB_NAME": "kdseg",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "MASTER_PORT": port,
        "ACCELERATE_USE_CPU": "1",
    }

    def start(*arguments, command=("bash", root / "docs" / "cluster.sbatch")):
        return subprocess.Popen(
            [*command, *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def test_a_job_whose_time_is_up_goes_on_when_it_is_started_again(cluster, tmp_path):
    first = cluster("recipe.toml")
    wait_for_steps(first, tmp_path)
    first.send_signal(signal.SIGUSR1)
    printed = first.communicate(timeout=60)[0]
    assert first.returncode == 128 + signal.SIGTERM, printed
    assert (tmp_path / "scancelled").read_text() == "--signal=TERM 41\n"
    assert (tmp_path / "requeued").read_text() == "requeue 41\n"
    (run,) = tmp_path.glob("runs/recipe/2*")
    assert list(run.glob("checkpoints/step-*"))
    assert not (run / "summary.json").exists()

    again = cluster("recipe.toml")
    printed = again.communicate(timeout=60)[0]
    assert again.returncode == 0, printed
    assert "resumed at step" in printed
    assert list(tmp_path.glob("runs/recipe/2*")) == [run]
    assert json.loads((run / "summary.json").read_text())["steps"] == 500
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in metrics if line["kind"] == "step"] == list(range(1, 501))
    assert json.loads((run / "environment.json").read_text())["hardware"]["processes"] == 2

    once_more = cluster("recipe.toml")
    assert once_more.communicate(timeout=10)[0] == "finished before\n"
    assert once_more.returncode == 0
    assert list(tmp_path.glob("runs/recipe/2*")) == [run]
    assert (tmp_path / "requeued").read_text() == "requeue 41\n"


def test_a_job_that_fails_by_itself_is_not_started_again(cluster, tmp_path):
    job = cluster("recipe.toml", "--set", "train.batch_size=5")
    printed = job.communicate(timeout=60)[0]
    assert job.returncode == 2, printed
    assert "a step's batch of 5 does not divide over 2 processes" in printed
    assert not (tmp_path / "requeued").exists()
    assert not list(tmp_path.glob("*.finished"))


def test_a_job_that_a_person_cancels_is_not_started_again(cluster, tmp_path):
    """SLURM sends SIGTERM to the processes, which stop with a checkpoint, and the script was not told to stop."""
    job = cluster("recipe.toml")
    wait_for_steps(job, tmp_path)
    for task in (tmp_path / "tasks").read_text().split():
        os.kill(int(task), signal.SIGTERM)
    printed = job.communicate(timeout=60)[0]
    assert job.returncode == 128 + signal.SIGTERM, printed
    assert list(tmp_path.glob("runs/recipe/2*/checkpoints/step-*"))
    assert not (tmp_path / "requeued").exists()
    assert not list(tmp_path.glob("*.finished"))


def test_the_line_to_try_it_on_a_cpu_starts_two_processes(cluster, tmp_path, pages):
    lines = [line for block in pages["docs/clusters.md"].blocks for line in block.text.splitlines()]
    (line,) = [line for line in lines if line.startswith("ACCELERATE_USE_CPU=1 ")]
    line = line.replace("recipes/student_alone.toml", "recipe.toml --set train.steps=3")
    line = line.replace("--multi_gpu", '--multi_gpu --main_process_port "$MASTER_PORT"')
    job = cluster(command=("bash", "-c", line))
    printed = job.communicate(timeout=60)[0]
    assert job.returncode == 0, printed
    environment = json.loads((tmp_path / "runs" / "recipe" / "latest" / "environment.json").read_text())
    assert environment["hardware"]["processes"] == 2


def wait_for_steps(job, folder):
    """Wait until the run has written the numbers of some steps."""
    deadline = time.monotonic() + 60
    while not any(file.stat().st_size > 2000 for file in folder.glob("runs/recipe/2*/metrics.jsonl")):
        assert job.poll() is None, job.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
