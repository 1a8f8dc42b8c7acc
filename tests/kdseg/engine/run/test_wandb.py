"""What Weights & Biases has of a run, read back from its own files: every figure once, whatever happened to the run."""

from __future__ import annotations

import json
import re
import shlex
import tomllib

from tracked_runs import (
    differing,
    told_numbers,
    wandb_all,
    wandb_config,
    wandb_files,
    wandb_history,
)


def is_shown(place):
    return place[0].startswith(("pictures/", "masks/", "confusion/"))


def test_every_number_of_the_metrics_file_is_there_once_at_its_step(run):
    history = {place: value for place, value in wandb_history(run).items() if not is_shown(place)}
    wanted = told_numbers(run)
    assert ("val/student/iou/green", 9) in wanted
    assert ("val/student/even/counts/right", 9) in wanted
    assert history.keys() == wanted.keys()
    # A step that was taken twice took its time twice.
    assert {name for name, _ in differing(history, wanted)} <= {"seconds", "data_seconds"}


def test_steps_do_not_go_back(run):
    steps = [row.step.num for row in wandb_all(run, "history")]
    assert steps == sorted(set(steps)) == list(range(1, 10))


def test_the_config_is_the_recipe(run):
    config = wandb_config(run)
    config.pop("_wandb", None)
    assert config == tomllib.loads((run / "recipe.toml").read_text(encoding="utf-8"))


def test_who_it_is_and_where_it_belongs(run):
    first, *_ = wandb_all(run, "run")
    assert {record.run_id for record in wandb_all(run, "run")} == {f"job-{run.name}"}
    assert (first.project, first.run_group, first.job_type) == ("lab", "study", "arm")
    assert list(first.tags) == ["first", "seed 3"]


def test_the_greater_score_is_the_better(run):
    kept = {record.name or record.glob_name: record.summary for record in wandb_all(run, "metric")}
    for name in ("val/student/miou", "val/steady/miou", "val/student/iou/*"):
        assert kept[name].max
        assert kept[name].last
    assert not any(name.startswith("loss") for name in kept)


def test_the_models_are_there_with_their_cards(run):
    sent = {record.name: record for record in wandb_all(run, "artifact") if record.type == "model"}
    assert set(sent) == {f"job-{run.name}-student", f"job-{run.name}-steady"}
    student = sent[f"job-{run.name}-student"]
    assert "best" in student.aliases
    assert json.loads(student.metadata) == json.loads((run / "models" / "student" / "model.json").read_text())
    files = {entry.path: entry.local_path for entry in student.manifest.contents}
    assert set(files) == {"best.safetensors", "model.json", "parts.py"}
    assert files["best.safetensors"] == str(run / "models" / "student" / "best.safetensors")


def test_confusion_matrices_are_there_in_pixels(run):
    history = wandb_history(run)
    for who in ("student", "steady"):
        file = wandb_files(run)[-1].parent / "files" / history[f"confusion/{who}_table.path", 9]
        counts = {(truth, predicted): count for truth, predicted, count in json.loads(file.read_text())["data"]}
        told = json.loads((run / "confusion" / f"{who}.json").read_text())
        names = told["classes"]
        wanted = {(a, b): told["matrix"][i][j] for i, a in enumerate(names) for j, b in enumerate(names)}
        assert counts == wanted


def test_the_end_names_the_command_that_uploads_it(run):
    *_, told = [line for line in (run / "log.txt").read_text().splitlines() if "wandb sync" in line]
    paths = shlex.split(told.partition("wandb sync ")[2])
    there = [str(file.parent.relative_to(run.parents[2])) for file in wandb_files(run) if file.stat().st_size > 7]
    assert paths == there
    assert there


def test_pictures_and_masks_are_there_with_the_names_of_the_classes(run):
    history = {place: value for place, value in wandb_history(run).items() if is_shown(place)}
    steps = [step for name, step in history if name == "pictures/heat.sha256"]
    lost = [[3]] if len(wandb_files(run)) > 1 else []  # with the process, where they were on no disk yet
    assert steps in ([3, 6, 9], *([step for step in (3, 6, 9) if step not in some] for some in lost))
    assert history["pictures/heat.caption", 9] == "how warm it is"
    media = [file.parent / "files" for file in wandb_files(run)]
    masks = history["masks/gallery.all_masks", 9]
    assert [set(of_image) for of_image in masks] == [{"truth", "student"}] * 2
    paths = [mask["path"] for of_image in masks for mask in of_image.values()]
    for path in [*paths, *history["masks/gallery.filenames", 9]]:
        assert (media[-1] / path).is_file()
    labels = [item.value_json for record in wandb_all(run, "config") for item in record.update]
    assert any(re.search(r'"value":\{"0":"red","1":"green","2":"blue"\}', text) for text in labels)
