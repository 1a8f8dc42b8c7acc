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

from kdseg import KdsegError, Submission, load
from kdseg.recipe.load import load_recipe
from kdseg_road.cityscapes_labels import LABEL_IDS
from kdseg_road.submissions import BDD100K_SUBMISSION, CITYSCAPES_SUBMISSION

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


VAL = "cityscapes/leftImg8bit/val/lindau"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scores(kdseg, run, metric):
    status, out, _ = kdseg("evaluate", str(run), "--metric", metric, "--which", "last", "--json")
    assert status == 0
    return json.loads(out)["student"]


@pytest.fixture
def predict(kdseg):
    """Predict with a network that comes from a plugin file, which is trusted."""
    return lambda *words: kdseg("predict", "--trust-code", *words)


def test_cityscapes_finds_and_scores_them_as_evaluate_does(
    predict, kdseg, cityscapes_run, on_disk, folder, official_cityscapes
):
    words = ("--which", "last", "-o", "out/results", "--format", "cityscapes")
    assert predict(str(cityscapes_run), str(on_disk / VAL), *words) == (
        0,
        "7 images: out/results/*.png, as cityscapes takes them\n",
        "",
    )
    official = official_cityscapes(on_disk / "cityscapes", folder / "out")
    found = scores(kdseg, cityscapes_run, "cityscapes")
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
    assert found["cityscapes/iou"] == pytest.approx(found["miou"], abs=1e-12)


def test_bdd100k_finds_and_scores_them_as_evaluate_does(predict, kdseg, bdd100k_run, on_disk, folder, official_bdd100k):
    images = on_disk / "bdd100k/images/10k/val"
    assert predict(str(bdd100k_run), str(images), "--which", "last", "--format", "bdd100k").status == 0
    official = official_bdd100k(on_disk / "bdd100k/labels/sem_seg/masks/val", folder / "predictions")
    found = scores(kdseg, bdd100k_run, "bdd100k")
    for ours, theirs in (("miou", "mIoU"), ("fiou", "fIoU"), ("pixel_accuracy", "pAcc"), ("precision", "mAcc")):
        assert 100 * found[f"bdd100k/{ours}"] == pytest.approx(official[theirs], abs=1e-9)
    assert 0.01 < found["bdd100k/miou"] < 0.99
    assert found["cityscapes/iiou"] is None  # BDD100K has no instance ids


def test_files_are_grey_label_ids_at_the_image_s_own_size(predict, kdseg, cityscapes_run, folder):
    image = np.random.default_rng(0).integers(0, 256, (53, 91, 3), dtype=np.uint8)
    cv2.imwrite("ulm_000001_000001.png", image)
    assert predict(str(cityscapes_run), "ulm_000001_000001.png", "--format", "cityscapes").status == 0
    (file,) = (folder / "predictions").iterdir()
    assert file.name == "ulm_000001_000001_labelIds.png"
    written = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    assert (written.dtype, written.shape) == (np.uint8, (53, 91))
    assert np.array_equal(written, np.array(LABEL_IDS)[load(cityscapes_run, trust_code=True).predict(image[..., ::-1])])


def test_a_copy_of_a_model_s_folder_writes_them_too(predict, kdseg, cityscapes_run, on_disk, folder):
    shutil.copytree(cityscapes_run / "models/student", "mine")
    assert predict("mine", str(on_disk / VAL), "--format", "bdd100k").status == 0
    assert len(list((folder / "predictions").glob("lindau_*_000019_leftImg8bit.png"))) == 7


def test_processes_score_as_one(cityscapes_run, tmp_path):
    from rich.console import Console

    from kdseg.engine.folders.files import json_text
    from kdseg.engine.judge.evaluate_run import evaluate_run

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])

    def work(rank: int, world: int) -> None:
        if world > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "1"}
            PartialState._reset_state()
        found = evaluate_run(
            cityscapes_run,
            split="val",
            models=(),
            which="last",
            metrics=(),
            batch_size=1,
            views={},
            console=Console(quiet=True),
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
def test_an_image_that_cityscapes_would_not_find_is_told(predict, kdseg, cityscapes_run, on_disk, folder, name):
    cv2.imwrite(name, np.zeros((40, 40, 3), np.uint8))
    status, out, err = predict(str(cityscapes_run), str(on_disk / VAL), name, "--format", "cityscapes")
    assert (status, out) == (2, "")
    assert err.startswith(
        f"{name}: Cityscapes finds predictions by city, sequence and frame: its images are named like"
    )
    assert not (folder / "predictions").exists()


def test_two_images_of_one_frame_are_told(predict, kdseg, cityscapes_run, on_disk, folder):
    for name in ("ulm_000000_000019.png", "ulm_000000_000019_leftImg8bit.jpg"):
        cv2.imwrite(name, np.zeros((40, 40, 3), np.uint8))
    status, _, err = predict(str(cityscapes_run), ".", "--format", "cityscapes")
    assert status == 2
    assert "ulm_000000_000019.png and ulm_000000_000019_leftImg8bit.jpg would write the same files" in err


def test_masks_of_a_plain_prediction_in_the_way_are_told(predict, kdseg, cityscapes_run, on_disk, folder):
    assert predict(str(cityscapes_run), str(on_disk / VAL)).status == 0
    status, _, err = predict(str(cityscapes_run), str(on_disk / VAL), "--format", "cityscapes")
    assert status == 2
    assert err.startswith(
        "predictions/lindau_000100_000019_leftImg8bit_mask.png: an evaluator would take it for a second"
    )


def test_a_format_that_is_none_is_told(predict, kdseg, cityscapes_run, on_disk, folder):
    status, _, err = predict(str(cityscapes_run), str(on_disk / VAL), "--format", "cityscape")
    assert status == 2
    assert "did you mean 'cityscapes'?" in err
    status, _, err = predict(str(cityscapes_run), str(on_disk / VAL), "--format", "camvid")
    assert status == 2
    assert err == "the dataset 'camvid' has no format for submissions; those that have: bdd100k, cityscapes\n"


def test_a_model_of_other_classes_is_told(predict, kdseg, cityscapes_run, on_disk, folder):
    card = json.loads((cityscapes_run / "models/student/model.json").read_text(encoding="utf-8"))
    shutil.copytree(cityscapes_run / "models/student", "mine")
    card["classes"][:2] = card["classes"][1::-1]
    (folder / "mine/model.json").write_text(json.dumps(card), encoding="utf-8")
    status, _, err = predict("mine", str(on_disk / VAL), "--format", "bdd100k")
    assert status == 2
    assert err.startswith("the benchmark takes predictions of the classes road, sidewalk, ")
    assert "; the model's are sidewalk, road, " in err
    assert not (folder / "predictions").exists()


def test_a_metric_of_other_classes_is_told_before_a_run(cityscapes_run, tmp_path):
    from kdseg.engine.check.phases import check

    with pytest.raises(KdsegError, match=r"evaluate\.metrics: the metric cityscapes scores the 19 classes"):
        check(load_recipe(cityscapes_run / "recipe.toml", ["data.dataset='camvid'"]))


def test_a_submission_has_a_value_for_each_class():
    with pytest.raises(ValueError, match="a value for each of 2 classes"):
        Submission(classes=("road", "sky"), values=(7,), file_name=str)
    assert CITYSCAPES_SUBMISSION.values == tuple(LABEL_IDS)
    assert BDD100K_SUBMISSION.values == tuple(range(19))
