"""The page on what a network costs: its commands and its code run."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest

from kdseg_unet.options import UNet

QUICK = {"profile": ("--rounds", "5", "--seconds", "1"), "fit-student": ()}


@pytest.fixture
def few(monkeypatch):
    """Let the family be small: the page's search takes minutes over all of it."""
    monkeypatch.setattr(
        UNet, "variants", classmethod(lambda cls: [cls(base=base, downsamplings=2) for base in (4, 6, 8)])
    )


def test_the_commands_and_the_code_work(pages, tmp_path, monkeypatch, kdseg, one_thread, few):
    page = pages["docs/profile.md"]
    monkeypatch.chdir(tmp_path)
    small = (
        "train.steps_of.student=2", "train.workers=0", "train.batch_size=2", "data.dataset.size=[32, 64]",
        "data.train.images=4", "data.val.images=2", "models.teacher.backbone.base=2",
    )  # fmt: skip
    status, out, err = kdseg("run", "online_alternating", *(word for one in small for word in ("--set", one)))
    assert status == 0, out + err
    outputs = []
    for line in (line for block in page.blocks if block.language == "sh" for line in block.text.splitlines()):
        words = shlex.split(line)[1:]
        status, out, err = kdseg(*words, *QUICK[words[0]])
        assert status == 0, out + err
        outputs.append(out)
    assert "1.094 M" in outputs[0]
    assert list(json.loads(outputs[2])["runtimes"]) == ["optimized"]
    assert re.search(r"^backbone = \{ use = \"unet\"", outputs[3], re.MULTILINE)
    assert {path.name for path in tmp_path.glob("*.png")} == {"layers.png", "students.png"}
    (code,) = [block for block in page.blocks if block.language == "python"]
    names = {}
    exec(code.text, names)
    image = np.zeros((40, 56, 3), np.uint8)
    assert names["student"].predict(image).shape == names["half"].predict(image).shape == (40, 56)
