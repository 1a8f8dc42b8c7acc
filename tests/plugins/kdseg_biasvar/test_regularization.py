"""Regularization samples against their definition, by hand and by autograd, and in runs."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import pytest
import torch
from engine_runs import folder_fixture, lines_fixture, load_fixture, train_fixture  # noqa: F401 (pytest finds them)
from hypothesis import given
from hypothesis import strategies as st

import kdseg_biasvar
from kdseg.components import CallbackContext
from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError
from kdseg_biasvar import regularization
from kdseg_biasvar.callbacks import RegularizationSamples
from kdseg_biasvar.regularization import POINTS, count, label_gradients

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from kdseg.hooks import Hooks

TEMPERATURES = st.floats(0.25, 16)
NAMES = ("road", "car", "sky")
RECIPE = """
[models.teacher]
backbone = { use = "tiny", norm = "batch", dropout = 0.2 }
[models.student]
backbone = { use = "tiny", norm = "batch", dropout = 0.2 }
[terms.teacher]
learner = "teacher"
loss = "cross_entropy"
[terms.mimic]
learner = "student"
source = "teacher"
loss = "pixel_kl"
[callbacks.soft]
use = "regularization_samples"
every = 3
"""


def draw(images: int, classes: int, height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Give logits of two that agree by half, and masks."""
    numbers = torch.Generator().manual_seed(seed)
    shared, mine, its = 2 * torch.randn(3, images, classes, height, width, generator=numbers)
    masks = torch.randint(classes, (images, height, width), generator=numbers, dtype=torch.uint8)
    return shared + mine, shared + its, masks


def softmax(logits: Sequence[float]) -> list[float]:
    powers = [math.exp(logit - max(logits)) for logit in logits]
    return [power / sum(powers) for power in powers]


def pulls(learner: Sequence[float], source: Sequence[float], label: int, t: float) -> tuple[float, float]:
    """Give the gradients of both parts at one pixel, by the formulas."""
    bias = softmax(learner)[label] - 1
    mine, its = (softmax([logit / t for logit in logits])[label] for logits in (learner, source))
    return bias, t * (mine - its) - bias


@given(classes=st.integers(2, 6), temperature=TEMPERATURES, seed=st.integers(0, 99))
def test_the_gradients_are_those_of_the_losses(classes: int, temperature: float, seed: int) -> None:
    learner, source, masks = draw(1, classes, 3, 4, seed)
    mine, its = (logits[0].flatten(1).T.double() for logits in (learner, source))
    labels = masks.flatten().long()
    mine.requires_grad_()
    bias_loss = -mine.softmax(1).log()[range(len(labels)), labels].sum()
    soft_loss = -(temperature**2) * ((its / temperature).softmax(1) * (mine / temperature).softmax(1).log()).sum()
    for found, loss in zip(
        label_gradients(mine.detach(), its, labels, temperature), (bias_loss, soft_loss - bias_loss), strict=True
    ):
        (gradient,) = torch.autograd.grad(loss, mine, retain_graph=True)
        torch.testing.assert_close(found, gradient[range(len(labels)), labels], rtol=1e-9, atol=1e-12)


@given(
    images=st.integers(1, 3),
    classes=st.integers(2, 5),
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    ignored=st.sampled_from([0.0, 0.4, 1.0]),
    temperature=TEMPERATURES,
    seed=st.integers(0, 99),
)
def test_the_counts_are_those_of_a_loop_over_pixels(
    images: int, classes: int, height: int, width: int, ignored: float, temperature: float, seed: int
) -> None:
    learner, source, masks = draw(images, classes, height, width, seed)
    masks[torch.rand(masks.shape, generator=torch.Generator().manual_seed(seed)) < ignored] = IGNORE_INDEX
    labelled, regularizing, unsure = ([0] * classes for _ in range(3))
    for n in range(images):
        for y in range(height):
            for x in range(width):
                label = int(masks[n, y, x])
                if label == IGNORE_INDEX:
                    continue
                labelled[label] += 1
                a, b = pulls(learner[n, :, y, x].tolist(), source[n, :, y, x].tolist(), label, temperature)
                regularizing[label] += abs(b) > abs(a)
                unsure[label] += math.isclose(abs(a), abs(b), rel_tol=1e-9)
    found_labelled, found = count(learner, source, masks, temperature)
    assert found_labelled == labelled
    assert all(abs(f - r) <= u for f, r, u in zip(found, regularizing, unsure, strict=True))


@given(seed=st.integers(0, 99))
def test_without_softening_they_are_where_the_learner_is_surer_of_the_label_than_its_source(seed: int) -> None:
    learner, source, masks = draw(2, 4, 5, 6, seed)
    at = masks.long().unsqueeze(1)
    surer = learner.double().softmax(1).gather(1, at) > source.double().softmax(1).gather(1, at)
    assert count(learner, source, masks, 1.0)[1] == torch.bincount(at[surer], minlength=4).tolist()


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_a_learner_that_equals_its_source_has_none(temperature: float) -> None:
    logits, _, masks = draw(2, 4, 5, 6)
    assert sum(count(logits, logits.clone(), masks, temperature)[1]) == 0


class FakeRun(SimpleNamespace):
    """A `kdseg.RunView` whose networks answer each step otherwise, and always alike."""

    def __init__(self, folder: Path, *, is_main: bool = True, total_steps: int = 20) -> None:
        super().__init__(
            step=0,
            total_steps=total_steps,
            participants={"teacher": None, "student": None},
            classes=SimpleNamespace(names=NAMES),
            pictures=folder,
            is_main=is_main,
            batch=None,
            asked=[],
            recorded=[],
        )

    def predict(self, participant: str, images: Any) -> Tensor:
        assert images is self.batch.images
        self.asked.append((self.step, participant))
        return draw(2, 3, 4, 4, seed=self.step)[participant == "teacher"]

    def record(self, name: str, value: float) -> None:
        self.recorded.append((self.step, name, value))

    def take(self, hooks: Hooks, steps: int) -> None:
        for _ in range(steps):
            self.step += 1
            masks = draw(2, 3, 4, 4, seed=self.step)[2]
            masks[masks == 2] = IGNORE_INDEX  # of the third class there is nothing
            self.batch = SimpleNamespace(images=object(), masks=masks)
            hooks.on_step_end(self)


def built(**options: Any) -> Hooks:
    return RegularizationSamples(**options).build(CallbackContext(label="soft", metric="miou"))


def test_the_hook_hands_over_the_callback() -> None:
    assert list(kdseg_biasvar.kdseg_callbacks()) == [RegularizationSamples]


def test_the_plugin_loads_no_torch() -> None:
    code = "import kdseg_biasvar, sys; assert not {'torch', 'numpy', 'cv2', 'albumentations'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_looks_every_so_often_and_after_the_last_step(tmp_path: Path) -> None:
    run, hooks = FakeRun(tmp_path), built(every=6, temperature=3.0)
    hooks.on_run_start(run)
    run.take(hooks, 20)
    hooks.on_run_end(run)
    assert run.asked == [(step, who) for step in (6, 12, 18, 20) for who in ("student", "teacher")]
    expected = []
    for step in (6, 12, 18, 20):
        learner, source, masks = draw(2, 3, 4, 4, seed=step)
        masks[masks == 2] = IGNORE_INDEX
        pixels, those = count(learner, source, masks, 3.0)
        expected += [(step, f"soft/share/{NAMES[number]}", those[number] / pixels[number]) for number in (0, 1)]
        expected.append((step, "soft/share", sum(those) / sum(pixels)))
    assert run.recorded == expected
    assert cv2.imread(str(tmp_path / "soft.png")) is not None


@pytest.mark.parametrize("cut", [0, 5, 6, 13, 20])
def test_a_resumed_run_tells_and_draws_every_point_once(tmp_path: Path, cut: int) -> None:
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole, hooks = FakeRun(tmp_path / "whole"), built(every=6)
    whole.take(hooks, 20)
    hooks.on_run_end(whole)
    broken, before = FakeRun(tmp_path / "broken"), built(every=6)
    broken.take(before, cut)
    after = built(every=6)
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    after.on_run_start(broken)
    broken.batch = None  # a new process has seen none
    broken.take(after, 20 - cut)
    after.on_run_end(broken)
    assert after.state_dict() == hooks.state_dict()
    assert broken.recorded == whole.recorded
    assert (tmp_path / "broken" / "soft.png").read_bytes() == (tmp_path / "whole" / "soft.png").read_bytes()


def test_other_processes_predict_along_and_write_nothing(tmp_path: Path) -> None:
    run, hooks = FakeRun(tmp_path, is_main=False), built(every=10)
    hooks.on_run_start(run)
    run.take(hooks, 20)
    hooks.on_run_end(run)
    assert [step for step, _ in run.asked] == [10, 10, 20, 20]
    assert run.recorded == []
    assert list(tmp_path.iterdir()) == []


def test_without_a_labelled_pixel_nothing_is_told(tmp_path: Path) -> None:
    run, hooks = FakeRun(tmp_path), built(every=1)
    run.batch = SimpleNamespace(images=None, masks=torch.full((2, 4, 4), IGNORE_INDEX, dtype=torch.uint8))
    hooks.on_step_end(run)
    hooks.on_run_end(run)
    assert run.recorded == []
    assert list(tmp_path.iterdir()) == []


def test_the_chart_counts_neighbours_together_and_shows_the_most_frequent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 2 * POINTS + 1
    shown: list[Any] = []
    line_chart = regularization.line_chart
    monkeypatch.setattr(regularization, "line_chart", lambda *args: shown.append(args) or line_chart(*args))
    run, hooks = FakeRun(tmp_path, total_steps=steps), built(every=1)
    run.classes.names = ("a", "b", "c", "d", "e", "f")
    labelled = [[4] * steps, [0] * steps, [6] * steps, [9, 1] * POINTS + [5], [8] * steps, [7] * steps]
    hooks.load_state_dict(
        {
            "steps": list(range(1, steps + 1)),
            "labelled": labelled,
            "regularization": [[count // 2 for count in counts] for counts in labelled],
        }
    )
    hooks.on_run_end(run)
    ((title, below, labels, series),) = shown
    assert (title, below) == ("Share of regularization samples, teacher to student, T=2", "step")
    assert list(series) == ["all pixels", "e", "f", "c", "d"]
    together = 3  # two would make a point too many
    assert [label for label in labels if label] == [str(step) for step in (3, 15, 27, 39, 51, 63, 75)]
    assert series["d"][:2] == [(4 + 0 + 4) / (9 + 1 + 9), (0 + 4 + 0) / (1 + 9 + 1)]
    assert series["all pixels"][0] == (8 + together * (2 + 3 + 4 + 3)) / (19 + together * (4 + 6 + 8 + 7))


@pytest.mark.parametrize("option", ["learner", "source"])
@pytest.mark.parametrize(
    ("participant", "hint"), [("studnet", "did you mean 'student'?"), ("x", "there are teacher, student")]
)
def test_an_unknown_participant_is_told_before_the_first_step(
    tmp_path: Path, option: str, participant: str, hint: str
) -> None:
    with pytest.raises(KdsegError) as refused:
        built(**{option: participant}).on_run_start(FakeRun(tmp_path))
    assert str(refused.value) == f"callbacks.soft.{option}: {participant!r} is no participant; {hint}"


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"temperature": float("nan")}, {"every": 0}])
def test_an_option_out_of_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        RegularizationSamples(**options)


@pytest.mark.usefixtures("one_thread")
def test_a_run_writes_it_and_learns_as_it_does_without_it(train: Any, lines: Any) -> None:
    watched = train(RECIPE)
    told = {line["step"] for line in lines(watched, "callback") if "soft/share" in line}
    assert told == {3, 6, 8}
    assert all(0 <= line.get("soft/share", 0) <= 1 for line in lines(watched, "callback"))
    assert {name for line in lines(watched, "callback") for name in line if "share/" in name} == {
        "soft/share/red", "soft/share/green", "soft/share/blue",
    }  # fmt: skip
    assert (watched.folder / "pictures" / "soft.png").is_file()
    barely = train(RECIPE, "callbacks.soft.every=1000", name="barely")
    losses = [[line["loss/mimic"] for line in lines(run, "step")] for run in (watched, barely)]
    assert losses[0] == losses[1]
