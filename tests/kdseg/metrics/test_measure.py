"""A metric's working object is what the engine expects, or the metric is told."""

from __future__ import annotations

from typing import ClassVar

import pytest
from attrs import frozen

from kdseg.components import Metric, MetricContext
from kdseg.data.samples import ClassTable
from kdseg.errors import KdsegError
from kdseg.metrics.measure import made

CONTEXT = MetricContext(classes=ClassTable(names=("a", "b"), colours=((0, 0, 0), (1, 1, 1))))


class Counted:
    def update(self, prediction, target, extras):
        pass

    def tensors(self):
        return []

    def compute(self):
        return {"ours": 1.0}


class Uncounted(Counted):
    compute = None


@frozen(kw_only=True)
class Ours(Metric):
    """Gives what a test hands it."""

    name: ClassVar[str] = "ours"
    scores: ClassVar[tuple[str, ...]] = ("ours",)
    builder: object

    def build(self, ctx):
        return self.builder()


def test_a_measure_is_given_as_it_was_made():
    assert isinstance(made(Ours(builder=Counted), CONTEXT), Counted)


def failing(error):
    def build():
        raise error

    return build


@pytest.mark.parametrize(
    ("builder", "told"),
    [
        (lambda: None, "metric ours: its build gives a NoneType, no Measure: it has no update, tensors, compute"),
        (Uncounted, "metric ours: its build gives a Uncounted, no Measure: it has no compute"),
        (failing(ZeroDivisionError("of\nwhat")), "metric ours: ZeroDivisionError: of what"),
        (failing(KdsegError("said so")), "said so"),
    ],
    ids=["nothing", "half", "raises", "tells"],
)
def test_what_is_no_measure_is_told(builder, told):
    with pytest.raises(KdsegError) as error:
        made(Ours(builder=builder), CONTEXT)
    assert str(error.value) == told
