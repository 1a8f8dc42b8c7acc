"""Predictions as the benchmarks' evaluators take them: written by the command line, found and scored by theirs."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import socket

import cv2
import numpy as np
import pytest
from accelerate.state import PartialState

from kdseg import DatasetContext, KdsegError, Submission, load
from kdseg.recipe.load import load_recipe
from kdseg_road.cityscapes_labels import LABEL_IDS
from kdseg_road.submissions import BDD100K_SUBMISSION, CITYSCAPES_SUBMISSION

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def city(roads, tmp_path, monkeypatch):
    """The validation scenes of the run, on disk as Cityscapes and as BDD100K hold theirs."""
    recipe = load_recipe(roads / "recipe.toml").recipe
    samples = recipe.data.val.build(DatasetContext(split="val", seed=0, extras=("instances",)))
    for folder in ("leftImg8bit/val/ulm", "gtFine/val/ulm", "images/10k/val", "masks/val"):
        (tmp_path / folder).mkdir(parents=True)
    for index in range(len(samples)):
        sample, name, stem = samples[index], f"ulm_{index:06}_000019", f"b1c66a42-{index:08}"
        labels = np.array([*LABEL_IDS] + [29] * 237, np.uint8)[sample.mask]
        for path, values in (
            (f"leftImg8bit/val/ulm/{name}_leftImg8bit.png", sample.image[..., ::-1]),
            (f"gtFine/val/ulm/{name}_gtFine_labelIds.png", labels),
            (f"gtFine/val/ulm/{name}_gtFine_instanceIds.png", sample.extras["instances"]),
            (f"images/10k/val/{stem}.png", sample.image[..., ::-1]),
            (f"masks/val/{stem}.png", sample.mask),
        ):
            assert cv2.imwrite(str(tmp_path / path), values)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scores(kdseg, run, metric):
    status, out, _ = kdseg("evaluate", str(run), "--metric", metric, "--which", "last", "--json")
    assert status == 0
    return json.loads(out)["student"]


def test_cityscapes_finds_and_scores_them_as_evaluate_does(kdseg, roads, city, official_cityscapes):
    words = ("--which", "last", "-o", "out/results", "--format", "roads")
    assert kdseg("predict", str(roads), "leftImg8bit/val/ulm", *words) == (
        0,
        "7 images: out/results/*.png, as roads takes them\n",
        "",
    )
    official = official_cityscapes(city, city / "out")
    found = scores(kdseg, roads, "cityscapes")
    for name, mean, table in (
        ("iou", "averageScoreClasses", "classScores"),
        ("iiou", "averageScoreInstClasses", "classInstScores"),
        ("category_iou", "averageScoreCategories", "categoryScores"),
        ("category_iiou", "averageScoreInstCategories", "categoryInstScores"),
    ):
        assert found[f"cityscapes/{name}"] == pytest.approx(official[mean], abs=1e-9)
        by = f"cityscapes/{name.removeprefix('category_')}_by_{'category' if 'category' in name else 'class'}"
        assert found[by] == pytest.approx({label: official[table][label] for label in found[by]}, abs=1e-9)
    assert 0.01 < found["cityscapes/iiou"] < 0.99
    assert found["cityscapes/iou"] == pytest.approx(found["miou"], abs=1e-12)  # all classes are there, and 19 predicted


def test_bdd100k_finds_and_scores_them_as_evaluate_does(kdseg, roads, city, official_bdd100k):
    words = ("--which", "last", "--format", "stems")
    assert kdseg("predict", str(roads), "images/10k/val", *words).status == 0
    official = official_bdd100k(city / "masks/val", city / "predictions")
    found = scores(kdseg, roads, "bdd100k")
    for ours, theirs in (("miou", "mIoU"), ("fiou", "fIoU"), ("pixel_accuracy", "pAcc"), ("precision", "mAcc")):
        assert 100 * found[f"bdd100k/{ours}"] == pytest.approx(official[theirs], abs=1e-9)
    assert 0.01 < found["bdd100k/miou"] < 0.99


def test_files_are_grey_label_ids_at_the_image_s_own_size(kdseg, roads, city):
    image = cv2.imread("images/10k/val/b1c66a42-00000000.png")
    cv2.imwrite("ulm_000001_000001.png", cv2.resize(image, (91, 53)))
    assert kdseg("predict", str(roads), "ulm_000001_000001.png", "--format", "roads").status == 0
    (file,) = (city / "predictions").iterdir()
    assert file.name == "ulm_000001_000001_labelIds.png"
    written = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    assert (written.dtype, written.shape) == (np.uint8, (53, 91))
    mask = load(roads).predict(cv2.imread("ulm_000001_000001.png")[..., ::-1])
    assert np.array_equal(written, np.array(LABEL_IDS)[mask])


def test_a_copy_of_a_model_s_folder_writes_them_too(kdseg, roads, city):
    shutil.copytree(roads / "models/student", "mine")
    assert kdseg("predict", "mine", "images/10k/val", "--format", "stems").status == 0
    assert len(list((city / "predictions").glob("b1c66a42-*.png"))) == 7


def test_processes_score_as_one(roads, tmp_path):
    from rich.console import Console

    from kdseg.engine.evaluate_run import evaluate_run
    from kdseg.engine.files import json_text

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])

    def work(rank: int, world: int) -> None:
        if world > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "1"}
            PartialState._reset_state()
        found = evaluate_run(
            roads, split="val", models=(), which="last", metrics=(), batch_size=1, console=Console(quiet=True)
        )
        (tmp_path / f"{world}-{rank}.json").write_text(json_text(found), encoding="utf-8")

    context = multiprocessing.get_context("fork")
    children = [context.Process(target=work, args=(rank, world)) for world in (1, 2) for rank in range(world)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    alone, *shared = ((tmp_path / name).read_text("utf-8") for name in ("1-0.json", "2-0.json", "2-1.json"))
    assert shared == [alone, alone]


# What cannot be submitted


@pytest.mark.parametrize(
    "name",
    ["ulm.png", "ulm_1_19_leftImg8bit.png", "ulm_000000_000019_gtFine_labelIds.png", "_000000_000019.png"],
)
def test_an_image_that_cityscapes_would_not_find_is_told(kdseg, roads, city, name):
    cv2.imwrite(name, np.zeros((40, 40, 3), np.uint8))
    status, out, err = kdseg("predict", str(roads), "leftImg8bit/val/ulm", name, "--format", "roads")
    assert (status, out) == (2, "")
    assert err.startswith(
        f"{name}: Cityscapes finds predictions by city, sequence and frame: its images are named like"
    )
    assert not (city / "predictions").exists()


def test_two_images_of_one_frame_are_told(kdseg, roads, city):
    for name in ("ulm_000000_000019.png", "ulm_000000_000019_leftImg8bit.jpg"):
        cv2.imwrite(name, np.zeros((40, 40, 3), np.uint8))
    status, _, err = kdseg("predict", str(roads), ".", "--format", "roads")
    assert status == 2
    assert "ulm_000000_000019.png and ulm_000000_000019_leftImg8bit.jpg would write the same files" in err


def test_masks_of_a_plain_prediction_in_the_way_are_told(kdseg, roads, city):
    assert kdseg("predict", str(roads), "leftImg8bit/val/ulm").status == 0
    status, _, err = kdseg("predict", str(roads), "leftImg8bit/val/ulm", "--format", "roads")
    assert status == 2
    assert err.startswith("predictions/ulm_000000_000019_leftImg8bit_mask.png: an evaluator would take it for a second")


def test_a_format_that_is_none_is_told(kdseg, roads, city):
    status, _, err = kdseg("predict", str(roads), "images/10k/val", "--format", "rods")
    assert status == 2
    assert "did you mean 'roads'?" in err
    status, _, err = kdseg("predict", str(roads), "images/10k/val", "--format", "camvid")
    assert status == 2
    assert err.startswith("the dataset 'camvid' has no format for submissions; those that have: ")
    assert "roads, stems" in err


def test_a_model_of_other_classes_is_told(kdseg, roads, city):
    card = json.loads((roads / "models/student/model.json").read_text(encoding="utf-8"))
    shutil.copytree(roads / "models/student", "mine")
    card["classes"][:2] = card["classes"][1::-1]
    (city / "mine/model.json").write_text(json.dumps(card), encoding="utf-8")
    status, _, err = kdseg("predict", "mine", "images/10k/val", "--format", "stems")
    assert status == 2
    assert err.startswith("the benchmark takes predictions of the classes road, sidewalk, ")
    assert "; the model's are sidewalk, road, " in err
    assert not (city / "predictions").exists()


def test_a_metric_of_other_classes_is_told_before_a_run(roads, tmp_path):
    from kdseg.engine.check import check

    with pytest.raises(KdsegError, match=r"evaluate\.metrics: the metric cityscapes scores the 19 classes"):
        check(load_recipe(roads / "recipe.toml", ["data.dataset='other_classes'"]))


def test_a_submission_has_a_value_for_each_class():
    with pytest.raises(ValueError, match="a value for each of 2 classes"):
        Submission(classes=("road", "sky"), values=(7,), file_name=str)
    assert CITYSCAPES_SUBMISSION.values == tuple(LABEL_IDS)
    assert BDD100K_SUBMISSION.values == tuple(range(19))
