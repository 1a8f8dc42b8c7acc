"""What a run tells of its terms' gradients, and losses that are computed together."""

from __future__ import annotations

import logging

import pytest
import torch
import torch.nn.functional as F

HEAD = """
[models.teacher]
backbone = { use = "tiny", width = 6 }
optimizer = { use = "SGD", lr = 0.0 }
[models.student]
backbone = "tiny"
optimizer = { use = "SGD", lr = 0.05 }
[terms.teacher]
learner = "teacher"
loss = "cross_entropy"
[terms.labels]
learner = "student"
loss = "cross_entropy"
[callbacks.precise]
use = "float64"
"""
MIMIC = """
[terms.mimic]
learner = "student"
source = "teacher"
loss = "pixel_kl"
weight = 0.5
"""
FEATURES = """
[terms.features]
learner = "student"
source = "teacher"
loss = { use = "feature_mimic", norm = "group" }
weight = 2.0
[terms.small]
learner = "student"
loss = "small_features"
"""


def cosine(one, other):
    return (one.flatten() @ other.flatten() / (one.norm() * other.norm())).item()


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_cosines_are_those_at_the_deepest_place_that_two_terms_share(load, train, by_hand, lines, micro_batches):
    """Two losses on logits meet there; a loss on a tap meets one on logits at the tap, through the decoder."""
    recipe = HEAD + MIMIC + FEATURES
    told = lines(train(recipe, f"train.micro_batches={micro_batches}"), "step")[0]
    hand = by_hand(load(recipe))
    teacher, student = hand.network("teacher"), hand.network("student")
    images, target = next(hand.batches(1))
    wanted = teacher.encoder(images), teacher(images)
    features = student.encoder(images)
    student.encoder = torch.nn.Identity()
    logits = student(features)
    valid = (target != 255).unsqueeze(1)
    divergence = F.kl_div(logits.log_softmax(1), wanted[1].log_softmax(1), log_target=True, reduction="none")
    projector = hand.loss("features", 4, 6).projector
    terms = {
        "labels": F.cross_entropy(logits, target, ignore_index=255),
        "mimic": 0.5 * (divergence * valid).sum() / valid.sum(),
        "features": 2 * (projector(features) - wanted[0]).square().mean(),
        "small": features.square().mean(),
    }
    at_logits = {name: torch.autograd.grad(terms[name], logits, retain_graph=True)[0] for name in ("labels", "mimic")}
    at_tap = {name: torch.autograd.grad(term, features, retain_graph=True)[0] for name, term in terms.items()}
    found = {name: value for name, value in told.items() if name.startswith("cosine/")}
    assert found == {
        "cosine/labels+mimic": pytest.approx(cosine(at_logits["labels"], at_logits["mimic"]), abs=1e-5),
        "cosine/labels+features": pytest.approx(cosine(at_tap["labels"], at_tap["features"]), abs=1e-5),
        "cosine/labels+small": pytest.approx(cosine(at_tap["labels"], at_tap["small"]), abs=1e-5),
        "cosine/mimic+features": pytest.approx(cosine(at_tap["mimic"], at_tap["features"]), abs=1e-5),
        "cosine/mimic+small": pytest.approx(cosine(at_tap["mimic"], at_tap["small"]), abs=1e-5),
        "cosine/features+small": pytest.approx(cosine(at_tap["features"], at_tap["small"]), abs=1e-5),
    }
    norms = at_logits | {name: at_tap[name] for name in ("features", "small")}
    for name, gradient in norms.items():
        assert told[f"grad/{name}"] == pytest.approx(gradient.norm().item(), rel=1e-5)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_processes_tell_what_one_tells(processes, train, lines):
    recipe = HEAD + MIMIC + FEATURES
    shared, alone = (lines(run, "step")[0] for run in (processes(2, recipe), train(recipe, name="alone")))
    for name in alone:
        if name.startswith(("cosine/", "grad/")):
            assert shared[name] == pytest.approx(alone[name], rel=1e-5), name


DEAF = '[terms.deaf]\nlearner = "student"\nloss = "deaf"\n'


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_term_may_have_no_gradient_in_some_processes(processes, load, by_hand, lines):
    """The first process, which alone has one, sees the first half of the batch. Each mean is half of the step's."""
    recipe = HEAD + DEAF
    told = lines(processes(2, recipe), "step")[0]
    hand = by_hand(load(recipe))
    images, target = next(hand.batches(1))
    logits = hand.network("student")(images)
    labels = F.cross_entropy(logits, target, ignore_index=255)
    deaf = logits[: len(logits) // 2].square().mean() / 4
    one, other = (torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in (labels, deaf))
    assert told["grad/deaf"] == pytest.approx(other.norm().item(), rel=1e-5)
    mine = one[: len(logits) // 2]  # where there is a cosine
    assert told["cosine/labels+deaf"] == pytest.approx(cosine(mine, other[: len(logits) // 2]), abs=1e-5)


def test_the_recipe_says_how_often(train, lines):
    def looks(*settings):
        run = train(HEAD + MIMIC, *settings)
        return [line["step"] for line in lines(run, "step") if "grad/labels" in line]

    assert looks() == [1]
    assert looks("tracking.insight_every=3") == [1, 4, 7]
    assert looks("tracking.insight_every=0") == []


FUSIBLE = '[terms.squares]\nlearner = "student"\nloss = "fusible"\nweight = 0.1\n'


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_losses_computed_together_take_the_same_step(train, weights, assert_same, lines, caplog, micro_batches):
    """Values, too; and where gradients of single terms are looked at, they are computed one by one."""
    recipe = HEAD + FEATURES + FUSIBLE
    runs = []
    for fuse, insight in (("off", 0), ("auto", 0), ("torch", 2)):
        with caplog.at_level(logging.INFO, "kdseg"):
            settings = (f"train.fuse='{fuse}'", f"tracking.insight_every={insight}")
            runs.append(train(recipe, *settings, f"train.micro_batches={micro_batches}"))
        told = [record.getMessage() for record in caplog.records if "computed" in record.getMessage()]
        assert told == ([] if fuse == "off" else ["terms.squares and terms.labels: computed together"])
        caplog.clear()
    plain = lines(runs[0], "step")
    for run in runs[1:]:
        assert_same(weights(run, "student"), weights(runs[0], "student"), 1e-6)
        for found, wanted in zip(lines(run, "step"), plain, strict=True):
            values = {name for name in wanted if "/" in name}
            assert {name: found[name] for name in values} == pytest.approx({name: wanted[name] for name in values})
