"""`kdseg profile`, as people type it."""

from __future__ import annotations

import json
import re

import pytest

from kdseg.data.image_files import read_rgb

FEW = ("--size", "64x96", "--rounds", "5", "--seconds", "2", "--threads", "1")


@pytest.mark.usefixtures("folder")
def test_a_backbone_is_counted_and_measured(kdseg):
    done = kdseg("profile", "unet", "--set", "base=4", "--set", "downsamplings=2", "--classes", "5", *FEW, "--json")
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert (found["name"], found["size"], found["batch"]) == ("unet", [64, 96], 1)
    assert found["machine"]["threads"] == 1
    assert list(found["runtimes"]) == ["eager", "channels_last", "optimized", "bf16"]
    assert found["runtimes"]["eager"]["times_as_fast"] == 1.0
    for told in found["runtimes"].values():
        assert 0 < told["low"] <= told["p50"] <= told["high"]
        assert (told["p95"], told["p99"]) == (None, None)  # of five rounds
        assert told["rounds"] >= 5
        assert told["images_per_second"] == pytest.approx(1000 / told["p50"])
    peak = found["machine"]["peak_gflops_fp32"] * 1e9
    eager = found["runtimes"]["eager"]
    assert eager["share_of_peak"] == pytest.approx(2 * found["macs"] / (eager["p50"] / 1000) / peak)
    assert found["macs"] == sum(layer["macs"] for layer in found["layers"])


@pytest.mark.usefixtures("folder")
def test_people_get_tables_and_a_picture(kdseg, folder):
    runtimes = ("--runtime", "channels_last", "--runtime", "optimized", "--layers", "2")
    done = kdseg("profile", "unet1m", *FEW, *runtimes, "--picture", "layers.png")
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert re.fullmatch(r"unet1m: 1x64x96 on .*, 1 threads, PyTorch \S+", lines[0])
    assert "parameters" in lines[1]
    assert "1.094 M" in lines[1]
    assert [line.split()[0] for line in lines if re.match(r"  (channels_last|optimized) ", line)] == [
        "channels_last",
        "optimized",
    ]
    layers = lines[next(n for n, line in enumerate(lines) if line.startswith("the costliest layers")) + 2 : -1]
    milliseconds = [float(re.split(r"  +", line.strip())[2]) for line in layers]
    assert len(milliseconds) == 2
    assert milliseconds == sorted(milliseconds, reverse=True)
    assert read_rgb(folder / "layers.png", upright=False).shape[2] == 3


@pytest.mark.usefixtures("folder")
def test_an_exporter_is_a_runtime(kdseg):
    runtimes = ("--runtime", "eager", "--runtime", "pt2", "--runtime", "pt2-bf16")
    done = kdseg("profile", "unet", "--set", "base=4", *FEW, *runtimes, "--json")
    assert done.status == 0, done.err
    found = json.loads(done.out)["runtimes"]
    assert list(found) == ["eager", "pt2", "pt2-bf16"]
    assert all(told["p50"] > 0 for told in found.values())
    refused = kdseg("profile", "unet", *FEW, "--runtime", "pt2-int8")
    assert refused.status == 2
    assert "--runtime pt2-int8: pt2 writes fp32, bf16" in refused.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("unet2m",), "unknown backbone 'unet2m'; did you mean 'unet1m'?"),
        (("unet1m", "--runtime", "egar"), "--runtime egar: no such runtime; did you mean 'eager'?"),
        (("unet1m", "--device", "cuda:9"), "--device cuda:9: not here: "),
        (("unet1m", "--device", "meta"), "--device meta: cpu, cuda or cuda:N is needed"),
        (("unet1m", "--device", "hpu"), "--device hpu: cpu, cuda or cuda:N is needed"),
        (("unet1m", "--runtime", "onnx-a.onnx"), "onnx-a.onnx: ONNX Runtime"),
        (
            ("unet1m", "--runtime", "onnx-b.onnx"),
            "--runtime onnx-b.onnx: no such file; did you mean 'onnx-a.onnx'?",
        ),
        (("unet1m", "--runtime", "no/file"), "--runtime no/file: no such file\n"),
        (("unet1m", "--picture", "no/layers.png"), "no/layers.png: cannot be written: there is no folder no"),
        (("unet1m", "--model", "student"), "--model student: is for a run; unet1m is a backbone"),
        (("runs/nope",), "runs/nope: no such run, and no backbone"),
        (("onnx-b.onnx",), "onnx-b.onnx: no such file or run; did you mean 'onnx-a.onnx'?"),
        (("exported",), "exported: runs the program in a file, and is no network without one; name one of modules"),
        (("kdseg/unet2m",), "unknown backbone 'kdseg/unet2m'"),
        (("onnx-a.onnx",), "onnx-a.onnx: is a file; give the RUN that it came from, and --runtime onnx-a.onnx"),
        ((".", "--classes", "3"), "--classes 3: the network of a run has its own classes"),
        (("unet1m", "--set", "bas=4"), "bas"),
        ((".", "--set", "base=4"), "--set base=4: the network of a run is built already"),
        ((".",), "no run here"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_mistakes_are_told(kdseg, folder, words, told):
    (folder / "onnx-a.onnx").write_bytes(b"hello")
    done = kdseg("profile", *words, *FEW)
    assert done.status == 2
    assert told in done.err
    assert "Traceback" not in done.err


@pytest.mark.usefixtures("folder")
def test_a_compiler_that_is_not_there_is_told(kdseg, monkeypatch):
    from torch._inductor import config, cpp_builder

    cpp_builder.cpp_compiler_search.cache_clear()
    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    done = kdseg("profile", "unet", "--set", "base=4", *FEW, "--runtime", "compiled")
    cpp_builder.cpp_compiler_search.cache_clear()
    assert done.status == 2
    assert "torch.compile finds no C++ compiler" in done.err


def test_a_run_is_measured_by_its_folder(kdseg, write):
    write()
    assert kdseg("run", "recipe.toml").status == 0
    done = kdseg("profile", "runs/job", *FEW, "--runtime", "optimized", "--json")
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert list(found["runtimes"]) == ["optimized"]
    assert found["parameters"] == sum(layer["parameters"] for layer in found["layers"])
