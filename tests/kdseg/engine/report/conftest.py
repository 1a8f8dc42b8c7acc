from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import toml
from html_page import Page

from kdseg.engine.report.write import write_report

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = {
    "name": "job",
    "seed": 3,
    "train": {"batch_size": 4},
    "turns": {"order": ["teach", "study", "study"]},
    "evaluate": {"metric": "miou"},
    "output": {"folder": "runs"},
    "callbacks": {"sheets": {"use": "kdseg/gallery", "images": 2}},
    "models": {
        "teacher": {"backbone": {"use": "kdseg/unet70m"}, "optimizer": {"use": "AdamW", "lr": 0.001}},
        "student": {"backbone": {"use": "kdseg/unet1m"}, "optimizer": {"use": "AdamW", "lr": 0.01}},
    },
    "terms": {
        "teacher-labels": {"learner": "teacher", "source": [], "turn": ["teach"]},
        "labels": {"learner": "student", "source": [], "turn": ["study"]},
        "mimic": {"learner": "student", "source": ["teacher"], "turn": ["study"]},
    },
}
CLASSES = ("road", "sky", "tram")


def step_line(step: int) -> dict[str, Any]:
    teach = step % 3 == 1
    values = {"kind": "step", "step": step, "epoch": 0, "turn": "teach" if teach else "study"}
    values |= {"seconds": 0.5 if step == 1 else 0.1 + 0.1 * teach, "data_seconds": 0.02}
    if teach:
        return values | {"lr/teacher": 0.001, "weight/teacher-labels": 1.0, "loss/teacher-labels": 3.0 - step / 100}
    return values | {
        "lr/student": 0.01,
        "weight/labels": 1.0,
        "weight/mimic": 0.5,
        "loss/labels": 2.0 - step / 100,
        "loss/mimic": 1.0,
        "grad/labels": 0.3,
        "cosine/labels+mimic": -0.25,
    }


def evaluation_line(step: int, teacher: float, student: float) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": "evaluation", "step": step, "epoch": 0}
    for name, value in (("teacher", teacher), ("student", student)):
        found |= {f"val/{name}/miou": value, f"val/{name}/pixel_accuracy": value + 0.1}
        found[f"val/{name}/iou"] = {"road": value + 0.05, "sky": value - 0.05, "tram": None}
    return found


def metrics() -> list[dict[str, Any]]:
    """Thirty steps; the teacher is best at the end, the student at step 20."""
    lines = []
    for step in range(1, 31):
        lines.append(step_line(step))
        if step % 10 == 0:
            scores = {10: (0.3, 0.2), 20: (0.4, 0.3625), 30: (0.4125, 0.35)}[step]
            lines.append(evaluation_line(step, *scores))
            lines.append({"kind": "callback", "step": step, "throughput/images": 40.0 + step})
    return lines


def summary(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": "job",
        "steps": 30,
        "seconds": 75.0,
        "stopped": None,
        "metric": "miou",
        "participants": {
            "teacher": {"backbone": "kdseg/unet70m", "parameters": 70_000_000, "steps": 10, "miou": 0.4125},
            "student": {"backbone": "kdseg/unet1m", "parameters": 1_093_615, "steps": 20, "miou": 0.35},
        },
    }


@pytest.fixture
def made(tmp_path):
    """Write a run's folder as a run leaves it. What is given goes in place of the usual; None leaves a file out."""

    def made(name="job/20260101-000000", *, recipe=None, lines=(), summed=(), changed=None, scores=None):
        folder = tmp_path / name
        (folder / "pictures").mkdir(parents=True)
        said = copy.deepcopy(RECIPE if recipe is None else recipe)
        said |= changed or {}
        (folder / "recipe.toml").write_text(toml.dumps(said), encoding="utf-8")
        wanted = metrics() if lines == () else lines
        if scores is not None:
            wanted = [*wanted, evaluation_line(30, *scores)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in wanted), encoding="utf-8")
        if summed is not None:
            (folder / "summary.json").write_text(json.dumps(summed or summary(wanted)), encoding="utf-8")
        environment = {"python": "3.11.9", "packages": {"torch": "2.13.0"}, "hardware": {"device": "cpu"}}
        (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
        (folder / "log.txt").write_text("2026-01-01 00:00:00,123 INFO it begins\n", encoding="utf-8")
        return folder

    return made


@pytest.fixture
def confused():
    """Write the confusion matrix of a participant."""

    def confused(folder, name, classes=CLASSES, matrix=((90, 10, 0), (30, 70, 0), (0, 0, 0)), step=30):
        (folder / "confusion").mkdir(exist_ok=True)
        said = {"step": step, "split": "val", "classes": [*classes], "matrix": [[*row] for row in matrix]}
        (folder / "confusion" / f"{name}.json").write_text(json.dumps(said), encoding="utf-8")

    return confused


@pytest.fixture
def pictured():
    """Write a picture of noise, which no format makes small."""

    def pictured(folder, name, width=60, height=40):
        noise = np.random.default_rng(len(name)).integers(0, 256, (height, width, 3), dtype=np.uint8)
        assert cv2.imwrite(str(folder / "pictures" / name), noise)

    return pictured


@pytest.fixture
def report(tmp_path):
    """Write a report of runs, and read it."""

    def report(*runs: Path, error=None) -> Page:
        path = tmp_path / "report.html"
        write_report(runs, path, error=error)
        return Page(path.read_text(encoding="utf-8"))

    return report
