"""The search for students: counts and measurements replaced by laws that are known."""

from __future__ import annotations

import math
import tomllib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.components import BackboneContext
from kdseg.engine.profile import fit_student as module
from kdseg.engine.profile.clock import Timing
from kdseg.engine.profile.fit_picture import draw_front
from kdseg.engine.profile.fit_student import Budget, Candidate, fit_student, pareto
from kdseg.engine.profile.latency_model import LatencyModel, Work
from kdseg.engine.profile.telling import recipe_line
from kdseg.errors import KdsegError
from kdseg.plugins import load_plugins
from kdseg_unet.options import UNet

CTX = BackboneContext(in_channels=3, num_classes=19)
REGISTRY = load_plugins().registry
FAMILY = [
    UNet(base=base, downsamplings=downs, stem_stride=stem, block=block)
    for base in (4, 8)
    for downs in (2, 3)
    for stem in (1, 2)
    for block in ("plain", "depthwise")
]


def law(work):
    """Give milliseconds: a law of the form that is fitted."""
    return 3e-6 * work.macs**0.8 * work.activation_bytes**0.15 * math.exp(1.2 * work.grouped)


@pytest.fixture
def lawful(monkeypatch):
    """Let networks take what the law says."""

    def by_turns(asked, *, on_round, **_options):
        on_round()
        return {name: Timing((asked[name]() / 1000,) * 3) for name in asked}

    def prediction(network, _images):
        rows = module.count_layers(network, 1, (64, 64))
        macs = sum(row.macs for row in rows)
        grouped = {name for name, part in network.named_modules() if getattr(part, "groups", 1) > 1}
        work = Work(
            macs=macs,
            activation_bytes=sum(row.activation_bytes for row in rows),
            layers=len(rows),
            grouped=sum(row.macs for row in rows if row.name in grouped) / macs,
        )
        return lambda: law(work)

    monkeypatch.setattr(module, "by_turns", by_turns)
    monkeypatch.setattr(module, "prediction", prediction)


def search(budget, family=FAMILY, **options):
    return fit_student(
        family,
        budget,
        size=(64, 64),
        classes=5,
        make=lambda network, _: network,
        threads=None,
        most=5,
        registry=REGISTRY,
        **options,
    )


def test_every_student_holds_the_budget_and_none_that_does_is_worth_more(lawful):
    whole = search(Budget())
    middle = sorted(one.milliseconds for one in whole.considered)[len(whole.considered) // 2]
    budget = Budget(parameters=30_000, macs=3e8, milliseconds=middle)
    found = search(budget)
    counts = {one.backbone: one for one in whole.considered}
    worth = [
        (one.parameters, one.work.macs, -law(one.work))
        for one in counts.values()
        if one.parameters <= 3e4 and one.work.macs <= 3e8 and law(one.work) <= middle
    ]
    assert found.front
    assert found.error < 0.05  # the law is of the form that is fitted
    for one in found.front:
        mine = (one.parameters, one.work.macs, -law(one.work))
        assert mine in worth
        assert one.measured == pytest.approx(law(one.work))
        assert not [other for other in worth if other != mine and all(np.greater_equal(other, mine))]
    assert [one.parameters for one in found.front] == sorted((one.parameters for one in found.front), reverse=True)


def test_of_one_network_alone_nothing_is_known_of_the_fit(lawful):
    found = search(Budget(), FAMILY[:1])
    assert [one.backbone for one in found.front] == FAMILY[:1]
    assert math.isnan(found.error)


def test_budgets_that_nothing_holds_are_told(lawful):
    with pytest.raises(KdsegError, match="no network of the family has as few parameters"):
        search(Budget(parameters=10))
    with pytest.raises(KdsegError, match=r"takes 1e-09 ms or less here; the fastest that was measured takes"):
        search(Budget(milliseconds=1e-9))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=12))
def test_the_front_is_what_nothing_is_worth_more_than(values):
    candidates = [
        Candidate(
            backbone=UNet(base=number + 1),
            parameters=parameters,
            work=Work(macs=macs, activation_bytes=1, layers=1, grouped=0.0),
            measured=float(ms),
        )
        for number, (parameters, macs, ms) in enumerate(values)
    ]
    front = {one.backbone.base - 1 for one in pareto(candidates)}
    for number, (p, m, t) in enumerate(values):
        beaten = any(q >= p and n >= m and u <= t and (q, n, u) != (p, m, t) for q, n, u in values)
        assert (number in front) is not beaten


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_a_law_of_the_models_form_is_found_again_and_noise_is_its_error(seed):
    numbers = np.random.default_rng(seed)
    works = [
        Work(
            macs=int(10 ** numbers.uniform(7, 10)),
            activation_bytes=int(10 ** numbers.uniform(6, 9)),
            layers=int(numbers.integers(10, 80)),
            grouped=float(numbers.uniform(0, 1)),
        )
        for _ in range(40)
    ]
    exact = LatencyModel.fit(works, [law(work) for work in works])
    assert exact.error < 0.02
    fresh = Work(macs=5 * 10**8, activation_bytes=5 * 10**7, layers=30, grouped=0.4)
    assert exact.milliseconds(fresh) == pytest.approx(law(fresh), rel=0.05)
    noisy = LatencyModel.fit(works, [law(work) * math.exp(numbers.normal(0, 0.3)) for work in works])
    assert 0.08 < noisy.error < 0.5


def test_a_networks_line_makes_it_again():
    backbone = UNet(base=12, stem_stride=2, block="depthwise")
    line = recipe_line(backbone, REGISTRY)
    assert tomllib.loads(f"backbone = {line}")["backbone"] == {
        "use": "unet",
        "base": 12,
        "stem_stride": 2,
        "block": "depthwise",
    }


def test_the_picture_shows_the_front(lawful):
    found = search(Budget(parameters=20_000))
    picture = draw_front(found, Budget(milliseconds=1.0))
    assert picture.dtype == np.uint8
    assert ((picture == (0, 114, 178)).all(2)).sum() > 20 * len(found.front)


def test_the_family_of_unets_spans_what_students_may_be():
    family = [*UNet.variants()]
    assert len(set(family)) == len(family) > 500
    with torch.device("meta"):
        sizes = [
            sum(weight.numel() for weight in UNet(base=base, downsamplings=2).build(CTX).parameters())
            for base in (4, 64)
        ]
    assert sizes[0] < 10_000
    assert sizes[1] > 1_000_000
