"""The page on Hugging Face: its commands run, and each of its tables of a dataset opens what it speaks of."""

from __future__ import annotations

import shlex
import shutil
import tomllib

import pytest

from kdseg.components import DatasetContext
from kdseg_huggingface import HuggingFace

saved = pytest.importorskip("hugging_face", reason="the extra huggingface is not installed")

SMALL = (
    'data.dataset={ use = "synthroad", images = 4, size = [64, 96] }',
    "data.augment=[]",
    "models.teacher.floor=0.0",
    "models.student.backbone.base=2",
    "train.steps=2",
    "train.batch_size=2",
    "train.workers=0",
)


@pytest.fixture
def shown(pages):
    return pages["docs/hugging_face.md"]


def test_the_commands_run_without_a_network(shown, tmp_path, monkeypatch, kdseg, one_thread):
    monkeypatch.chdir(tmp_path)
    saved.save_segformer(tmp_path / "segformer", num_labels=19)
    shown.write_files(tmp_path)
    _, commands = [block.text.splitlines() for block in shown.blocks if block.language == "sh"]
    assert [shlex.split(line)[1] for line in commands] == ["check", "run"]
    for line in commands:
        words = [*shlex.split(line)[1:], *(word for setting in SMALL for word in ("--set", setting))]
        status, out, err = kdseg(*words)
        assert status == 0, out + err


def test_every_table_of_a_dataset_opens_what_it_is_for(shown, tmp_path, monkeypatch):
    splits = {"train": saved.rows(0, mask="label", count=2), "validation": saved.rows(9, mask="label", count=2)}
    saved.datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "drives"))
    for split in ("train", "validation"):
        saved.rows(0, mask="annotation").to_parquet(
            str(tmp_path / "scenes" / "data" / f"{split}-00000-of-00001.parquet")
        )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "datasets--owner--scenes"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    shutil.copytree(tmp_path / "scenes", cached / "snapshots" / ("0" * 40))
    blocks = [tomllib.loads(block.text) for block in shown.blocks if block.language == "toml"]
    tables = [block["data"]["dataset"] for block in blocks if "dataset" in block.get("data", {})]
    tables = [table for table in tables if table["use"] == "huggingface"]
    assert [table.get("root", table.get("repo")) for table in tables] == ["drives", "scenes", "owner/scenes"]
    for table in tables:
        options = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
        del options["use"]
        root = {"root": tmp_path / table["root"]} if "root" in table else {}
        dataset = HuggingFace(**options | root)
        for split in ("train", "val"):
            sample = dataset.build(DatasetContext(split=split, seed=0))[0]
            assert {*sample.mask.flat} <= {0, 1, 255, *range(len(dataset.names))}
