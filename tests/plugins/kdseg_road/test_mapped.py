"""Vistas, IDD and A2D2 alike: their tables, their folders, and a teacher of one for a student of another."""

from __future__ import annotations

import json

import pytest
from road_layouts import make_a2d2, make_idd, make_vistas, samples

from kdseg.errors import KdsegError
from kdseg_road import A2D2, IDD, MapillaryVistas


@pytest.mark.parametrize(("dataset", "count"), [(MapillaryVistas, 65), (IDD, 26), (A2D2, 38)])
def test_the_tables_are_those_that_are_published(dataset, count):
    table = dataset().class_table()
    assert len(table) == len(set(table.names)) == len(set(table.colours)) == count
    assert dataset(classes="cityscapes19").class_table().names[:2] == ("road", "sidewalk")
    assert len(dataset(classes="cityscapes19").class_table()) == 19


def test_version_2_of_vistas_evaluates_116_labels():
    table = MapillaryVistas(labels="v2.0").class_table()
    assert len(table) == len(set(table.names)) == 116
    assert (table.names[2], table.colours[2], table.categories[2]) == ("Concrete Block", (250, 170, 32), "construction")
    assert (table.names[-1], table.colours[-1], table.categories[-1]) == ("Static", (111, 111, 0), "void")


@pytest.mark.parametrize(("dataset", "make"), [(MapillaryVistas, make_vistas), (IDD, make_idd), (A2D2, make_a2d2)])
def test_the_folder_is_found_by_its_name_or_asked_for(tmp_path, monkeypatch, dataset, make):
    monkeypatch.delenv("KDSEG_DATA", raising=False)
    with pytest.raises(KdsegError, match=rf"the folder of {dataset.name} is not said; .*; {dataset.name} is "):
        samples(dataset)
    make(tmp_path / dataset.name)
    monkeypatch.setenv("KDSEG_DATA", str(tmp_path))
    assert len(samples(dataset)) >= 2
    with pytest.raises(KdsegError, match=rf"; {dataset.name} is "):
        samples(dataset, root=tmp_path)


@pytest.mark.parametrize(("dataset", "make"), [(MapillaryVistas, make_vistas), (IDD, make_idd), (A2D2, make_a2d2)])
def test_an_image_without_its_mask_is_a_defect_or_left_out(tmp_path, caplog, dataset, make):
    make(tmp_path)
    whole = samples(dataset, root=tmp_path)
    image, mask = whole.files[0]
    mask.unlink()
    found = samples(dataset, root=tmp_path)
    assert [defect.file for defect in found.defects] == [image]
    skipped = samples(dataset, root=tmp_path, unpaired="skip")
    assert (skipped.ids, skipped.defects) == (whole.ids[1:], ())
    assert str(image) in caplog.text


TEACHER = """
[train]
steps = 2
batch_size = 2
workers = 0

[data]
dataset = { use = "mapillary_vistas", classes = "cityscapes19" }

[models.teacher]
backbone = { use = "unet", base = 4 }

[terms.labels]
learner = "teacher"
loss = "cross_entropy"
"""
STUDENT = """
extends = "teacher.toml"
drop = ["models.teacher", "terms.labels"]

[data]
dataset = { use = "cityscapes" }

[models.vistas]
frozen = true
backbone = { use = "unet", base = 4 }
weights = { recipe = "teacher.toml", model = "teacher" }

[models.student]
backbone = { use = "unet", base = 2 }

[terms.mimic]
learner = "student"
source = "vistas"
loss = "pixel_kl"
"""


def test_a_teacher_that_learned_from_vistas_teaches_a_student_of_cityscapes(
    kdseg, make_cityscapes, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KDSEG_DATA", str(tmp_path))
    make_vistas(tmp_path / "mapillary_vistas")
    make_cityscapes(tmp_path / "cityscapes", {"train": {"aachen": 2}, "val": {"lindau": 1}})
    (tmp_path / "teacher.toml").write_text(TEACHER)
    (tmp_path / "student.toml").write_text(STUDENT)
    status, out, err = kdseg("run", "student.toml", "--json")
    assert status == 0, err
    assert json.loads(out)["participants"]["student"]["steps"] == 2
