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

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


RECIPE = """
name = "job"
plugins = ["roads.py"]
train = { steps = 40, batch_size = 4, workers = 0 }
data = { dataset = "roads" }
[models.student]
backbone = "pixelwise"
optimizer = { use = "AdamW", lr = 0.02 }
[terms.labels]
learner = "student"
loss = "cross_entropy"
[evaluate]
metrics = ["cityscapes", "bdd100k"]
metric = "cityscapes/iiou"
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


@pytest.fixture(scope="session")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on drawn scenes, judged by both benchmarks' scores."""
    from kdseg.engine.run import run_recipe
    from kdseg.recipe.load import load_recipe

    folder = tmp_path_factory.mktemp("roads")
    shutil.copy(Path(__file__).parent / "roads.py", folder)
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    return run_recipe(load_recipe(folder / "recipe.toml", [f"output.folder='{folder / 'runs'}'"])).folder
