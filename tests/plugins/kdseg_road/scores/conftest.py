"""The benchmarks' own evaluators, as the truth that scores are held against.

They come with the extra `oracles`. Without them these tests fail rather than pass unseen.
"""

from __future__ import annotations

import os
import shutil
import warnings
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from kdseg_road.cityscapes_labels import LABEL_IDS, LABELS, TRAIN_IDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


RECIPE = """
name = "job"
plugins = ["roads.py"]
train = { steps = 40, batch_size = 4, workers = 0 }
[models.student]
backbone = "pixelwise"
optimizer = { use = "AdamW", lr = 0.02 }
[terms.labels]
learner = "student"
loss = "cross_entropy"
[evaluate]
metrics = ["cityscapes", "bdd100k"]
metric = "bdd100k/miou"
every = 20
unit = "step"
"""


@pytest.fixture
def leniently() -> Iterator[None]:
    """Neither evaluator is free of deprecated calls, nor of divisions by 0; their warnings say nothing of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def official_cityscapes(leniently: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Path], dict[str, Any]]:
    """Score a folder of results against a folder laid out as Cityscapes, by the evaluator's own search for files."""
    monkeypatch.setattr(np, "in1d", np.isin, raising=False)  # numpy 2.4 has no in1d, which the evaluator calls
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official  # noqa: N813 (a module)

    def score(root: Path, results: Path) -> dict[str, Any]:
        os.environ["CITYSCAPES_RESULTS"] = str(results)
        settings = official.CArgs()  # anew: it keeps what it found last
        vars(settings).update(vars(official.args), quiet=True, JSONOutput=False)
        truths = sorted(glob(str(root / "gtFine" / "val" / "*" / "*_gtFine_labelIds.png")))  # noqa: PTH207 (its own way)
        predictions = [official.getPrediction(settings, truth) for truth in truths]
        return official.evaluateImgLists(predictions, truths, settings)

    monkeypatch.setenv("CITYSCAPES_RESULTS", "")
    return score


@pytest.fixture
def official_bdd100k(leniently: None) -> Callable[[Path, Path], dict[str, Any]]:
    """Score a folder of results against a folder of masks, by the files' stems; numbers and tables in percent."""
    from bdd100k.common.utils import list_files
    from bdd100k.eval.seg import evaluate_sem_seg

    def score(truths: Path, results: Path) -> dict[str, Any]:
        paths = [list_files(str(folder), ".png", with_prefix=True) for folder in (truths, results)]
        found = evaluate_sem_seg(*paths, nproc=1, with_logs=False)
        return {
            "mIoU": found.IoU[1]["AVERAGE"],
            "mAcc": found.Acc[1]["AVERAGE"],
            "fIoU": found.fIoU,
            "pAcc": found.pAcc,
            "IoU": found.IoU[0],
            "Acc": found.Acc[0],
        }

    return score


def scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw blocks of noisy colour: an image, BGR, its label ids, and its instance ids.

    Blocks of classes with objects are objects or groups; some blocks are ignored, and some are caravans.
    """
    numbers = np.random.default_rng(seed)
    labels = numbers.choice([*LABEL_IDS, *LABEL_IDS, 24, 26, 26, 33, 0, 4, 29], (5, 8)).astype(np.uint8)
    number = numbers.integers(0, 3, labels.shape)
    instances = np.where((labels >= 24) & (numbers.random(labels.shape) < 0.8), labels * 1000.0 + number, labels)
    labels, instances = (values.repeat(8, 0).repeat(8, 1) for values in (labels, instances.astype(np.uint16)))
    colours = np.array([label.colour for label in LABELS])[labels]
    return (colours // 2 + numbers.integers(0, 128, colours.shape)).astype(np.uint8), labels, instances


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values)


@pytest.fixture(scope="session")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same drawn scenes as Cityscapes and as BDD100K lie on a disk: eight to train on, seven to judge by."""
    folder = tmp_path_factory.mktemp("data")
    train_ids = np.array(TRAIN_IDS, np.uint8)
    for split, city, seeds in (("train", "ulm", range(8)), ("val", "lindau", range(100, 107))):
        for seed in seeds:
            image, labels, instances = scene(seed)
            frame, stem = f"{city}_{seed:06}_000019", f"b1c66a42-{seed:08}"
            write(folder / f"cityscapes/leftImg8bit/{split}/{city}/{frame}_leftImg8bit.png", image)
            write(folder / f"cityscapes/gtFine/{split}/{city}/{frame}_gtFine_labelIds.png", labels)
            write(folder / f"cityscapes/gtFine/{split}/{city}/{frame}_gtFine_instanceIds.png", instances)
            write(folder / f"bdd100k/images/10k/{split}/{stem}.jpg", image)
            write(folder / f"bdd100k/labels/sem_seg/masks/{split}/{stem}.png", train_ids[labels])
    return folder


@pytest.fixture(scope="session")
def train_on(tmp_path_factory: pytest.TempPathFactory, on_disk: Path) -> Callable[[str], Path]:
    """Train on a dataset of the drawn scenes, and give the run's folder."""
    from kdseg.engine.run.start import run_recipe
    from kdseg.recipe.load import load_recipe

    def train_on(dataset: str) -> Path:
        folder = tmp_path_factory.mktemp(dataset)
        shutil.copy(Path(__file__).parent / "roads.py", folder)
        (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
        chosen = f"data.dataset={{use='{dataset}', root='{on_disk / dataset}'}}"
        return run_recipe(load_recipe(folder / "recipe.toml", [chosen, f"output.folder='{folder / 'runs'}'"])).folder

    return train_on


@pytest.fixture(scope="session")
def cityscapes_run(train_on: Callable[[str], Path]) -> Path:
    return train_on("cityscapes")


@pytest.fixture(scope="session")
def bdd100k_run(train_on: Callable[[str], Path]) -> Path:
    return train_on("bdd100k")
