"""The page on watching a run: its commands run, its files come to be, and it leaves no callback out."""

from __future__ import annotations

import json
import re
import shlex

import cv2
import numpy as np

from kdseg.components import Callback
from kdseg.plugins import load_plugins

SETTINGS = (
    "train.steps_of.student=4", "train.workers=0", "train.batch_size=2", "data.dataset.size=[32, 64]",
    "data.train.images=4", "data.val.images=2", "evaluate.every=3", "checkpoint.every=3",
    "models.teacher.backbone.base=2", "models.student.backbone.base=2",
)  # fmt: skip


def test_the_commands_work_and_write_what_the_page_says(pages, tmp_path, monkeypatch, kdseg, one_thread):
    page = pages["docs/watching.md"]
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("street.png", np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8))
    lines = [line for block in page.blocks if block.language == "sh" for line in block.text.splitlines()]
    assert [shlex.split(line)[1] for line in lines] == ["run", "inspect", "inspect", "inspect"]
    outputs = []
    for line in lines:
        words = shlex.split(line)[1:]
        if words[0] == "run":
            words += [word for setting in SETTINGS for word in ("--set", setting)]
        status, out, err = kdseg(*words)
        assert status == 0, out + err
        outputs.append(out)
    assert "bottleneck" in json.loads(outputs[-1])["participants"]["student"]
    run = tmp_path / "runs" / "watched" / "latest"
    assert json.loads((run / "summary.json").read_text())["dropped_callbacks"] == {}
    for pattern in (
        "models-best/step-*",
        "pictures/gallery-*.png",
        "pictures/layers-student-*.png",
        "pictures/layers-teacher-*.png",
        "pictures/components-student-*.png",
        "pictures/looks-difference-*.png",
        "profile/profile-0.json.gz",
    ):
        assert [*run.glob(pattern)], pattern
    written = (run / "metrics.jsonl").read_text()
    assert "gradients/student" in written
    assert {path.name for path in tmp_path.glob("*.png")} == {"street.png", "inspect.png", "layers.png"}


def test_the_table_has_every_callback_of_the_plugin(pages):
    rows = re.findall(r"^\| `(\w+)` \|", pages["docs/watching.md"].prose, flags=re.MULTILINE)
    registry = load_plugins().registry
    there = [
        entry.cls.name for entry in registry.entries if issubclass(entry.cls, Callback) and entry.plugin == "watch"
    ]
    assert sorted(rows) == sorted(there)
