"""Scores and predictions of a GPU are the CPU's, but for pixels at which two classes are as good as equal."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from accelerate.state import PartialState
from rich.console import Console

import kdseg
from kdseg.components import BackboneContext, DatasetContext
from kdseg.engine.judge.evaluate_run import evaluate_run
from kdseg.engine.judge.predict import predict_files
from kdseg.engine.machine.processes import Processes
from kdseg.recipe.schema_train import Train
from kdseg_unet import UNet1M

pytestmark = pytest.mark.gpu

TIE = 1e-3
"""Between the two greatest logits of a pixel."""
RECIPE = """
[models.student]
backbone = { use = "tiny", norm = "batch" }
optimizer = { use = "SGD", lr = 0.1, momentum = 0.9 }
[terms.labels]
learner = "student"
loss = "cross_entropy"
[train]
steps = 60
[data]
dataset = { use = "squares", images = 26 }
"""


@pytest.fixture
def run(train):
    return train(RECIPE).folder


@pytest.fixture
def images(load):
    samples = load(RECIPE).recipe.data.val.build(DatasetContext(split="val", seed=3))
    return [samples[index] for index in range(len(samples))]


def ties(logits):
    """Give where the two greatest logits of N×C×H×W are as good as equal."""
    first, second = logits.topk(2, dim=1).values.unbind(1)
    return first - second < TIE


def unit(image):
    return torch.from_numpy(image.transpose(2, 0, 1).copy()).float().unsqueeze(0) / 255


def scored(run):
    scores = evaluate_run(
        run, split="val", models=[], which="last", metrics=[], batch_size=None, views={}, console=Console(quiet=True)
    )
    return scores["student"]


def test_evaluation_scores_as_the_cpu_does(run, images, device, request):
    found = scored(run)
    assert PartialState().device.type == device.type
    request.getfixturevalue("on_the_cpu")
    wanted = scored(run)
    assert Processes.start(Train(steps=1)).device.type == "cpu"
    model = kdseg.load(run, which="last", trust_code=True)
    with torch.no_grad():
        unsure = [ties(model(unit(one.image)))[0].numpy() & (one.mask != 255) for one in images]
    doubtful, labelled = (int(sum(map(np.sum, masks))) for masks in (unsure, [one.mask != 255 for one in images]))
    rarest = min(sum((one.mask == number).sum() for one in images) for number in range(3))
    assert doubtful < 0.01 * labelled
    assert found["pixel_accuracy"] == pytest.approx(wanted["pixel_accuracy"], abs=doubtful / labelled + 1e-12)
    assert found["miou"] == pytest.approx(wanted["miou"], abs=2 * doubtful / (rarest - doubtful) + 1e-12)


def test_predicted_files_are_those_of_the_cpu(run, images, folder, tmp_path):
    paths = []
    for one in images[:8]:
        paths.append(folder / f"{one.id}.png")
        cv2.imwrite(str(paths[-1]), one.image[..., ::-1])
    predict_files(
        run,
        paths,
        tmp_path / "masks",
        model=None,
        which="last",
        trust_code=True,
        benchmark=None,
        views={},
        console=Console(quiet=True),
    )
    model = kdseg.load(run, which="last", trust_code=True)
    for one in images[:8]:
        found = cv2.imread(str(tmp_path / "masks" / f"{one.id}_mask.png"), cv2.IMREAD_UNCHANGED)
        with torch.no_grad():
            unsure = ties(model(unit(one.image)))[0].numpy()
        assert ((found == model.predict(one.image)) | unsure).all()


@pytest.mark.parametrize("size", [(352, 480), (97, 161)])
def test_a_unets_logits_and_classes_are_those_of_the_cpu(device, size):
    torch.manual_seed(0)
    network = UNet1M().build(BackboneContext(in_channels=3, num_classes=19)).eval()
    network.to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = network(images)
        found = network.to(device)(images.to(device).contiguous(memory_format=torch.channels_last)).cpu()
    largest = wanted.abs().max().item()
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * largest)
    assert ((found.argmax(1) == wanted.argmax(1)) | ties(wanted)).all()


@pytest.mark.parametrize("size", [(32, 32), (47, 61)])
def test_a_graph_of_all_kernels_predicts_what_the_cpu_does(run, size):
    """Twice at each size, the second time other images: the graph is recorded once and fed anew."""
    plain, graphed = kdseg.load(run, trust_code=True), kdseg.load(run, trust_code=True, device="cuda", optimize=True)
    for seed in (0, 1):
        images = np.random.default_rng(seed).integers(0, 256, (2, *size, 3), dtype=np.uint8)
        with torch.no_grad():
            free = ~ties(plain(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)).numpy()
        assert (graphed.predict(images) == plain.predict(images))[free].all()
