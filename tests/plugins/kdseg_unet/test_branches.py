"""UNets with further heads: their names and sizes, what they share, and what they add to the plain network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.components import BackboneContext
from kdseg_unet import UNet, UNetBranches, UNetStudentFriendly

if TYPE_CHECKING:
    from torch import Tensor, nn

CONTEXT = BackboneContext(in_channels=3, num_classes=5)
SMALL = {"base": 4, "downsamplings": 3}
CASES = [
    UNetBranches(**SMALL),
    UNetBranches(**SMALL, branches=2, own_stages=3, norm="group"),
    UNetBranches(**SMALL, branches=4, own_stages=2, stem_stride=2, upsampling="bilinear", block="depthwise"),
    UNetStudentFriendly(**SMALL, student_base=2, students=(2, 3)),
    UNetStudentFriendly(**SMALL, student_base=3, students=(3, 1, 2), stem_stride=4, norm="group"),
]
HEADS = [
    ["logits", "branch2", "branch3", "ensemble"],
    ["logits", "branch2", "ensemble"],
    ["logits", "branch2", "branch3", "branch4", "ensemble"],
    ["logits", "student2", "student3"],
    ["logits", "student3", "student1", "student2"],
]
over_cases = pytest.mark.parametrize("backbone", CASES, ids=str)


def built(backbone: UNet, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return backbone.build(CONTEXT).double()


def moved_gate(network: nn.Module) -> nn.Module:
    """A gate that tells images apart: at first it does not."""
    with torch.no_grad():
        network.get_parameter("gate.weight").normal_()
        network.get_parameter("gate.bias").normal_()
    return network


@pytest.mark.parametrize(("backbone", "heads"), [*zip(CASES, HEADS, strict=True)], ids=str)
@settings(max_examples=10)
@given(height=st.integers(32, 75), width=st.integers(32, 75), train=st.booleans())
def test_heads_have_the_images_size_and_taps_their_stages(
    backbone: UNet, heads: list[str], height: int, width: int, train: bool
) -> None:
    network = built(backbone).train(train)
    stages = backbone.taps(network)
    assert list(stages) == [*(f"encoder.{i}" for i in (1, 2, 3)), "bottleneck", *(f"decoder.{i}" for i in (3, 2, 1))]
    seen: dict[str, Tensor] = {}
    for name, stage in stages.items():
        stage.register_forward_hook(lambda _module, _inputs, output, name=name: seen.update({name: output}))
    output = network(torch.randn(2, 3, height, width, dtype=torch.float64))
    assert list(output) == heads
    assert all(logits.shape == (2, 5, height, width) and logits.isfinite().all() for logits in output.values())
    assert list(seen) == list(stages)
    for name, features in seen.items():
        level = 3 if name == "bottleneck" else int(name.split(".")[1]) - 1
        cell = backbone.stem_stride * 2**level
        assert features.shape == (2, 4 * 2**level, math.ceil(height / cell), math.ceil(width / cell))


@over_cases
def test_without_its_further_heads_it_is_the_plain_network_of_the_same_seed(backbone: UNet) -> None:
    plain_options = {name: getattr(backbone, name) for name in (*SMALL, "block", "stem_stride", "upsampling", "norm")}
    network, plain = built(backbone), built(UNet(**plain_options))
    weights = network.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in plain.state_dict().items())
    images = torch.randn(2, 3, 45, 50, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(network.eval()(images)["logits"], plain.eval()(images))


@over_cases
def test_each_head_teaches_what_it_is_made_of_and_together_all(backbone: UNet) -> None:
    network = built(backbone)
    images = torch.randn(2, 3, 43, 39, dtype=torch.float64)
    reached: dict[str, set[str]] = {}
    for head in network(images):
        network.zero_grad(set_to_none=True)
        logits = network(images)[head]
        (logits * torch.randn_like(logits)).sum().backward()
        reached[head] = {
            name for name, one in network.named_parameters() if one.grad is not None and one.grad.abs().sum() > 0
        }
    every = {name for name, _ in network.named_parameters()}
    assert set().union(*reached.values()) == every
    for head, names in reached.items():
        assert {name for name in every if name.startswith("encoder.1.")} <= names
        if head == "ensemble":
            assert names == every - {name for name in every if name.startswith("gate.") and name not in names}
        own = {name.split(".")[1] for name in names if name.startswith(("branches.", "students."))}
        if head != "ensemble":
            assert own == {head.removeprefix("branch").removeprefix("student")} - {"logits"}
    assert {"gate.weight", "gate.bias"} & every <= reached.get("ensemble", set())


@pytest.mark.parametrize("backbone", [case for case in CASES if isinstance(case, UNetBranches)], ids=str)
def test_the_ensemble_is_the_sum_of_the_branches_by_shares_that_add_up_to_1(backbone: UNetBranches) -> None:
    network, images = built(backbone).eval(), torch.randn(3, 3, 40, 36, dtype=torch.float64)
    asked: list[Tensor] = []
    network.get_submodule("gate").register_forward_hook(lambda _module, _inputs, output: asked.append(output))
    with torch.no_grad():
        *branches, ensemble = network(images).values()
        torch.testing.assert_close(ensemble, torch.stack(branches).mean(0))  # shares are equal at first
        *branches, ensemble = moved_gate(network)(images).values()
    powers = asked[-1].exp()
    shares = powers / powers.sum(1, keepdim=True)
    assert shares.shape == (3, backbone.branches)
    assert (shares.std(0) > 1e-5).all()  # each image has its own
    torch.testing.assert_close(shares.sum(1), torch.ones(3, dtype=torch.float64))
    wanted = torch.einsum("nb,bnchw->nchw", shares, torch.stack(branches))
    torch.testing.assert_close(ensemble, wanted)


def test_the_gate_sees_the_trunk_alone() -> None:
    network = moved_gate(built(UNetBranches(**SMALL))).eval()
    seen: dict[str, Tensor] = {}
    network.get_submodule("decoder.2").register_forward_hook(lambda *args: seen.update(trunk=args[-1]))
    network.get_submodule("gate").register_forward_hook(lambda *args: seen.update(gate=args[1][0]))
    with torch.no_grad():
        network(torch.randn(2, 3, 40, 36, dtype=torch.float64))
    torch.testing.assert_close(seen["gate"], seen["trunk"].mean((2, 3)))


@pytest.mark.parametrize(("branches", "own"), [(2, 1), (3, 2), (4, 4)])
def test_branches_add_the_parameters_of_their_stages_and_the_gate(branches: int, own: int) -> None:
    with torch.device("meta"):
        network = UNetBranches(base=12, branches=branches, own_stages=own).build(CONTEXT)
        plain = UNet(base=12).build(CONTEXT)
    count = {name: parameter.numel() for name, parameter in network.named_parameters()}
    tail = sum(
        parameter.numel()
        for name, parameter in plain.named_parameters()
        if name.startswith("head.") or (name.startswith("decoder.") and int(name.split(".")[1]) <= own)
    )
    gate = (12 * 2**own + 1) * branches
    assert sum(count.values()) == sum(one.numel() for one in plain.parameters()) + (branches - 1) * tail + gate


def test_a_student_branch_is_the_students_decoder_on_adapted_features() -> None:
    """Its stages and head are those of the student, weight for weight in size; its output is theirs by hand."""
    network = built(UNetStudentFriendly(**SMALL, student_base=2, students=(2,))).eval()
    student = UNet(base=2, downsamplings=2).build(CONTEXT)
    branch = network.get_submodule("students.2.branch")
    shapes = {name: tuple(value.shape) for name, value in student.state_dict().items()}
    for name, value in branch.state_dict().items():
        assert shapes[name] == tuple(value.shape)
    seen: dict[str, Tensor] = {}
    for level in "123":
        network.get_submodule(f"encoder.{level}").register_forward_hook(
            lambda *args, level=level: seen.update({level: args[-1]})
        )
    with torch.no_grad():
        output = network(torch.randn(2, 3, 40, 36, dtype=torch.float64))["student2"]
        adapted = {level: network.get_submodule(f"students.2.adapt.{level}")(seen[level]) for level in "123"}
        x = adapted["3"]
        for level in "21":
            x = branch.get_submodule(f"decoder.{level}")(x, adapted[level])
        torch.testing.assert_close(branch.get_submodule("head")(x), output)


@over_cases
def test_the_state_dict_carries_the_whole_network(backbone: UNet) -> None:
    images = torch.randn(2, 3, 40, 40, dtype=torch.float64)
    one, other = built(backbone, 0), built(backbone, 1)
    one.train()(images)  # moves the running statistics
    other.load_state_dict(one.state_dict())
    with torch.no_grad():
        for head, logits in one.eval()(images).items():
            torch.testing.assert_close(other.eval()(images)[head], logits, rtol=0, atol=0)


@over_cases
def test_bf16_autocast_trains(backbone: UNet) -> None:
    network: Any = built(backbone).float()
    with torch.autocast("cpu", torch.bfloat16):
        output = network(torch.randn(2, 3, 64, 64))
    sum(logits.float().square().mean() for logits in output.values()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.slow
@over_cases
def test_compile_gives_the_same_logits_in_one_graph(backbone: UNet) -> None:
    torch.compiler.reset()
    network = built(backbone).eval()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    images = torch.randn(1, 3, 43, 57, dtype=torch.float64)
    with torch.no_grad():
        for head, logits in network(images).items():
            torch.testing.assert_close(compiled(images)[head], logits)
