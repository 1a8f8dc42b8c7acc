"""A validation split without a labelled pixel gives no score, and the run says so."""

from __future__ import annotations

import math

PLUGIN = """
from typing import ClassVar
import numpy as np
from attrs import frozen
from kdseg import ClassTable, Dataset, Sample, hookimpl

@frozen(kw_only=True)
class Blank(Dataset):
    '''Images of which only those for training are labelled.'''

    name: ClassVar[str] = "blank"

    def build(self, ctx):
        label = 0 if ctx.split == "train" else 255
        image, mask = np.zeros((32, 32, 3), np.uint8), np.full((32, 32), label, np.uint8)
        return [Sample(image=image, mask=mask, id=str(number)) for number in range(4)]

    def class_table(self):
        return ClassTable(names=("road", "sky"), colours=((0, 0, 0), (1, 1, 1)))

@hookimpl
def kdseg_datasets():
    return [Blank]
"""
RECIPE = """
plugins = ["parts.py", "blank.py"]
[models.student]
backbone = "tiny"
[terms.labels]
learner = "student"
loss = "cross_entropy"
[train]
steps = 4
[data]
dataset = "blank"
[evaluate]
every = 2
unit = "step"
"""


def test_a_score_that_is_no_number_is_told(train, folder, caplog):
    (folder / "blank.py").write_text(PLUGIN, encoding="utf-8")
    run = train(RECIPE)
    assert math.isnan(run.summary["participants"]["student"]["miou"])
    told = "miou of student is nan, so nothing says which weights are best; are the validation images labelled?"
    assert [text for text in caplog.messages if "nan" in text] == [f"step {step}: {told}" for step in (2, 4)]
