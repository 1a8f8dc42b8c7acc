"""Each runtime has the network as its name says."""

from __future__ import annotations

import pytest
import torch

from kdseg.engine.profile.profile import subject_of_backbone, subject_of_run
from kdseg.engine.profile.runtimes import prediction, runtime
from kdseg.plugins import load_plugins

SIZE = (48, 64)
NCHW, NHWC = (3 * 48 * 64, 48 * 64, 64, 1), (3 * 48 * 64, 1, 3 * 64, 3)
"""Strides of an image 1×3×48×64 in the two layouts."""
JOB = """
[models.student]
backbone = { use = "unet", base = 4, downsamplings = 1 }
[terms.labels]
learner = "student"
loss = "cross_entropy"
"""


@pytest.fixture(params=["run", "backbone"])
def subject(request, train):
    if request.param == "backbone":
        return subject_of_backbone("unet", ["base=4", "downsamplings=1"], 3)
    run = train(JOB, "train.steps=1")
    return subject_of_run(run.folder, model=None, trust_code=False)


def in_layout(weights, order):
    """Tell which weights of wide kernels and several channels lie in an order of dimensions, the slowest first."""
    for weight in weights:
        if weight.dim() == 4 and min(weight.shape[1:]) > 1:
            steps = [weight.stride(dimension) for dimension in order]
            yield steps == sorted(steps, reverse=True)


@pytest.mark.parametrize(
    ("name", "images", "weights"), [("eager", NCHW, (0, 1, 2, 3)), ("channels_last", NHWC, (0, 2, 3, 1))]
)
def test_images_and_weights_lie_in_the_layout_that_is_measured(subject, name, images, weights):
    seen = []
    with runtime(name, size=SIZE, device=torch.device("cpu"), registry=load_plugins().registry) as make:
        model = make(subject.network, subject.card)
    model.network.register_forward_pre_hook(lambda _, taken: seen.append(taken[0].stride()))
    prediction(model, torch.zeros(1, 3, *SIZE, dtype=torch.uint8))()
    assert seen == [images]
    found = list(in_layout(model.network.parameters(), weights))
    assert len(found) > 3
    assert all(found)
