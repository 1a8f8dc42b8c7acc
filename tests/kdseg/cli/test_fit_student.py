"""`kdseg fit-student`, as people type it, over a family small enough for a test."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from kdseg.data.image_files import read_rgb
from kdseg_unet.options import UNet

SMALL = ("--size", "32x64", "--classes", "5", "--threads", "1", "--runtime", "channels_last")


@pytest.fixture(autouse=True)
def family(monkeypatch, folder):
    few = [UNet(base=base, downsamplings=downs) for base in (4, 6, 8) for downs in (1, 2)]
    monkeypatch.setattr(UNet, "variants", classmethod(lambda _cls: few))


def test_people_get_a_table_and_a_line_for_their_recipe(kdseg, folder):
    done = kdseg("fit-student", "--params", "2e4", "--latency-ms", "10000", *SMALL, "--picture", "front.png")
    assert done.status == 0, done.err
    assert re.match(r"students within the budget, by channels_last: \d of \d networks", done.out)
    (line,) = re.findall(r"^backbone = (.*)$", done.out, re.MULTILINE)
    assert tomllib.loads(f"backbone = {line}")["backbone"]["use"] == "unet"
    assert re.search(r"latency is off: \d+% in the median", done.out)
    assert read_rgb(folder / "front.png", upright=False).ndim == 3


def test_one_network_within_the_budget_is_enough(kdseg, monkeypatch):
    monkeypatch.setattr(UNet, "variants", classmethod(lambda _cls: [UNet(base=4, downsamplings=1)]))
    done = kdseg("fit-student", *SMALL)
    assert done.status == 0, done.err
    assert "latency is off: unknown" in done.out


def test_programs_get_all_that_is_known(kdseg):
    done = kdseg("fit-student", "--params", "2e4", *SMALL, "--json")
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert found["front"]
    for one in found["front"]:
        assert one["parameters"] <= 2e4
        assert one["measured_ms"] > 0
        assert one["backbone"]["use"] == "kdseg/unet"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--params", "5"), "no network of the family has as few parameters"),
        (("--runtime", "openvin"), "--runtime openvin: no such runtime"),
        (("--backbone", "unet70m"), "--backbone unet70m: names one network, no family to search"),
        (("--runtime", "fit.onnx"), "--runtime fit.onnx: is one network, whatever is made; name an exporter, as"),
        (("--picture", "no/front.png"), "no/front.png: cannot be written: there is no folder no"),
        (("--backbone", "unett"), "unknown backbone 'unett'; did you mean 'unet'?"),
    ],
)
def test_mistakes_are_told(kdseg, folder, words, told):
    (folder / "fit.onnx").write_bytes(b"")
    done = kdseg("fit-student", *SMALL, *words)
    assert (done.status, done.out) == (2, "")
    assert told in done.err


@pytest.mark.parametrize("runtime", ["onnx", "pt2-bf16"])
def test_latencies_may_be_those_of_an_exporters_files(kdseg, runtime):
    words = [word if word != "channels_last" else runtime for word in SMALL]
    done = kdseg("fit-student", "--params", "1e4", *words, "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["front"][0]["measured_ms"] > 0


def test_what_an_exporter_does_not_write_is_told(kdseg):
    words = [word if word != "channels_last" else "onnx-bf16" for word in SMALL]
    done = kdseg("fit-student", *words)
    assert done.status == 2
    assert "--runtime onnx-bf16: onnx writes fp32, int8" in done.err
