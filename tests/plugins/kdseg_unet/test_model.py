from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kdseg.components import Backbone, BackboneContext
from kdseg_unet import UNet, UNet1M, UNet1MFast, UNet70M, __main__

if TYPE_CHECKING:
    from torch import Tensor

CONTEXT = BackboneContext(in_channels=3, num_classes=19)
VARIANTS = [
    {},
    {"block": "depthwise"},
    {"stem_stride": 2},
    {"stem_stride": 4, "upsampling": "bilinear"},
    {"norm": "group", "activation": "silu"},
    {"downsamplings": 5, "activation": "leaky_relu"},
]


def tiny(seed: int = 0, **options: Any) -> nn.Module:
    torch.manual_seed(seed)
    return UNet(**{"base": 4, "downsamplings": 3, **options}).build(BackboneContext(in_channels=3, num_classes=5))


def hand_count(base: int, downsamplings: int, stem: int, height: int, width: int) -> tuple[int, int]:
    """Count parameters and multiply-adds of one image, of the plain transposed UNet with batch norm, at 19 classes."""
    parameters = macs = 0

    def conv(inputs: int, outputs: int, kernel: int, cells: int, extra: int) -> None:
        # `cells` are those at which the whole kernel is applied; `extra` per output channel: bias, or scale and shift.
        nonlocal parameters, macs
        parameters += inputs * outputs * kernel**2 + extra * outputs
        macs += inputs * outputs * kernel**2 * cells

    area = [height * width // (stem * 2**i) ** 2 for i in range(downsamplings + 1)]
    inputs = 3
    if stem > 1:
        conv(3, base, 2 * stem, area[0], 2)
        inputs = base
    for i in range(downsamplings + 1):
        conv(inputs, base * 2**i, 3, area[i], 2)
        conv(base * 2**i, base * 2**i, 3, area[i], 2)
        inputs = base * 2**i
    for i in reversed(range(downsamplings)):
        channels = base * 2**i
        conv(2 * channels, channels, 2, area[i + 1], 1)
        conv(2 * channels, channels, 3, area[i], 2)
        conv(channels, channels, 3, area[i], 2)
    conv(base, 19, stem, area[0], 1)
    return parameters, macs


@pytest.mark.parametrize(
    ("backbone", "shape", "parameters", "gmac"),
    [
        (UNet70M(), (48, 5, 1), 69_966_595, 268.72),
        (UNet(), (32, 4, 1), 7_763_635, 96.87),
        (UNet1M(), (12, 4, 1), 1_093_615, 13.80),
        (UNet1MFast(), (12, 4, 2), 1_095_871, 3.74),
    ],
    ids=lambda value: value.name if isinstance(value, Backbone) else None,
)
def test_parameters_and_work_are_as_counted_by_hand(
    backbone: Backbone, shape: tuple[int, int, int], parameters: int, gmac: float
) -> None:
    with torch.device("meta"):
        network = backbone.build(CONTEXT)
        with FlopCounterMode(display=False) as counter:
            logits = network(torch.empty(1, 3, 512, 1024))
    assert logits.shape == (1, 19, 512, 1024)
    assert logits.is_meta
    counted = (sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2)
    assert counted == hand_count(*shape, 512, 1024)
    assert counted[0] == parameters
    assert round(counted[1] / 1e9, 2) == gmac


@settings(max_examples=100)
@given(
    height=st.integers(32, 97),
    width=st.integers(32, 97),
    options=st.fixed_dictionaries(
        {
            "base": st.integers(1, 5),
            "downsamplings": st.integers(1, 6),
            "block": st.sampled_from(["plain", "depthwise"]),
            "stem_stride": st.sampled_from([1, 2, 4]),
            "upsampling": st.sampled_from(["transposed", "bilinear"]),
            "activation": st.sampled_from(["relu", "leaky_relu", "silu"]),
        }
    ),
    train=st.booleans(),
)
def test_any_size_gives_logits_at_the_images_size_and_taps_at_their_stages_size(
    height: int, width: int, options: dict[str, Any], train: bool
) -> None:
    backbone = UNet(**options)
    network = backbone.build(BackboneContext(in_channels=3, num_classes=2)).train(train)
    stages = backbone.taps(network)
    n = backbone.downsamplings
    assert list(stages) == [
        *(f"encoder.{i}" for i in range(1, n + 1)),
        "bottleneck",
        *(f"decoder.{i}" for i in range(n, 0, -1)),
    ]
    seen: dict[str, Tensor] = {}
    for name, stage in stages.items():
        stage.register_forward_hook(lambda _module, _inputs, output, name=name: seen.update({name: output}))
    logits = network(torch.randn(2, 3, height, width))
    assert logits.shape == (2, 2, height, width)
    assert logits.isfinite().all()
    assert list(seen) == list(stages)  # told in the order in which they run
    for name, features in seen.items():
        level = n if name == "bottleneck" else int(name.split(".")[1]) - 1
        cell = backbone.stem_stride * 2**level
        assert features.shape == (2, backbone.base * 2**level, math.ceil(height / cell), math.ceil(width / cell))


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_taps_are_submodules_by_their_dotted_path(options: dict[str, Any]) -> None:
    network = tiny(**options)
    for name, stage in UNet().taps(network).items():
        assert network.get_submodule(name) is stage


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_nothing_overwrites_what_a_tap_on_any_submodule_holds(options: dict[str, Any]) -> None:
    network = tiny(**options)
    held: list[tuple[Tensor, Tensor]] = []
    for module in network.modules():
        module.register_forward_hook(lambda _module, _inputs, output: held.append((output, output.detach().clone())))
    network(torch.randn(2, 3, 40, 36)).square().sum().backward()
    assert len(held) > 20
    for output, then in held:
        assert torch.equal(output, then)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_gradient_reaches_every_parameter_and_pixel(options: dict[str, Any]) -> None:
    # Odd sizes: the last row and column have cells of their own. Float64, so that none is lost in rounding.
    network = tiny(**options).double()
    images = torch.randn(2, 3, 43, 39, dtype=torch.float64, requires_grad=True)
    logits = network(images)
    (logits * torch.randn_like(logits)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert images.grad is not None
    assert (images.grad != 0).all()


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_a_mirrored_network_gives_mirrored_logits(options: dict[str, Any]) -> None:
    # True only if nothing lies half a pixel off: stem, pooling, upsampling and head share one grid.
    network, images = tiny(**options).double().eval(), torch.randn(2, 3, 64, 128, dtype=torch.float64)
    with torch.no_grad():
        logits = network(images)
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.copy_(parameter.flip(-1))
        torch.testing.assert_close(network(images.flip(-1)), logits.flip(-1))


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_shifting_the_image_by_whole_coarsest_cells_shifts_the_logits(options: dict[str, Any]) -> None:
    network = tiny(**{**options, "downsamplings": 1, "norm": "batch"}).double().eval()
    cell = 2 * options.get("stem_stride", 1)
    margin = 16 * cell  # beyond what the borders' zeros can reach
    images = torch.randn(1, 3, 40 * cell, 40 * cell, dtype=torch.float64)
    with torch.no_grad():
        there = network(images)[..., margin:-margin, margin:-margin]
        shifted = network(images.roll((cell, -cell), dims=(-2, -1)))
    torch.testing.assert_close(shifted.roll((-cell, cell), dims=(-2, -1))[..., margin:-margin, margin:-margin], there)


def test_with_group_norm_an_image_does_not_feel_its_batch() -> None:
    network = tiny(norm="group").double().train()
    images = torch.randn(2, 3, 45, 50, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(network(images), torch.cat([network(images[:1]), network(images[1:])]))


def test_with_group_norm_training_and_evaluation_do_the_same() -> None:
    network, images = tiny(norm="group"), torch.randn(1, 3, 45, 50)
    with torch.no_grad():
        torch.testing.assert_close(network.train()(images), network.eval()(images), rtol=0, atol=0)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_without_dropout_no_random_number_is_drawn(options: dict[str, Any]) -> None:
    network, images = tiny(**options).train(), torch.randn(2, 3, 40, 40)
    before = torch.get_rng_state()
    network(images).sum().backward()
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_is_deterministic_with_dropout_and_training_is_not() -> None:
    network, images = tiny(dropout=0.5, norm="group"), torch.randn(2, 3, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(images), network(images), rtol=0, atol=0)
        assert not torch.equal(network.train()(images), network(images))


def test_dropout_empties_whole_channels_of_the_bottleneck_and_spares_its_tap() -> None:
    network = tiny(dropout=0.5, base=16)
    seen: dict[str, Tensor] = {}
    for name in ("bottleneck", "dropout"):
        network.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.update({name: output})
        )
    network.train()(torch.randn(4, 3, 64, 64))
    kept = seen["dropout"].flatten(2).any(-1)
    assert 0.35 < kept.double().mean() < 0.65  # 512 channels: 6.8 standard deviations either side
    scale = (kept * 2.0)[:, :, None, None]  # the kept are scaled by 1/(1-p)
    torch.testing.assert_close(seen["dropout"], seen["bottleneck"] * scale)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_the_state_dict_carries_the_whole_network(options: dict[str, Any]) -> None:
    images = torch.randn(2, 3, 40, 40)
    one, other = tiny(seed=0, **options), tiny(seed=1, **options)
    one.train()(images)  # moves the running statistics
    other.load_state_dict(one.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(one.eval()(images), other.eval()(images), rtol=0, atol=0)


def test_first_weights_follow_the_seed() -> None:
    same, again, different = tiny(seed=3), tiny(seed=3), tiny(seed=4)
    assert all(torch.equal(a, b) for a, b in zip(same.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(same.parameters()), next(different.parameters()))


@pytest.mark.parametrize("options", [{}, {"block": "depthwise"}, {"stem_stride": 4, "upsampling": "bilinear"}], ids=str)
def test_first_weights_have_hes_deviation(options: dict[str, Any]) -> None:
    network = tiny(base=32, **options)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            # Input values that one output value sums over; transposed, the squares of the outputs don't overlap.
            seen = module.in_channels // module.groups
            seen *= 1 if isinstance(module, nn.ConvTranspose2d) else math.prod(module.kernel_size)
            expected = math.sqrt((2 if module.bias is None else 1) / seen)
            tolerance = 5 / math.sqrt(2 * module.weight.numel())  # five deviations of a sample's deviation
            assert module.weight.detach().square().mean().sqrt() == pytest.approx(expected, rel=tolerance), name
            assert module.bias is None or not module.bias.any(), name


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_channels_last_gives_the_same_logits(options: dict[str, Any]) -> None:
    network, images = tiny(**options).double().eval(), torch.randn(2, 3, 41, 50, dtype=torch.float64)
    with torch.no_grad():
        expected = network(images)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        torch.testing.assert_close(network(images.contiguous(memory_format=torch.channels_last)), expected)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_bf16_autocast_trains(options: dict[str, Any]) -> None:
    network, images = tiny(**options), torch.randn(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images)
    assert logits.dtype == torch.bfloat16
    logits.float().square().mean().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


def test_other_channels_than_three() -> None:
    network = UNet(base=2, downsamplings=2).build(BackboneContext(in_channels=1, num_classes=7))
    assert network(torch.randn(1, 1, 32, 32)).shape == (1, 7, 32, 32)


def test_the_table_of_the_readme_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    __main__.main(height=32, width=32, repeats=1)
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 2 + len(__main__.FAMILY)
    assert rows[2].startswith("| `unet70m` | 69,966,595 | 0.52 |")


@pytest.mark.slow
@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_compile_gives_the_same_logits_in_one_graph(options: dict[str, Any]) -> None:
    torch.compiler.reset()
    network = tiny(**options).eval()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        for size in ((64, 64), (43, 57), (50, 90)):
            images = torch.randn(1, 3, *size)
            torch.testing.assert_close(compiled(images), network(images))
