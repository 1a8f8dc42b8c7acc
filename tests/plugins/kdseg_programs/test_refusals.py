"""Files that are no programs, or others than a recipe needs, are told with their path and what would mend it."""

from __future__ import annotations

import subprocess
import sys
import warnings
import zipfile

import pytest
import torch
from torch import nn

from kdseg.components import BackboneContext
from kdseg.errors import KdsegError
from kdseg_programs import Exported, Onnx, TorchScript

FEW = BackboneContext(in_channels=3, num_classes=5)


def refusal(opened, sort, file):
    with pytest.raises(KdsegError) as error:
        opened(sort, file, FEW)
    assert str(error.value).startswith(f"{file}: ")
    return str(error.value).removeprefix(f"{file}: ")


@pytest.mark.parametrize("sort", ["exported", "torchscript"])
def test_a_file_that_is_code_needs_trust(written, sort):
    component = {"exported": Exported, "torchscript": TorchScript}[sort]()
    file = written.folder / "teacher.pt2"
    with pytest.raises(KdsegError, match=rf'can run code of its maker.s .* use = "{sort}", trust_code = true'):
        component.open(component.build(FEW), file)


@pytest.mark.parametrize(
    ("sort", "name", "text"),
    [
        ("exported", "teacher.ts", 'is a TorchScript program; say use = "torchscript"'),
        ("exported", "teacher.onnx", "is no archive of torch's, or is cut short"),
        ("torchscript", "teacher.pt2", 'is what torch.export.save wrote; say use = "exported"'),
        ("torchscript", "teacher.onnx", "is no archive of torch's"),
        ("onnx", "teacher.ts", "cannot open it"),
        ("onnx", "teacher.safetensors", "cannot open it"),
    ],
)
def test_another_sort_of_file_is_told(written, opened, sort, name, text):
    assert text in refusal(opened, sort, written.folder / name)


@pytest.mark.parametrize("sort", ["exported", "torchscript"])
def test_tensors_are_no_program(opened, tmp_path, sort):
    torch.save({"weight": torch.ones(1)}, tmp_path / "weights.pth")
    assert "what torch.save wrote of tensors or objects, and no program" in refusal(
        opened, sort, tmp_path / "weights.pth"
    )


@pytest.mark.parametrize(("sort", "suffix"), [("exported", "pt2"), ("torchscript", "ts"), ("onnx", "onnx")])
def test_a_file_that_is_cut_short_is_told(written, opened, tmp_path, capfd, sort, suffix):
    file = tmp_path / f"short.{suffix}"
    content = (written.folder / f"teacher.{suffix}").read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert "cut short" in (told := refusal(opened, sort, file)) or "cannot open it" in told
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("sort", "suffix", "part"), [("exported", "pt2", "models/"), ("torchscript", "ts", "code/")])
def test_a_damaged_archive_is_told_without_a_traceback(written, opened, tmp_path, capfd, sort, suffix, part):
    file = tmp_path / f"damaged.{suffix}"
    with zipfile.ZipFile(written.folder / f"teacher.{suffix}") as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"nonsense" if part in name else old.read(name))
    assert "cannot open it: " in refusal(opened, sort, file)
    assert capfd.readouterr() == ("", "")


def test_a_compiled_package_is_told(opened, tmp_path):
    with zipfile.ZipFile(tmp_path / "compiled.pt2", "w") as archive:
        archive.writestr("compiled/data/aotinductor/model/wrapper.so", b"")
    assert "compiled for one machine by AOTInductor" in refusal(opened, "exported", tmp_path / "compiled.pt2")


def test_a_network_in_train_mode_is_refused(opened, tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.Dropout(0.5)).train()
    for name, module in (("norm", network[:2]), ("dropout", nn.Sequential(network[0], network[2]))):
        file = tmp_path / f"{name}.pt2"
        torch.export.save(torch.export.export(module, (torch.randn(2, 3, 64, 64),)), file)
        assert "was exported in train mode; call eval()" in refusal(opened, "exported", file)


def write_onnx(network, images, file, *, external_data=False):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about itself
        torch.onnx.export(network, images, str(file), dynamo=True, verbose=False, external_data=external_data)


class Two(nn.Module):
    def forward(self, images, masks):
        return images * masks


class Plain(nn.Module):
    def forward(self, images):
        return images * 2


@pytest.mark.parametrize("sort", ["exported", "torchscript", "onnx"])
def test_other_inputs_are_refused(writer, opened, tmp_path, sort):
    suffix = writer.SORTS[sort]
    rows = writer.write_program(Plain(), tmp_path / f"rows.{suffix}", (2, 64, 64, 3), fixed=True)
    if sort == "torchscript":  # it says nothing of shapes
        assert opened(sort, rows, FEW) is not None
    else:
        assert "its program takes 2×64×64×3; images N×3×H×W are needed" in refusal(opened, sort, rows)
    two = tmp_path / f"two.{suffix}"
    images = torch.randn(2, 3, 64, 64)
    if sort == "exported":
        torch.export.save(torch.export.export(Two(), (images, images)), two)
    elif sort == "torchscript":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its deprecation
            torch.jit.save(torch.jit.trace(Two(), (images, images)), str(two))
    else:
        write_onnx(Two(), (images, images), two)
    assert "its program has 2 inputs (images, masks); one, of images, is needed" in refusal(opened, sort, two)


def test_whole_numbers_other_than_bytes_are_refused(writer, opened, tmp_path):
    images = torch.ones(2, 3, 64, 64, dtype=torch.int64)
    file = writer.write_program(Plain(), tmp_path / "long.pt2", images=images)
    assert refusal(opened, "exported", file) == "takes int64, which images are not"


def test_weights_in_other_files_are_refused(writer, opened, tmp_path):
    write_onnx(nn.Conv2d(3, 400, 9).eval(), (torch.randn(1, 3, 64, 64),), tmp_path / "a.onnx", external_data=True)
    assert (tmp_path / "a.onnx.data").exists()
    told = refusal(opened, "onnx", tmp_path / "a.onnx")
    assert "keeps its weights in other files, which the recipe's hash would not hold" in told


def test_another_size_than_the_programs_only_one_is_refused(writer, opened, tmp_path):
    file = writer.write_program(nn.Conv2d(3, 5, 1), tmp_path / "fixed.onnx", (1, 3, 64, 96), fixed=True)
    with pytest.raises(KdsegError, match="takes images of 64x96 alone; here size is 32x32"):
        opened("onnx", file, FEW, size=(32, 32))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": (64,)}, "write the height and the width"),
        ({"size": (64, 8)}, ">= 32"),
        ({"images": "unit", "mean": (0, 0, 0)}, 'mean and std are of images = "normalised"; here it is "unit"'),
        ({"std": (0, 1, 1)}, ">= 0.001"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, text):
    for component in (Exported, TorchScript, Onnx):
        with pytest.raises(ValueError, match=text):
            component(**options)


def test_before_a_file_is_open_nothing_runs():
    with pytest.raises(KdsegError, match="no program is open"):
        Onnx().build(FEW)(torch.randn(1, 3, 32, 32))


def test_the_plugin_loads_no_library_before_a_program_is_opened():
    code = "import sys, kdseg_programs; print([name for name in ('torch', 'onnxruntime') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
