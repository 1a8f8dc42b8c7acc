"""Networks of timm and segmentation_models.pytorch keep what every backbone must."""

from __future__ import annotations

import pytest
import torch

from kdseg.components import BackboneContext
from kdseg.engine.learn.participants import initialise
from kdseg.engine.models.file_weights import load_from_file
from kdseg.errors import KdsegError
from kdseg.recipe.schema import Weights
from kdseg_timm import SMP, TimmUNet

timm = pytest.importorskip("timm")
smp = pytest.importorskip("segmentation_models_pytorch")

CONTEXT = BackboneContext(in_channels=3, num_classes=5)
ENCODERS = ["resnet18", "mobilenetv3_small_050", "convnext_atto", "mobilevitv2_050"]
PAIRS = [(architecture, "resnet18") for architecture in smp.MODEL_ARCHITECTURES_MAPPING if architecture != "dpt"]
PAIRS += [
    ("segformer", "mit_b0"),
    ("unet", "mit_b0"),
    ("fpn", "tu-convnext_atto"),
    ("unet", "tu-mobilenetv3_small_050"),
]
BACKBONES = [TimmUNet(encoder=name) for name in ENCODERS]
BACKBONES += [SMP(architecture=architecture, encoder=encoder) for architecture, encoder in PAIRS]
every = pytest.mark.parametrize("backbone", BACKBONES, ids=lambda one: "-".join(vars_of(one)))


def vars_of(backbone):
    return [type(backbone).name, getattr(backbone, "architecture", ""), backbone.encoder]


@every
def test_any_size_gives_logits_at_the_images_size_and_taps(backbone):
    network = backbone.build(CONTEXT)
    stages = backbone.taps(network)
    assert [*stages] == [*(f"encoder.{number}" for number in range(1, len(stages))), "decoder"]
    seen = {}
    for name, stage in stages.items():
        stage.register_forward_hook(lambda _module, _inputs, output, name=name: seen.update({name: output}))
    for size in ((160, 192), (129, 140)) if "pan" in vars_of(backbone) else ((64, 96), (33, 45)):  # it pools more
        logits = network(torch.randn(2, 3, *size))
        assert logits.shape == (2, 5, *size)
        assert logits.isfinite().all()
        assert all(features.dim() == 4 and features.shape[0] == 2 for features in seen.values())
        assert len(seen) == len(stages)
    logits.square().sum().backward()
    learns = [parameter.grad is not None for parameter in network.parameters()]
    assert all(learns) or (any(learns) and "pspnet" in vars_of(backbone))  # which leaves out the coarsest stages


@every
def test_it_is_built_on_the_meta_device(backbone):
    with torch.device("meta"):
        network = backbone.build(CONTEXT).eval()
    assert network(torch.empty(1, 3, 160, 192, device="meta")).shape == (1, 5, 160, 192)


@pytest.mark.parametrize("backbone", [BACKBONES[0], BACKBONES[len(ENCODERS)]])
def test_first_weights_follow_from_torchs_generator(backbone):
    first, again, other = (initialise(lambda: backbone.build(CONTEXT), seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_file_of_timms_fills_the_encoder(tmp_path):
    theirs = timm.create_model("resnet18", pretrained=False)
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    network = TimmUNet().build(CONTEXT)
    load_from_file(Weights(file=tmp_path / "resnet18.pth", rename={"": "encoder."}, partial=True), network)
    ours = network.encoder.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in theirs.state_dict().items() if "fc." not in name)


@torch.no_grad()
@pytest.mark.parametrize("architecture", ["unet", "fpn", "deeplabv3plus"])
def test_a_file_of_the_librarys_fits_and_gives_what_it_gives(tmp_path, architecture):
    theirs = smp.create_model(architecture, encoder_name="resnet18", encoder_weights=None, classes=5).eval()
    torch.save(theirs.state_dict(), tmp_path / "net.pth")
    network = SMP(architecture=architecture, encoder="resnet18").build(CONTEXT).eval()
    assert load_from_file(Weights(file=tmp_path / "net.pth"), network).is_full
    images = torch.randn(2, 3, 64, 96)
    torch.testing.assert_close(network(images), theirs(images))


@pytest.mark.parametrize(
    ("backbone", "text"),
    [
        (TimmUNet(encoder="resnet81"), r"has no model 'resnet81'; did you mean '"),
        (SMP(architecture="unett"), "'unett' is none that is put together here; did you mean 'unet'"),
        (SMP(architecture="dpt"), "'dpt' is none"),
        (SMP(encoder="resnet43"), "the library has no 'resnet43'; did you mean 'resnet"),
        (SMP(architecture="unetplusplus", encoder="mit_b0"), "do not go together"),
    ],
)
def test_names_that_are_not_there_are_told(backbone, text):
    with pytest.raises(KdsegError, match=text):
        backbone.build(CONTEXT)
