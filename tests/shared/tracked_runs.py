"""Runs with trackers, in processes of their own, and what Weights & Biases wrote of them, read without kdseg."""

from __future__ import annotations

import json
import math
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

ENGINE = Path(__file__).parents[1] / "kdseg" / "engine"
RECIPE = f"""
plugins = ["{ENGINE / "parts.py"}", "{ENGINE / "shows.py"}"]
seed = 3
train = {{ steps = 9, batch_size = 4, workers = 0 }}
data = {{ dataset = "squares" }}
evaluate = {{ every = 3, unit = "step", metrics = ["even"] }}
checkpoint = {{ every = 4, unit = "step" }}
output = {{ folder = "runs" }}
[models.student]
backbone = "tiny"
[models.steady]
shadow_of = "student"
[terms.labels]
learner = "student"
loss = "cross_entropy"
[callbacks.shows]
use = "shows"
"""
KILLED = ("--set", "callbacks.shows.die_at=[5, 7]", "--set", "callbacks.shows.after=[0.0, 2.5]")
"""Twice after the checkpoint of step 4: before a tracker has brought anything to the disk, and after."""
SCRIPT = """
import sys
import torch

torch.set_num_threads(1)
from kdseg.engine.run import wandb_tracker

wandb_tracker.SETTINGS = {**wandb_tracker.SETTINGS, "init_timeout": 2.0, "finish_timeout": 2.0}
from kdseg.cli import main

main(sys.argv[1:])
"""


def kdseg(folder, *words, **environment):
    """Run a command in a folder, with nobody logged in to anything."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *words],
        cwd=folder,
        env={**kept, "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def finished(folder, *words, **environment):
    """Run the recipe ``job.toml`` to its end, resumed as often as it is killed, and give its folder."""
    done = kdseg(folder, "run", "job.toml", *words, **environment)
    deaths = 0
    while done.returncode == -signal.SIGKILL:
        deaths += 1
        done = kdseg(folder, "resume", "runs/job", **environment)
    assert done.returncode == 0, done.stderr
    assert deaths == (2 if words else 0)
    return (folder / "runs" / "job" / "latest").resolve()


def told_numbers(run):
    """Give (name, step) with the value for each number of the metrics file, those of tables by their own names."""
    found = {}

    def add(name, step, value):
        if isinstance(value, dict):
            for key, item in value.items():
                add(f"{name}/{key}", step, item)
        elif isinstance(value, (int, float)):
            assert (name, step) not in found
            found[name, step] = value

    for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        kind, step = values.pop("kind"), values.pop("step")
        if kind == "evaluation":
            values.pop("epoch")  # the step's own line says it
        for name, value in values.items():
            add(name, step, value)
    return found


def wandb_records(file):
    """Read a file of Weights & Biases: records in pieces, none across a block of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, whole = file.read_bytes()[7:], b""
    blocks = [data[: 32768 - 7], *(data[at : at + 32768] for at in range(32768 - 7, len(data), 32768))]
    for block in blocks:
        at = 0
        while at + 7 <= len(block):
            length, piece = struct.unpack("<HB", block[at + 4 : at + 7])
            body = block[at + 7 : at + 7 + length]
            if len(body) < length or piece == 0:
                return
            at += 7 + length
            whole = body if piece in (1, 2) else whole + body
            if piece in (1, 4):
                record = Record()
                record.ParseFromString(whole)
                yield record


def wandb_files(run):
    return sorted(run.glob("wandb/*run-*/*.wandb"))


def wandb_all(run, kind):
    """Give the records of a kind of all files, in the order in which they would be sent."""
    every = [record for file in wandb_files(run) for record in wandb_records(file)]
    return [getattr(record, kind) for record in every if record.WhichOneof("record_type") == kind]


def wandb_history(run):
    """Give (name, step) with the value for each item of the history; none may be there twice."""
    found = {}
    for row in wandb_all(run, "history"):
        for item in row.item:
            name = item.key or ".".join(item.nested_key)
            if name.startswith("_"):
                continue
            place = (name, row.step.num)
            assert place not in found, f"{place} is there twice"
            found[place] = json.loads(item.value_json)
    return found


def wandb_config(run):
    found = {}
    for record in wandb_all(run, "run")[:1]:
        found |= {item.key: json.loads(item.value_json) for item in record.config.update}
    return found


def differing(found, wanted):
    """Give the places that only one has, or where the values differ by more than the rounding of 32 bits."""
    return [
        place
        for place in found.keys() | wanted.keys()
        if place not in found or place not in wanted or not math.isclose(found[place], wanted[place], rel_tol=1e-6)
    ]
