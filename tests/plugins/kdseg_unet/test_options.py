from __future__ import annotations

import subprocess
import sys
from typing import Any

import pluggy
import pytest
from attrs import asdict, fields

import kdseg_unet
from kdseg import hookspecs
from kdseg_unet import UNet, UNet1M, UNet1MFast, UNet70M, UNetBranches, UNetStudentFriendly


def test_import_loads_no_heavy_library() -> None:
    code = (
        "import sys, kdseg_unet; kdseg_unet.kdseg_backbones();"
        "print(*{'torch', 'accelerate', 'wandb', 'albumentations', 'cv2', 'numpy', 'safetensors'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_the_hook_hands_over_the_family() -> None:
    manager = pluggy.PluginManager("kdseg")
    manager.add_hookspecs(hookspecs)
    manager.register(kdseg_unet)
    manager.check_pending()
    (classes,) = manager.hook.kdseg_backbones()
    assert [cls.name for cls in classes] == [
        "unet",
        "unet70m",
        "unet1m",
        "unet1m_fast",
        "unet_branches",
        "unet_student_friendly",
    ]


@pytest.mark.parametrize(
    ("option", "value", "right"),
    [
        ("base", 0, ">= 1"),
        ("base", -3, ">= 1"),
        ("downsamplings", 0, ">= 1"),
        ("downsamplings", 9, "<= 8"),
        ("block", "thick", "('plain', 'depthwise')"),
        ("stem_stride", 3, "(1, 2, 4)"),
        ("stem_stride", 0, "(1, 2, 4)"),
        ("upsampling", "nearest", "('transposed', 'bilinear')"),
        ("norm", "layer", "('batch', 'group')"),
        ("dropout", 1.5, "< 1"),
        ("dropout", 1.0, "< 1"),
        ("dropout", -0.1, ">= 0"),
        ("dropout", float("nan"), ">= 0"),
        ("activation", "tanh", "('relu', 'leaky_relu', 'silu')"),
    ],
)
def test_a_bad_option_is_refused_with_what_is_right(option: str, value: Any, right: str) -> None:
    with pytest.raises(ValueError) as refused:
        UNet(**{option: value})
    assert option in str(refused.value)
    assert right in str(refused.value)


@pytest.mark.parametrize("cls", [UNet70M, UNet1M, UNet1MFast])
@pytest.mark.parametrize("bad", [{"base": 0}, {"dropout": 1.5}])
def test_a_bad_option_of_a_named_size_is_refused(cls: type, bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        cls(**bad)


def test_the_named_sizes_describe_shared_options_in_the_same_words() -> None:
    shared = {field.name: field.type for field in fields(UNet)}
    for cls in (UNet70M, UNet1M, UNet1MFast):
        assert asdict(cls()).keys() == {"base", "dropout"}
        assert all(field.type == shared[field.name] for field in fields(cls))


@pytest.mark.parametrize(
    ("cls", "options", "says"),
    [
        (UNetBranches, {"branches": 1}, "branches.*>= 2"),
        (UNetBranches, {"own_stages": 0}, "own_stages.*>= 1"),
        (UNetBranches, {"own_stages": 4, "downsamplings": 3}, "own_stages must be <= downsamplings, 3: 4"),
        (UNetStudentFriendly, {"students": ()}, r"students must be among 1 to 5.*: \[\]"),
        (UNetStudentFriendly, {"students": (1, 6)}, r"students must be among 1 to 5.*: \[1, 6\]"),
        (UNetStudentFriendly, {"students": (2, 2)}, r"students must differ: \[2, 2\]"),
        (UNetStudentFriendly, {"student_base": 0}, "student_base.*>= 1"),
    ],
)
def test_branches_that_cannot_be_are_refused(cls: type, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        cls(**options)
