"""The estimate of a step's memory, against what autograd really keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kdseg.components import BackboneContext
from kdseg.engine.check.memory import step_memory
from kdseg.engine.learn.participants import Participant
from kdseg.engine.machine.gpus import available_memory
from kdseg.plugins import load_plugins
from kdseg.recipe.schema import Frozen, Learner, Weights

BATCH, SIZE = 2, (64, 96)


@pytest.fixture
def backbone():
    return load_plugins().registry.find("backbone", "unet").cls


def participant(spec, component, device):
    with torch.device(device):
        module = component.build(BackboneContext(in_channels=3, num_classes=19))
    return Participant(name="student", spec=spec, backbone=component, module=module)


def kept_by_autograd(module):
    """Bytes of all tensors that backward would read, each memory counted once, without the weights themselves."""
    kept, weights = {}, {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = module(torch.rand(BATCH, 3, *SIZE))  # alive until all is counted
        total = sum(kept.values())
    del output
    return total


@pytest.mark.parametrize("options", [{"base": 8}, {"base": 24, "downsamplings": 3}, {"base": 16, "stem_stride": 2}])
def test_a_learners_estimate_is_right_within_a_factor_of_two(backbone, options):
    component = backbone(**options)
    spec = Learner(backbone=component)
    estimate = step_memory({"student": participant(spec, component, "meta")}, BATCH, SIZE)
    real = participant(spec, component, "cpu").module
    weights = sum(parameter.nbytes for parameter in real.parameters())
    truth = 4 * weights + kept_by_autograd(real)  # weights, gradients and AdamW's two moments
    assert truth / 2 < estimate < truth * 2


def test_a_frozen_participant_takes_its_weights_alone(backbone):
    component = backbone(base=8)
    spec = Frozen(backbone=component, weights=Weights(run="runs/teacher"))
    estimate = step_memory({"teacher": participant(spec, component, "meta")}, BATCH, SIZE)
    assert estimate == sum(tensor.nbytes for tensor in participant(spec, component, "cpu").module.state_dict().values())


def test_files_that_the_system_keeps_in_memory_count_as_free():
    """On a machine that has read much, little is unused, and nearly all can be had."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    kilobytes = {name: int(amount.split()[0]) for name, amount in (line.split(":") for line in lines)}
    assert available_memory() == pytest.approx(1024 * kilobytes["MemAvailable"], rel=0.1)
