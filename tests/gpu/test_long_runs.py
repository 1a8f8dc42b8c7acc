"""A long run on a GPU holds no more memory than a short one, there and in the process."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(900)]

MARKS = (200, 1100, 2000)
SETTINGS = ("train.steps=2000", "evaluate.every=100", "checkpoint.every=100", "checkpoint.keep=2")
MEBIBYTE = 1 << 20


@pytest.mark.parametrize("name", ["turns_by_step", "shadow", "fused", "critic"])
def test_two_thousand_steps_hold_what_two_hundred_held(start, finish, folder, device, name):
    recipe = folder / "job.toml"
    recipe.write_text(f'extends = "stateful/{name}.toml"\n', encoding="utf-8")
    finish(start(folder, ["job.toml", "--gauge-at", *map(str, MARKS)], SETTINGS))
    early, middle, late = json.loads((folder / "held.json").read_text(encoding="utf-8"))
    if device.type == "cuda":
        assert early["allocated"] > 0
    assert late["allocated"] - early["allocated"] < MEBIBYTE, "bytes of tensors"
    assert late["reserved"] == middle["reserved"], "bytes that torch keeps of the GPU"
    assert late["resident"] - early["resident"] < 16 * MEBIBYTE, "bytes of the process"
