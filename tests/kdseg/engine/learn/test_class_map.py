"""A frozen teacher whose classes are others than the dataset's, against loops written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from kdseg.components import BackboneContext
from kdseg.engine.check.phases import check
from kdseg.engine.learn.class_map import ClassMap, Known
from kdseg.engine.learn.participants import Participant
from kdseg.engine.run.start import run_recipe
from kdseg.errors import KdsegError
from kdseg.losses import Prediction
from kdseg.recipe.load import load_recipe

THEIRS = ("sky", "rose", "leaf", "moss", "wine")
WHOLE = {"rose": "red", "wine": "red", "leaf": "green", "moss": "green", "sky": "blue"}
DROPPING = {"rose": "red", "leaf": "green", "sky": "blue"}
PARTIAL = {"rose": "red", "wine": "red", "moss": "green"}
OURS = ("red", "green", "blue")
RECIPE = """
[models.teacher]
frozen = true
backbone = {{ use = "tiny", width = 6 }}
weights = {{ file = "theirs.pth" }}
classes = {classes}
class_map = {{ {class_map} }}
[models.student]
backbone = "tiny"
optimizer = {{ use = "AdamW", lr = 0.01 }}
[terms.labels]
learner = "student"
loss = "cross_entropy"
[terms.mimic]
learner = "student"
source = "teacher"
loss = {{ use = "pixel_kl", temperature = 2.0 }}
{extra}
[callbacks.precise]
use = "float64"
"""


def recipe(class_map, extra="", classes=THEIRS):
    told = ", ".join(f'{their} = "{our}"' for their, our in class_map.items())
    return RECIPE.format(classes=[*classes], class_map=told, extra=extra).replace("'", '"')


@pytest.fixture(autouse=True)
def made_float64(monkeypatch):
    """Let the callback change the frozen network, which a run would notice."""
    monkeypatch.setattr(Participant, "digest", lambda _self: "")


@pytest.fixture
def teacher(load):
    """A network of five classes, whose weights lie in ``theirs.pth``."""
    backbone = load(recipe(WHOLE)).recipe.models["teacher"].backbone
    torch.manual_seed(5)
    network = backbone.build(BackboneContext(in_channels=3, num_classes=5))
    torch.nn.init.normal_(network.head.weight)
    torch.save(network.state_dict(), "theirs.pth")
    return network.double()


def by_loops(logits, class_map):
    """Sum the probabilities of each of our classes, pixel by pixel; 0 for one that nothing maps to."""
    logits = logits.numpy().astype(np.float64)
    found = np.zeros((logits.shape[0], len(OURS), *logits.shape[2:]))
    for n, y, x in np.ndindex(logits.shape[0], *logits.shape[2:]):
        weights = [math.exp(value - logits[n, :, y, x].max()) for value in logits[n, :, y, x]]
        kept = sum(weight for their, weight in zip(THEIRS, weights, strict=True) if their in class_map)
        for their, weight in zip(THEIRS, weights, strict=True):
            if their in class_map:
                found[n, OURS.index(class_map[their]), y, x] += weight / kept
    return torch.from_numpy(found)


def map_of(class_map):
    members = tuple(tuple(n for n, their in enumerate(THEIRS) if class_map.get(their) == our) for our in OURS)
    return ClassMap(members=members, size=len(THEIRS))


@pytest.mark.parametrize("class_map", [WHOLE, DROPPING, PARTIAL], ids=["whole", "dropping", "partial"])
def test_probabilities_are_summed_and_scaled_as_by_loops(class_map):
    logits = torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 5
    classes = map_of(class_map)
    found = classes.logits(logits)
    torch.testing.assert_close(found.exp(), by_loops(logits, class_map), rtol=1e-12, atol=1e-14)
    assert classes.is_whole == (class_map is not PARTIAL)
    huge = classes.logits(torch.tensor([1e4, 0.0, -1e4, 0.0, 0.0]).view(1, 5, 1, 1).bfloat16())
    assert (huge.dtype, bool(huge.isfinite().all())) == (torch.float32, True)


def test_further_heads_of_the_same_shape_are_told_likewise():
    logits, edge = torch.randn(1, 5, 4, 4), torch.randn(1, 1, 4, 4)
    told = map_of(WHOLE).prediction(Prediction(logits=logits, heads={"branch": logits + 1, "edge": edge}))
    torch.testing.assert_close(told.heads["branch"], told.logits)
    assert told.heads["edge"] is edge


def test_labels_of_classes_that_are_not_known_are_ignored():
    known = Known.of((0, 2), torch.device("cpu"))
    assert known.target(torch.tensor([[[0, 1, 2, 255]]])).tolist() == [[[0, 255, 1, 255]]]


@pytest.mark.parametrize("on_all", [False, True], ids=["labelled", "all"])
@pytest.mark.parametrize("class_map", [WHOLE, DROPPING, PARTIAL], ids=["whole", "dropping", "partial"])
def test_steps_are_those_of_a_loop(teacher, load, train, by_hand, weights, assert_same, hands, class_map, on_all):
    text = recipe(class_map, 'on = "all"' if on_all else "")
    hand = by_hand(load(text))
    student = hands.Hand(hand.network("student"), 0.01, 8)
    known = sorted({OURS.index(our) for our in class_map.values()})
    for images, target in hand.batches(8):
        mine = student.study(images)
        with torch.no_grad():
            wanted = by_loops(teacher.eval()(images), class_map)[:, known].log()
        counts = torch.isin(target, torch.tensor(known)) | (on_all & (target == 255))
        place = torch.where(counts, 0, 255)
        student.learn(hands.labels(mine, target), hands.divergence(mine[:, known], wanted, place, 2.0))
    run = train(text)
    assert_same(weights(run, "student"), student.network.state_dict(), 1e-9)


def test_micro_batches_do_not_change_the_step_where_the_source_does_not_know_all(teacher, train, weights, assert_same):
    whole, parts = (weights(train(recipe(PARTIAL), f"train.micro_batches={n}"), "student") for n in (1, 4))
    assert_same(parts, whole, 1e-9)


@pytest.mark.parametrize("class_map", [WHOLE, PARTIAL], ids=["whole", "partial"])
def test_losses_computed_together_give_the_same(teacher, train, weights, assert_same, class_map):
    text = recipe(class_map).partition("[callbacks.precise]")[0]
    apart, together = (weights(train(text, f"train.fuse={fuse}"), "student") for fuse in ("off", "torch"))
    assert_same(together, apart, 1e-4)


def test_what_it_does_not_know_and_what_it_knows_in_vain_is_told_by_check(teacher, load):
    lacks, vain = (line for line in check(load(recipe(PARTIAL))).warnings if "class_map" in line)
    assert lacks.startswith("models.teacher.class_map: 'teacher' does not know blue: its terms leave out pixels with")
    assert vain == "models.teacher.class_map: nothing is made of sky, leaf"
    assert not [line for line in check(load(recipe(WHOLE))).warnings if "class_map" in line]


def test_its_score_is_told_in_the_classes_of_the_dataset(teacher, train, lines):
    run = train(recipe(WHOLE))
    first = next(line for line in lines(run) if any(key.startswith("val/teacher") for key in line))
    assert 0 <= first["val/teacher/miou"] <= 1


def refusal(load, text, *settings):
    with pytest.raises(KdsegError) as caught:
        check(load(text, *settings))
    return str(caught.value).partition(": ")[2]


@pytest.mark.parametrize(
    ("class_map", "classes", "told"),
    [
        ({"rsoe": "red"}, THEIRS, "class_map: the source has no class 'rsoe'; did you mean 'rose'?"),
        ({"rose": "rde"}, THEIRS, "class_map: the dataset has no class 'rde'; did you mean 'red'?"),
        ({"rose": "violet"}, THEIRS, "class_map: the dataset has no class 'violet'; it has red, green, blue"),
        (
            {"rose": "red", "wine": "red"},
            THEIRS,
            "class_map: all becomes 'red'; a source tells two classes apart at least",
        ),
        (WHOLE, ("rose", *THEIRS[1:]), "classes: names 'rose' more than once"),
    ],
)
def test_classes_that_are_not_there_are_told(teacher, load, class_map, classes, told):
    assert refusal(load, recipe(class_map, classes=classes)).startswith(f"models.teacher.{told}")


def test_a_network_of_another_number_of_classes_is_told_by_its_file(teacher, load):
    told = refusal(load, recipe(DROPPING, classes=THEIRS[:4]))
    assert "head.weight is [5, 12, 1, 1] in the file, [4, 12, 1, 1] in the network" in told


def test_a_file_needs_its_classes_said(teacher, load):
    text = recipe(WHOLE).replace("classes = ", "# ", 1)
    assert refusal(load, text).startswith("models.teacher.class_map: its classes are not known: say `classes`")


def test_classes_that_nothing_maps_are_refused(teacher, load):
    text = recipe(WHOLE).replace("class_map = ", "# ", 1)
    assert refusal(load, text).startswith("models.teacher: classes: only with class_map, which says what they are")


def test_a_gate_cannot_read_one_that_does_not_know_all(teacher, load):
    turns = '[turns]\norder = ["a", "b"]\ngate = { use = "switokd", student = "student", teacher = "teacher" }\n'
    with pytest.raises(KdsegError, match=r"turns\.gate: reads 'teacher', which does not know all classes"):
        check(load(turns + recipe(PARTIAL, 'turn = "a"')))


def test_one_that_does_not_know_all_is_none_of_several_sources(teacher, load):
    several = '[models.twin]\nbackbone = "tiny"\n[terms.twin]\nlearner = "twin"\nloss = "cross_entropy"\n'
    text = recipe(PARTIAL, 'combine = "probabilities"').replace('source = "teacher"', 'source = ["teacher", "twin"]')
    assert refusal(load, several + text).startswith("terms.mimic.loss: its source 'teacher' does not know all classes")
    text = recipe(WHOLE, 'combine = "probabilities"').replace('source = "teacher"', 'source = ["teacher", "twin"]')
    check(load(several + text))


OTHER = """
from typing import ClassVar

from attrs import frozen

from kdseg import ClassTable, hookimpl
from parts import Squares

@frozen(kw_only=True)
class Garden(Squares):
    \"""The same squares by other names.\"""

    name: ClassVar[str] = "garden"

    def class_table(self):
        return ClassTable(names=("rose", "leaf", "sea"), colours=((255, 0, 0), (0, 255, 0), (0, 0, 255)))

@hookimpl
def kdseg_datasets():
    return [Garden]
"""


def test_the_classes_of_a_runs_teacher_are_those_of_its_card(load, train, folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    (folder / "garden.py").write_text(OTHER, encoding="utf-8")
    plugins = 'plugins=["parts.py", "part_losses.py", "garden.py"]'
    own = '[models.teacher]\nbackbone = "tiny"\n[terms.labels]\nlearner = "teacher"\nloss = "cross_entropy"\n'
    trained = run_recipe(load(own, plugins, "data.dataset=garden", name="theirs")).folder
    text = recipe({"rose": "red", "sea": "blue"}).replace("classes = ", "# ", 1).replace(", width = 6", "")
    text = text.replace('file = "theirs.pth"', f'run = "{trained}"')
    run = train(text)
    saved = load_recipe(run.folder / "recipe.toml")
    assert saved.recipe.models["teacher"].classes == ("rose", "leaf", "sea")
    run_recipe(saved)
    wrong = refusal(load, text.replace("class_map", 'classes = ["rose", "sea", "leaf"]\nclass_map', 1))
    assert "trains on 3 classes (rose, leaf, sea); models.teacher.classes names 3 (rose, sea, leaf)" in wrong
