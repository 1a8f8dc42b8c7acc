"""Pictures: which are shown, how large they may be, and what is said of them."""

from __future__ import annotations

import base64
import json

import cv2
import numpy as np
import pytest

from kdseg.engine.report import pictures


def shown(page):
    return {image.attrs["alt"]: image.attrs for image in page.find("img")}


def decoded(uri):
    data = base64.b64decode(uri.partition("base64,")[2])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_what_kdseg_paints_is_described(made, pictured, report):
    folder = made()
    pictured(folder, "comparison.png")
    for step in range(10, 90, 10):
        pictured(folder, f"sheets-{step:08d}.png")
    content = "a validation image in each row; columns: image, truth, prediction of teacher, prediction of student"
    assert [*shown(report(folder))] == [
        f"Predictions at the end of the run: {content}",
        *(f"Gallery sheets, after step {step}: {content}" for step in (80, 60, 50, 30, 10)),
    ]


def test_a_label_may_hold_dashes_and_is_described_beside_it(made, pictured, report):
    folder = made()
    pictured(folder, "stage-4-maps-00000010.png")
    (folder / "pictures/stage-4-maps.json").write_text(json.dumps({"title": "Stage 4", "caption": "brighter is more"}))
    page = report(folder)
    assert [*shown(page)] == ["Stage 4, after step 10: brighter is more"]
    assert page.find("h3")[-1].text == "Stage 4"
    assert "Brighter is more." in [one.text for one in page.find("p")]
    (folder / "pictures/stage-4-maps.json").write_text("[]")
    assert [*shown(report(folder))] == ["stage-4-maps, after step 10"]


def test_small_pictures_are_taken_as_they_are(made, pictured, report):
    folder = made()
    pictured(folder, "comparison.png")
    (image,) = shown(report(folder)).values()
    assert image["src"].startswith("data:image/png;base64,")
    assert base64.b64decode(image["src"].partition("base64,")[2]) == (folder / "pictures/comparison.png").read_bytes()


def test_large_pictures_are_made_smaller(made, pictured, report):
    folder = made()
    pictured(folder, "sheets-00000010.png", 2400, 300)
    pictured(folder, "sheets-00000020.png", 2400, 300)
    newest, older = shown(report(folder)).values()
    assert (newest["width"], newest["height"]) == ("1600", "200")
    assert (older["width"], older["height"]) == ("1000", "125")
    assert decoded(newest["src"]).shape == (200, 1600, 3)


def test_what_would_be_too_much_is_left_in_its_folder(made, pictured, report, monkeypatch):
    folder = made()
    for label in "ab":
        for step in (1, 2, 3):
            pictured(folder, f"{label}-{step:08d}.png", 400, 300)
    monkeypatch.setattr(pictures, "PIXELS", 3 * 400 * 300)
    found = pictures.read_pictures(folder, {}, 3 * 400 * 300)
    assert [[picture.step for picture in series.pictures] for series in found] == [[2, 3], [3]]
    monkeypatch.setattr(pictures, "BYTES", 10)
    assert [series.pictures for series in pictures.read_pictures(folder, {})] == [(), ()]
    assert "3 in pictures/, none of them small enough for this page." in [p.text for p in report(folder).find("p")]


def test_series_that_are_too_many_are_counted(made, pictured, report):
    folder = made()
    for number in range(27):
        pictured(folder, f"maps{number}.png", 4, 4)
    page = report(folder)
    assert len(shown(page)) == 24
    assert "And 3 more series in pictures/." in [one.text for one in page.find("p")]


PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("content", [b"", b"no picture", PNG + b"\xff" * 40, PNG + bytes(200_000)])
def test_what_is_no_picture_harms_nobody(made, report, content):
    folder = made()
    (folder / "pictures/comparison.png").write_bytes(content)
    (folder / "pictures/folder.png").mkdir()
    assert report(folder).find("h1")
