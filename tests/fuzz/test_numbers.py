"""Every number of a recipe at the ends of what can be written: refused, or listed here with what it means."""

from __future__ import annotations

import copy
import math
import tomllib
from pathlib import Path

import pytest

from kdseg.components import Callback
from kdseg.errors import KdsegError
from kdseg.options import component_options
from kdseg.plugins import load_plugins
from kdseg.recipe.layers import remember
from kdseg.recipe.load import load_recipe
from kdseg.recipe.merge import normalise
from kdseg.recipe.schema import Recipe
from kdseg.recipe.single import component_from_plain
from kdseg.recipe.structure import structure
from kdseg.recipe.values import Mistakes

ENDS = [math.nan, math.inf, -math.inf, -1, 0, 2**63 - 1, 1e30]
DOCUMENT = tomllib.loads((Path(__file__).parents[2] / "docs/reference_recipe.toml").read_text(encoding="utf-8"))
HUGE = 2**63 - 1
MEANT = {
    "seed": [0, HUGE],
    "train.workers": [0],  # this process loads
    "data.seed": [0, HUGE],
    "data.resample.trial": [0],
    "data.mean.0": [0],
    "data.mean.1": [0],
    "data.mean.2": [0],
    "models.teacher.clip": [HUGE, 1e30],  # no clipping
    "models.elder.floor": [0],  # any score will do
    "data.unlabelled.dataset.seed": [0, HUGE],
    "terms.student-labels.weight": [0],  # `check` tells where a term never counts
    "terms.mimic.weight.from": [0],
    "terms.mimic.weight.to": [0],
    "terms.listen.weight.at.0": [0],
    "terms.listen.weight.value.0": [0],
    "terms.listen.weight.value.1": [0],
    "terms.whole.weight": [0],
    "terms.doubt.weight": [0],
    "data.rare_classes.min_share": [0],  # a pixel is enough
    "data.rare_classes.min_crop_share": [0],
    "evaluate.overlap": [0],
    "evaluate.every": [HUGE],  # at the end alone
    "checkpoint.every": [HUGE],
    "tracking.insight_every": [0],  # never
    "checkpoint.keep": [HUGE],  # all of them
    "callbacks.best.keep": [HUGE],
}
"""Numbers of the schema that are accepted; those of classes by name are tried below."""
MEANT_OPTIONS = {
    "kdseg/unet.dropout": [0],
    "kdseg/unet1m.dropout": [0],
    "kdseg/unet1m_fast.dropout": [0],
    "kdseg/unet70m.dropout": [0],
    "kdseg/unet_branches.dropout": [0],
    "kdseg/unet_student_friendly.dropout": [0],
    "kdseg/synthroad.seed": [0, HUGE],
    "kdseg/synthroad.label_flips": [0],
    "kdseg/synthroad.label_jitter": [0],
    "kdseg/focal.gamma": [0],  # cross-entropy
    "kdseg/ohem_cross_entropy.keep": [0],  # the threshold alone
    "kdseg/cross_entropy.label_smoothing": [0],
    "kdseg/curriculum_kl.ramp": [0],  # it learns from the first step on
    "kdseg/boundary_kl.weight": [0],  # nothing but what is inside
    **{f"kdseg/cirkd.{part}": [0] for part in ("batch", "pixel_queue", "region_queue")},  # without that part
    **{f"kdseg/dist.{part}": [0] for part in ("beta", "gamma")},
    **{f"kdseg/dkd.{part}": [0] for part in ("alpha", "beta")},
    "kdseg/holistic.penalty": [0],
    **{f"kdseg/{sort}.mean": [[0, 0, 0]] for sort in ("exported", "onnx", "torchscript")},
    "kdseg/mgd.mask_ratio": [0],  # all cells are seen
    "kdseg/biasvar.radius": [0],  # nothing is of a boundary
    "kdseg/regularization_samples.every": [HUGE],  # at the run's end alone
    "kdseg/teachability.pixels": [HUGE],  # all
    "kdseg/teachability.radius": [0],  # nothing is of a boundary
    "kdseg/early_stopping.min_rise": [0],
    "kdseg/early_stopping.patience": [HUGE],  # it never stops
    "kdseg/checkpoint.keep": [HUGE],
    "kdseg/checkpoint.every": [0, HUGE],  # none; never
    "kdseg/gallery.every": [HUGE],  # at the run's end alone
    "kdseg/layer_images.every": [HUGE],  # likewise
    "kdseg/hardware.every": [HUGE],  # never
    "kdseg/gradient_norms.every": [HUGE],  # a learner's first step alone
    "kdseg/profiler.first": [0, HUGE],  # the first steps; the last ones
}
BY_NAME = ("optimizer", "schedule", "augment", "critic")


def numbers(value, path=()):
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(item, (*path, key))
    elif isinstance(value, int | float) and not isinstance(value, bool) and not {*BY_NAME} & {*path}:
        yield path


@pytest.mark.parametrize("path", [*numbers(DOCUMENT)], ids=lambda path: ".".join(map(str, path)))
def test_a_number_of_the_schema_is_refused_or_means_something(path):
    registry = load_plugins().registry

    def accepted(value):
        document = copy.deepcopy(DOCUMENT)
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value
        try:
            structure(normalise(remember(document, Path.cwd()), Recipe, None, registry), registry)
        except Mistakes as mistakes:
            return not any(where[:2] == tuple(map(str, path[:2])) for where, _ in mistakes.found)
        return True

    assert [value for value in ENDS if accepted(value)] == MEANT.get(".".join(map(str, path)), [])


def test_a_number_of_a_component_is_refused_or_means_something():
    registry = load_plugins().registry
    found = {}
    for entry in registry.entries:
        for option in component_options(entry.cls):
            for value in ENDS:
                for form in (value, [value], [value, value], [value, value, value]):
                    try:
                        component_from_plain({"use": entry.qualified, option.name: form}, entry.kind, registry)
                    except KdsegError:
                        continue
                    found.setdefault(f"{entry.qualified}.{option.name}", []).append(form)
    callbacks = [entry.qualified for entry in registry.entries if issubclass(entry.cls, Callback)]
    orders = {f"{name}.order": [-1, 0, HUGE] for name in callbacks}
    assert found == MEANT_OPTIONS | orders


RECIPE = """
[train]
steps = 20
batch_size = 2
workers = 0
[data]
dataset = {{ use = "synthroad", size = [32, 32], images = 4 }}
augment = [{augment}]
[models.student]
backbone = {{ use = "unet", base = 2, downsamplings = 1 }}
optimizer = {{ {optimizer} }}
schedule = {{ {schedule} }}
[terms.labels]
learner = "student"
loss = "cross_entropy"
"""
SOUND = {"optimizer": 'use = "AdamW", lr = 1e-3', "schedule": 'use = "poly"', "augment": ""}


@pytest.mark.parametrize(
    ("part", "text"),
    [
        *(("optimizer", f'use = "AdamW", lr = {lr}') for lr in ("-1", "1e-30", "1000", "1e30")),
        ("optimizer", 'use = "AdamW", maximize = true'),
        ("optimizer", 'use = "AdamW", eps = 0'),
        ("optimizer", 'use = "AdamW", eps = 1e30'),
        ("optimizer", 'use = "AdamW", weight_decay = 1000'),
        ("optimizer", 'use = "SGD", lr = 0.1, momentum = 2.0'),
        ("optimizer", 'use = "SGD", lr = 0.1, momentum = 1.0'),
        ("optimizer", 'use = "SGD", lr = 0.1, momentum = -0.5'),
        ("optimizer", 'use = "Adagrad", lr_decay = 1e30'),
        ("schedule", 'use = "poly", power = 1e30'),
        ("schedule", 'use = "poly", warmup = 1'),
        ("schedule", 'use = "StepLR", step_size = 1, gamma = 0.1'),
        ("schedule", 'use = "StepLR", step_size = 0'),
        ("schedule", 'use = "StepLR", step_size = 1, gamma = -1.0'),
        ("schedule", 'use = "ExponentialLR", gamma = 10.0'),
        ("schedule", 'use = "PolynomialLR", total_iters = 2'),
        ("schedule", 'use = "OneCycleLR", max_lr = 0.1, total_steps = 10'),
        ("augment", '{ use = "HorizontalFlip", p = 2.0 }'),
        ("augment", '{ use = "RandomScale", scale_limit = 10000 }'),
        ("augment", '{ use = "Resize", height = 1000000, width = 32 }'),
        ("augment", '{ use = "RandomBrightnessContrast", brightness_limit = [1000, 1000] }'),
        ("augment", '{ use = "GaussianBlur", sigma_limit = 0 }'),
        ("augment", '{ use = "Affine", scale = 1e30 }'),
    ],
)
def test_options_with_which_nothing_can_be_learnt_are_refused_by_check(folder, within, part, text):
    from kdseg.engine.check.phases import check

    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(**{**SOUND, part: text}))
    loaded = load_recipe(path)
    key = "data.augment.0" if part == "augment" else f"models.student.{part}"
    with within(20, text), pytest.raises(KdsegError) as caught:
        check(loaded)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("recipe.toml:")
    assert f": {key}" in line


@pytest.mark.parametrize(
    ("part", "text"), [*SOUND.items(), ("optimizer", 'use = "Adadelta"'), ("schedule", 'use = "constant"')]
)
def test_sound_options_pass_the_same_check(folder, part, text):
    from kdseg.engine.check.phases import check

    (folder / "recipe.toml").write_text(RECIPE.format(**{**SOUND, part: text}))
    check(load_recipe(folder / "recipe.toml"))


def test_the_longest_run_that_can_be_written_is_checked_at_once(folder, within):
    from kdseg.engine.check.phases import check

    (folder / "recipe.toml").write_text(RECIPE.format(**SOUND).replace("steps = 20", "steps = 1_000_000_000"))
    with within(20, "a billion steps"):
        assert check(load_recipe(folder / "recipe.toml")).plan.learner_steps == {"student": 10**9}
