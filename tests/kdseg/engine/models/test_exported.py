"""A file that an exporter wrote is read whatever other exporters of its suffix do, and says what its card says."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest
import torch
from attrs import evolve, frozen

from kdseg.components import KINDS, Exporter
from kdseg.engine.models.exported import open_exported, read_exported
from kdseg.errors import KdsegError
from kdseg.registry import Absence, Entry, Registry

CARD = {
    "exporter": "ours/plain",
    "classes": ["road", "other"],
    "colours": [[1, 2, 3], [4, 5, 6]],
    "categories": [],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.2, 0.2, 0.2],
    "output": "classes",
    "precision": "fp32",
    "size": None,
    "resize": None,
}


@frozen(kw_only=True)
class Plain(Exporter):
    """A card alone, as JSON."""

    name: ClassVar[str] = "plain"
    suffix: ClassVar[str] = ".file"

    def read(self, file):
        return json.loads(file.read_text())

    def open(self, file, ctx):
        return lambda images: images[:, 0] * 0


@frozen(kw_only=True)
class Unmet(Plain):
    """Needs a library that nobody has."""

    name: ClassVar[str] = "unmet"
    requires: ClassVar[tuple[str, ...]] = ("kdseg-no-such-library>=2",)


@frozen(kw_only=True)
class Raising(Plain):
    """Fails where it reads."""

    name: ClassVar[str] = "raising"

    def read(self, file):
        raise ValueError("no engine of mine")


@frozen(kw_only=True)
class Refusing(Plain):
    """Says that a file is damaged."""

    name: ClassVar[str] = "refusing"

    def read(self, file):
        raise KdsegError(f"{file.name}: is damaged")


@frozen(kw_only=True)
class Wordy(Plain):
    """Gives a text where a card is meant."""

    name: ClassVar[str] = "wordy"

    def read(self, file):
        return "engine"


@frozen(kw_only=True)
class Silent(Plain):
    """Finds no card."""

    name: ClassVar[str] = "silent"

    def read(self, file):
        return None


@frozen(kw_only=True)
class Closed(Plain):
    """Fails where it opens."""

    name: ClassVar[str] = "closed"

    def open(self, file, ctx):
        raise RuntimeError("out of handles")


def registry(*exporters):
    return Registry(
        entries=[
            Entry(kind=KINDS["exporter"], name=cls.name, cls=cls, plugin="some", distribution="ours", version="1")
            for cls in exporters
        ]
    )


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "student.file").write_text(json.dumps(CARD))
    return tmp_path / "student.file"


@pytest.mark.parametrize("other", [Unmet, Raising, Refusing, Wordy, Silent])
def test_another_exporter_of_the_suffix_keeps_no_file_from_its_own(file, other):
    entry, card = read_exported(file, registry(Plain, other))
    assert (entry.cls, card) == (Plain, CARD)


@pytest.mark.parametrize(
    ("exporters", "told"),
    [
        ([Silent], "student.file: carries nothing of kdseg's; `kdseg export` writes files that do"),
        ([Refusing], "student.file: is damaged"),
        ([Silent, Raising], "exporter ours/raising cannot read student.file: ValueError: no engine of mine"),
        ([Wordy], "exporter ours/wordy reads a str in student.file, no card"),
        (
            [Raising, Unmet],
            (
                "exporter ours/raising cannot read student.file: ValueError: no engine of mine; exporter ours/unmet "
                "needs kdseg-no-such-library>=2 (not installed): pip install 'kdseg-no-such-library>=2'"
            ),
        ),
    ],
    ids=lambda value: "-".join(cls.name for cls in value) if isinstance(value, list) else "",
)
def test_where_none_reads_the_file_each_is_heard(file, exporters, told):
    with pytest.raises(KdsegError) as error:
        read_exported(file, registry(*exporters))
    assert str(error.value) == told


def test_a_suffix_that_no_exporter_has_is_told_with_what_is_absent(file):
    other = file.rename(file.with_suffix(".onnx"))
    for known, told in (
        (registry(Plain), "student.onnx: is no exported file; those end in .file"),
        (registry(), "student.onnx: no exporter is here to open it"),
        (
            evolve(registry(), absences=(Absence(distribution="theirs", cause="plugin theirs:x 1.0 (disabled)"),)),
            "student.onnx: no exporter is here to open it; one may have come from plugin theirs:x 1.0 (disabled)",
        ),
    ):
        with pytest.raises(KdsegError) as error:
            read_exported(other, known)
        assert str(error.value) == told


def test_what_an_exporter_raises_as_it_opens_is_told(file):
    with pytest.raises(KdsegError) as told:
        open_exported(file, trust_code=False, registry=registry(Closed))
    assert str(told.value) == "exporter ours/closed cannot open student.file: RuntimeError: out of handles"


@frozen(kw_only=True)
class Answering(Plain):
    """Gives what a test hands it."""

    name: ClassVar[str] = "answering"
    answer: ClassVar[object] = None

    def open(self, file, ctx):
        return lambda images: type(self).answer


SOUND = {"classes": torch.zeros(1, 32, 40, dtype=torch.uint8), "logits": torch.zeros(1, 2, 32, 40)}


@pytest.mark.parametrize(
    ("output", "answer", "given"),
    [
        ("classes", SOUND["classes"].long(), "int64 1x32x40"),
        ("classes", SOUND["classes"][:, None], "uint8 1x1x32x40"),
        ("classes", SOUND["classes"][:, ::2, ::2], "uint8 1x16x20"),
        ("classes", SOUND["classes"][0], "uint8 32x40"),
        ("classes", SOUND["classes"].numpy(), "a ndarray"),
        ("logits", SOUND["logits"].double(), "float64 1x2x32x40"),
        ("logits", SOUND["logits"][:, :1], "float32 1x1x32x40"),
        ("logits", SOUND["logits"][..., :20], "float32 1x2x32x20"),
        ("logits", None, "a NoneType"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_that_is_not_what_the_card_says_is_told(file, monkeypatch, output, answer, given):
    file.write_text(json.dumps(CARD | {"output": output}))
    model = open_exported(file, trust_code=False, registry=registry(Answering))
    image = np.zeros((32, 40, 3), np.uint8)
    monkeypatch.setattr(Answering, "answer", SOUND[output])
    assert model.predict(image).shape == (32, 40)
    monkeypatch.setattr(Answering, "answer", answer)
    with pytest.raises(KdsegError) as told:
        model.predict(image)
    wanted = {"classes": "uint8 1x32x40", "logits": "float32 1x2x32x40"}[output]
    assert str(told.value) == (
        f"student.file: gives {given} for 1 images of 32x40, and its card says {output}, which are {wanted}; tell "
        "whoever wrote the exporter"
    )
