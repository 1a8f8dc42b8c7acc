"""The C++ programs of the page on exports: compiled as it says, their masks held against Python's."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from exported_student import STUDENT
from rich.console import Console

from kdseg import load as kdseg_load
from kdseg.engine.deploy.export import ExportSettings, export_run
from kdseg.engine.run.start import run_recipe
from kdseg.engine.splits.open import open_split
from kdseg.recipe.load import load_recipe

pytestmark = pytest.mark.slow
HEADERS = Path(os.environ.get("KDSEG_ONNXRUNTIME_INCLUDE", "/usr/include/onnxruntime")).absolute()
FILES = {
    "fp32": {},
    "fixed": {"size": (64, 96)},
    "int8": {"precision": "int8"},
    "logits": {"logits": True},
}
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
WITHIN = {"onnx": 0.0, "openvino": 0.001}
"""The share of pixels that may differ: OpenVINO may have in bf16 what is not in int8, on other threads than Python."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "recipe.toml").write_text(STUDENT, encoding="utf-8")
    recipe = load_recipe(folder / "recipe.toml", [f"output.folder='{folder / 'runs'}'"])
    run_recipe(recipe)
    image = open_split(recipe.recipe, "val")[0].image
    cv2.imwrite(str(folder / "street.ppm"), image[..., ::-1])
    cv2.imwrite(str(folder / "narrow.ppm"), image[:, :80, ::-1])
    return folder


@pytest.fixture(scope="module", params=SUFFIXES)
def to(request):
    """The exporter whose files the programs take."""
    for library in (
        "onnxruntime",
        "onnx",
        "onnxscript",
        *(("openvino", "nncf") if request.param == "openvino" else ()),
    ):
        pytest.importorskip(library)
    return request.param


@pytest.fixture(scope="module")
def segment(to, pages, tmp_path_factory):
    """Run the program: ``segment(file, image, mask)`` gives what it ended with and what it said."""
    if shutil.which("g++") is None:
        pytest.skip("there is no g++")
    program = {"onnx": "segment_onnxruntime.cpp", "openvino": "segment_openvino.cpp"}[to]
    page = pages["docs/deploy.md"]
    (block,) = [block.text for block in page.blocks if f"g++ -std=c++17 -O2 {program}" in block.text]
    script = block.replace("$(python ", f"$({shlex.quote(sys.executable)} ").replace(
        "g++ ", "g++ -Wall -Wextra -Werror "
    )
    if to == "onnx":
        script = script.replace("headers=/usr/include/onnxruntime\n", f"headers={shlex.quote(str(headers()))}\n")
    folder = tmp_path_factory.mktemp("compiled")
    for file in (page.path.parent / "deploy").iterdir():
        shutil.copy(file, folder)
    compiling = "".join(line for line in script.splitlines(keepends=True) if not line.startswith("./segment "))
    done = subprocess.run(["bash", "-euc", compiling], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    def run(*words):
        done = subprocess.run([folder / "segment", *words], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    return run


def headers():
    """The folder of ONNX Runtime's headers."""
    for folder in (HEADERS, HEADERS / "core" / "session"):
        if (folder / "onnxruntime_cxx_api.h").is_file():
            return folder
    return pytest.skip(
        f"there are no headers of ONNX Runtime in {HEADERS}: install libonnxruntime-dev, which Debian 13 has, or have "
        "KDSEG_ONNXRUNTIME_INCLUDE say where the folder `include` of ONNX Runtime's release archive is"
    )


@pytest.fixture(scope="module")
def exported(segment, to, trained):
    """Give an export by its name among `FILES`, written once."""

    def export(name):
        file = trained / f"{name}{SUFFIXES[to]}"
        if not file.exists():
            settings = ExportSettings(to=to, images=1, max_drop=100.0, least_equal=0.0, **FILES[name])
            (run,) = (trained / "runs" / "recipe").glob("2*")
            console = Console(file=io.StringIO())
            export_run(run, settings, output=file, model=None, which="best", trust_code=False, console=console)
        return file

    return export


@pytest.mark.parametrize("name", ["fp32", "fixed", "int8"])
def test_the_mask_is_pythons(segment, exported, to, trained, tmp_path, one_thread, name):
    file, mask = exported(name), tmp_path / "mask.pgm"
    assert segment(file, trained / "street.ppm", mask) == (0, "")
    image = cv2.imread(str(trained / "street.ppm"))[..., ::-1]
    wanted = kdseg_load(file).predict(image)
    found = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    assert found.shape == wanted.shape
    assert len(np.unique(found)) > 1
    assert (found != wanted).mean() <= WITHIN[to]


def test_a_file_of_any_size_takes_another_size(segment, exported, to, trained, tmp_path, one_thread):
    file, mask = exported("fp32"), tmp_path / "mask.pgm"
    assert segment(file, trained / "narrow.ppm", mask) == (0, "")
    image = cv2.imread(str(trained / "narrow.ppm"))[..., ::-1]
    found = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    assert (found != kdseg_load(file).predict(image)).mean() <= WITHIN[to]


def test_a_file_of_one_size_refuses_another(segment, exported, trained, tmp_path):
    file = exported("fixed")
    told = f"{file}: takes images of height and width [64, 96]; this one has [64, 80]\n"
    assert segment(file, trained / "narrow.ppm", tmp_path / "mask.pgm") == (2, told)
    assert not (tmp_path / "mask.pgm").exists()


def test_a_file_of_logits_is_refused(segment, exported, trained, tmp_path):
    file = exported("logits")
    told = f'{file}: gives "logits"; export it without --logits\n'
    assert segment(file, trained / "street.ppm", tmp_path / "mask.pgm") == (2, told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be opened"),
        (b"", "is no binary PPM of 8 bits"),
        (b"\x89PNG\r\n\x1a\n", "is no binary PPM of 8 bits"),
        (b"P5\n40 32\n255\n" + bytes(40 * 32), "is no binary PPM of 8 bits"),
        (b"P6\n40 32\n65535\n" + bytes(40 * 32 * 6), "is no binary PPM of 8 bits"),
        (b"P6\n4294967296 4294967296\n255\n", "is no binary PPM of 8 bits"),
        (b"P6\n40 32\n255\n" + bytes(100), "has 100 bytes of pixels where its size says 3840"),
    ],
)
def test_what_is_no_image_is_refused(segment, exported, tmp_path, content, told):
    image = tmp_path / "street.ppm"
    if content is not None:
        image.write_bytes(content)
    assert segment(exported("fp32"), image, tmp_path / "mask.pgm") == (2, f"{image}: {told}\n")


def test_an_image_may_have_comments(segment, exported, tmp_path):
    (tmp_path / "street.ppm").write_bytes(b"P6\n# of a camera\n40 32\n# of 8 bits\n255\n" + bytes(40 * 32 * 3))
    assert segment(exported("fp32"), tmp_path / "street.ppm", tmp_path / "mask.pgm") == (0, "")


def test_files_that_it_cannot_use_are_refused(segment, exported, to, trained, tmp_path):
    file, image, mask = exported("fp32"), trained / "street.ppm", tmp_path / "mask.pgm"
    status, told = segment(tmp_path / f"none{SUFFIXES[to]}", image, mask)
    assert status == 2
    assert f"none{SUFFIXES[to]}" in told
    lost = tmp_path / "none" / "mask.pgm"
    assert segment(file, image, lost) == (2, f"{lost}: cannot be written\n")
    assert segment(file, image) == (2, f"usage: segment FILE{SUFFIXES[to]} IMAGE.ppm MASK.pgm\n")


def test_a_file_without_a_card_is_refused(segment, exported, to, trained, tmp_path):
    bare = tmp_path / f"bare{SUFFIXES[to]}"
    if to == "onnx":
        import onnx

        model = onnx.load(exported("fp32"))
        del model.metadata_props[:]
        onnx.save(model, bare)
    else:
        import openvino

        model = openvino.Core().read_model(exported("fp32"))
        del model.rt_info["kdseg"]
        openvino.save_model(model, bare)
    told = f"{bare}: was not written by kdseg export\n"
    assert segment(bare, trained / "street.ppm", tmp_path / "mask.pgm") == (2, told)
