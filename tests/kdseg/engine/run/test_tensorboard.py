"""TensorBoard's files of a run, read back by TensorBoard itself: every figure once, whatever happened to the run."""

from __future__ import annotations

import shlex
from importlib import metadata

import pytest
from tracked_runs import differing, told_numbers

from kdseg.engine.check.phases import check
from kdseg.engine.run.tensorboard_tracker import TensorBoardTracker
from kdseg.errors import ProblemsError

STUDENT = """
[models.student]
backbone = "tiny"
[terms.labels]
learner = "student"
loss = "cross_entropy"
[tracking]
"""


@pytest.fixture(scope="session")
def shown(run):
    """What TensorBoard would show of it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    shown.Reload()
    return shown


def test_every_number_of_the_metrics_file_is_there_once_at_its_step(run, shown):
    every = [((name, event.step), event.value) for name in shown.Tags()["scalars"] for event in shown.Scalars(name)]
    assert len(every) == len(dict(every))
    found, wanted = dict(every), told_numbers(run)
    assert found.keys() == wanted.keys()
    # A step that was taken twice took its time twice.
    assert {name for name, _ in differing(found, wanted)} <= {"seconds", "data_seconds"}


def test_pictures_and_masks_are_there_once(shown):
    assert set(shown.Tags()["images"]) == {"pictures/heat", "masks/gallery"}
    for name in ("pictures/heat", "masks/gallery"):
        assert [event.step for event in shown.Images(name)] == [3, 6, 9]
    heat, gallery = shown.Images("pictures/heat")[-1], shown.Images("masks/gallery")[-1]
    assert (heat.height, heat.width) == (8, 9)
    assert (gallery.height, gallery.width) == (350, 488)  # two rows below a caption: image, truth, student


def test_the_recipe_is_there(run, shown):
    (told,) = shown.Tensors("recipe/text_summary")
    (text,) = told.tensor_proto.string_val
    assert (run / "recipe.toml").read_text(encoding="utf-8") in text.decode()


def test_the_end_names_the_command_that_shows_it(run):
    *_, told = [line for line in (run / "log.txt").read_text().splitlines() if "--logdir" in line]
    assert told.endswith(
        f"TensorBoard: tensorboard --logdir {shlex.quote(str(run.relative_to(run.parents[2])))}/tensorboard"
    )


def test_a_failure_is_told_once_and_ends_nothing(tmp_path, caplog):
    (tmp_path / "recipe.toml").write_text("seed = 1\n")
    (tmp_path / "tensorboard").write_text("no folder")
    tracker = TensorBoardTracker(tmp_path, ((0, 0, 0),))
    for step in range(3):
        tracker.log("step", step, {"loss": 1.0})
    tracker.settle()
    tracker.finish(complete=True)
    (told,) = caplog.messages
    assert "TensorBoard stopped (" in told


def test_of_several_processes_one_writes(processes):
    run = processes(2, STUDENT + "tensorboard = true\n", "train.steps=2")
    assert len(list((run / "tensorboard").iterdir())) == 1


def test_check_says_how_to_install_it(load, monkeypatch):
    version = metadata.version

    def hiding(name):
        if name == "tensorboard":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", hiding)
    with pytest.raises(ProblemsError) as error:
        check(load(STUDENT + "tensorboard = true\n"))
    told = "tracking.tensorboard: it needs tensorboard>=2.16 (not installed): pip install 'tensorboard>=2.16'"
    assert str(error.value).endswith(told)
    check(load(STUDENT))
