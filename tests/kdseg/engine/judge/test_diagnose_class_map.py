"""A frozen participant of other classes is diagnosed in the dataset's, against sums written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rich.console import Console

from kdseg.components import BackboneContext, DatasetContext
from kdseg.engine.judge.arms import arms_of
from kdseg.engine.judge.diagnose import diagnose
from kdseg.engine.judge.trials import find_trials
from kdseg.errors import KdsegError

THEIRS = ("sky", "rose", "leaf", "moss", "wine")
OURS = ("red", "green", "blue")
WHOLE = {"rose": "red", "wine": "red", "leaf": "green", "sky": "blue"}
PARTIAL = {"rose": "red", "wine": "red", "moss": "blue"}
RECIPE = """
[train]
steps = 1
batch_size = 4
[data]
dataset = {{ use = "squares", images = 6 }}
[models.teacher]
frozen = true
backbone = {{ use = "tiny", width = 6 }}
weights = {{ {weights} }}
classes = ["sky", "rose", "leaf", "moss", "wine"]
class_map = {{ {told} }}
[models.student]
backbone = "tiny"
[terms.labels]
learner = "student"
loss = "cross_entropy"
[terms.mimic]
learner = "student"
source = "teacher"
loss = "pixel_kl"
"""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture
def finished(load, train):
    """Run the recipe with a map; give the run and the teacher's network."""

    def finished(class_map):
        told = ", ".join(f'{their} = "{our}"' for their, our in class_map.items())
        text = RECIPE.format(weights='file = "theirs.pth"', told=told)
        backbone = load(text).recipe.models["teacher"].backbone
        torch.manual_seed(5)
        network = backbone.build(BackboneContext(in_channels=3, num_classes=5)).eval()
        torch.nn.init.normal_(network.head.weight)
        torch.save(network.state_dict(), "theirs.pth")
        return train(text), network

    return finished


def found(name, run, *models, **options):
    return diagnose(
        name,
        arms_of({"trials": [run.folder] * len(models)}),
        models=list(models),
        settings=[],
        split="val",
        which="last",
        images=None,
        batch_size=2,
        trust_code=False,
        console=Console(quiet=True),
        **options,
    )


def by_hand(network, sample, class_map):
    """Give the probability of each of our classes at each pixel, H×W×3: 0 for one that the network does not know."""
    seen = (sample.image / 255.0 - np.array(MEAN)) / np.array(STD)
    with torch.no_grad():
        logits = network(torch.from_numpy(seen).permute(2, 0, 1)[None].float())[0].double().numpy()
    told = np.zeros((*sample.mask.shape, len(OURS)))
    for y, x in np.ndindex(sample.mask.shape):
        weights = [math.exp(value - logits[:, y, x].max()) for value in logits[:, y, x]]
        for their, weight in zip(THEIRS, weights, strict=True):
            if their in class_map:
                told[y, x, OURS.index(class_map[their])] += weight
    return told / told.sum(-1, keepdims=True)


@pytest.mark.parametrize("class_map", [WHOLE, PARTIAL], ids=["whole", "partial"])
def test_numbers_are_those_of_sums_by_hand(finished, load, class_map):
    run, network = finished(class_map)
    dataset = load((run.folder / "recipe.toml").read_text()).recipe.data.dataset
    known = {OURS.index(our) for our in class_map.values()}
    losses, right = [], []
    samples = dataset.build(DatasetContext(split="val", seed=0))
    for sample in (samples[index] for index in range(len(samples))):
        told = by_hand(network, sample, class_map)
        for y, x in np.ndindex(sample.mask.shape):
            label = int(sample.mask[y, x])
            if label in known:
                losses.append(-math.log(told[y, x, label]))
                right.append(int(told[y, x].argmax()) == label)
    findings = found("teachability", run, "teacher")
    assert findings.scalars["pixels"] == len(losses) > 0
    assert findings.scalars["nll"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert findings.scalars["accuracy"] == pytest.approx(np.mean(right), abs=1e-9)
    assert [*findings.tables["class"]] == [OURS[number] for number in sorted(known)]
    lacking = [note for note in findings.notes if note.startswith("Not all of these networks know green: ")]
    assert len(lacking) == (class_map is PARTIAL)


def test_others_are_asked_about_the_classes_alone_that_all_know(finished):
    run, _ = finished(PARTIAL)
    alone, beside = found("teachability", run, "teacher"), found("teachability", run, "teacher", "student")
    assert beside.scalars["nll"] == alone.scalars["nll"]
    both = found("biasvar", run, "student", "teacher")
    swapped = found("biasvar", run, "teacher", "student")
    assert both.scalars == pytest.approx(swapped.scalars, rel=1e-9, nan_ok=True)
    assert not {name: value for name, value in both.scalars.items() if name != "pixels" and value > 100}


def test_weights_of_a_run_are_told_in_the_dataset_s_classes_too(finished, load, train):
    """Of a run, not a file, they are found by its card; there the classes are as its own dataset's."""
    text = '[models.elder]\nbackbone = "tiny"\n[terms.labels]\nlearner = "elder"\nloss = "cross_entropy"\n'
    elder = train(text)
    told = RECIPE.format(weights=f'run = "{elder.folder}", model = "elder"', told='red = "blue", blue = "red"')
    told = told.replace("classes = [", "# ").replace(", width = 6", "")
    run = train(told)
    (trial,) = find_trials([run.folder], ["teacher"], "last", trust_code=True).each
    (own,) = find_trials([elder.folder], ["elder"], "best", trust_code=True).each
    assert (trial.classes, trial.known) == (OURS, {0, 2})
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs, ours = (one.network()(images).softmax(1) for one in (own, trial))
    torch.testing.assert_close(ours[:, [2, 0]], theirs[:, [0, 2]] / theirs[:, [0, 2]].sum(1, keepdim=True))
    assert ours[:, 1].max() == 0


@pytest.mark.parametrize("class_map", [WHOLE, PARTIAL], ids=["whole", "partial"])
def test_as_a_reference_it_is_told_in_the_dataset_s_classes_too(finished, load, class_map):
    run, network = finished(class_map)
    dataset = load((run.folder / "recipe.toml").read_text()).recipe.data.dataset
    samples = dataset.build(DatasetContext(split="val", seed=0))
    known = sorted({OURS.index(our) for our in class_map.values()})
    entropies = []
    for sample in (samples[index] for index in range(len(samples))):
        told = by_hand(network, sample, class_map)[np.isin(sample.mask, known)][:, known]
        entropies.extend(-(told * np.log(told)).sum(-1))
    findings = found("biasvar", run, "student", "teacher", reference=run.folder, reference_model="teacher")
    noise = findings.scalars["reference_noise"]
    assert noise == pytest.approx(np.mean(entropies), rel=1e-4)


def test_a_participant_is_named_of_a_run_alone(finished):
    run, _ = finished(WHOLE)
    with pytest.raises(KdsegError, match="--reference-model names a participant of the run that --reference gives"):
        found("biasvar", run, "student", "student", reference_model="teacher")
    folder = run.folder / "models" / "student"
    with pytest.raises(KdsegError, match=r"is one model's folder, in which no model can be named \('teacher'\)"):
        found("biasvar", run, "student", "student", reference=folder, reference_model="teacher")


def test_networks_that_have_no_two_classes_in_common_are_refused(finished):
    one, _ = finished({"rose": "red", "leaf": "green"})
    other, _ = finished({"rose": "blue", "leaf": "green"})
    words = {"settings": [], "split": "val", "which": "last", "images": None, "batch_size": 2, "trust_code": False}
    arms = arms_of({"trials": [one.folder, other.folder]})
    with pytest.raises(KdsegError, match="have too few classes in common: green; two is the least"):
        diagnose("biasvar", arms, models=["teacher"], console=Console(quiet=True), **words)
