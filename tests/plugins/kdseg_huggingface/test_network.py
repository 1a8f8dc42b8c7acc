"""Networks of transformers keep what every backbone must, and give what transformers gives."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import torch
import torch.nn.functional as F

from kdseg.components import BackboneContext
from kdseg.engine.folders.tensor_files import load_weights, save_weights
from kdseg.engine.learn.participants import initialise
from kdseg.engine.models.file_weights import load_from_file
from kdseg.errors import KdsegError
from kdseg.recipe.schema import Weights
from kdseg_huggingface import HFSegmentation

transformers = pytest.importorskip("transformers")

CONTEXT = BackboneContext(in_channels=3, num_classes=5)


def trained(folder, ctx=CONTEXT, **options):
    network = HFSegmentation(folder=folder, **options).build(ctx)
    load_from_file(Weights(file=folder / "model.safetensors"), network)
    return network.eval()


def eomt():
    config = transformers.EomtConfig(
        num_labels=5,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_blocks=1,
        num_queries=6,
        image_size=64,
        patch_size=16,
    )
    return transformers.EomtForUniversalSegmentation(config)


@torch.no_grad()
def test_it_gives_what_transformers_gives_for_images_normalised_in_the_networks_own_way(segformer):
    reference = transformers.AutoModelForSemanticSegmentation.from_pretrained(segformer).eval()
    images = torch.rand(2, 3, 50, 70)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ([0.5, 0.4, 0.3], [0.2, 0.25, 0.5]))
    expected = F.interpolate(reference(pixel_values=(images - mean) / std).logits, (50, 70), mode="bilinear")
    for given in ({}, {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}):
        ctx = BackboneContext(in_channels=3, num_classes=5, **given)
        ours = (images - torch.tensor(ctx.mean).view(3, 1, 1)) / torch.tensor(ctx.std).view(3, 1, 1)
        torch.testing.assert_close(trained(segformer, ctx)(ours), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    ("said", "mean", "std", "flipped"),
    [
        ({"do_normalize": False, "do_flip_channel_order": True}, 0.0, 1.0, True),
        ({"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [51.0] * 3}, 0.5, 0.2, False),
        ({"do_rescale": False}, 0.0, 1 / 255, False),
        ({"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3}, 0.5, 0.5, False),
    ],
)
def test_images_come_to_the_network_as_its_preprocessor_says(segformer, tmp_path, said, mean, std, flipped):
    shutil.copy(segformer / "config.json", tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said), encoding="utf-8")
    ctx = BackboneContext(in_channels=3, num_classes=5, mean=(0, 0, 0), std=(1, 1, 1))
    network = HFSegmentation(folder=tmp_path).build(ctx).eval()
    seen = []
    network.model.register_forward_pre_hook(
        lambda _module, _args, kwargs: seen.append(kwargs["pixel_values"]), with_kwargs=True
    )
    images = torch.rand(1, 3, 32, 32)
    network(images)
    torch.testing.assert_close(seen[0], ((images.flip(1) if flipped else images) - mean) / std)


@pytest.mark.parametrize("size", [(32, 32), (33, 45), (64, 96)])
@pytest.mark.parametrize("train", [False, True])
def test_any_size_gives_logits_at_the_images_size_and_taps_at_their_stages_size(segformer, size, train):
    backbone = HFSegmentation(folder=segformer)
    network = backbone.build(BackboneContext(in_channels=3, num_classes=7)).train(train)
    stages = backbone.taps(network)
    assert list(stages) == ["encoder.1", "encoder.2", "encoder.3", "encoder.4", "decoder"]
    seen = {}
    for name, stage in stages.items():
        stage.register_forward_hook(lambda _module, _inputs, output, name=name: seen.update({name: output}))
    logits = network(torch.randn(2, 3, *size))
    assert logits.shape == (2, 7, *size)
    assert logits.isfinite().all()
    for name, features in seen.items():
        level = 1 if name == "decoder" else int(name[-1])
        cell = 2 ** (level + 1)
        channels = 16 if name == "decoder" else 8 * level
        assert features.shape == (2, channels, *(math.ceil(side / cell) for side in size))
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("masks", [False, True])
def test_it_is_built_on_the_meta_device(segformer, tmp_path, masks):
    if masks:
        eomt().save_pretrained(tmp_path)
    with torch.device("meta"):
        logits = HFSegmentation(folder=tmp_path if masks else segformer).build(CONTEXT)(torch.empty(1, 3, 48, 64))
    assert logits.is_meta
    assert logits.shape == (1, 5, 48, 64)


def test_first_weights_follow_from_torchs_generator(segformer):
    build = lambda seed: initialise(lambda: HFSegmentation(folder=segformer).build(CONTEXT), seed).state_dict()  # noqa: E731
    first, again, other = build(1), build(1), build(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@torch.no_grad()
def test_what_it_is_saved_as_fits_transformers_and_itself(segformer, tmp_path):
    network = HFSegmentation(folder=segformer).build(CONTEXT).eval()
    shutil.copy(segformer / "config.json", tmp_path)
    save_weights(network, tmp_path / "model.safetensors")
    images = torch.randn(1, 3, 64, 64)
    theirs, loading = transformers.AutoModelForSemanticSegmentation.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading.values())
    pixels = images * network.scale + network.shift
    expected = F.interpolate(theirs.eval()(pixel_values=pixels).logits, (64, 64), mode="bilinear")
    torch.testing.assert_close(network(images), expected)
    again = HFSegmentation(folder=segformer).build(CONTEXT).eval()
    load_weights(again, tmp_path / "model.safetensors")
    assert torch.equal(again(images), network(images))


def test_weights_that_transformers_parts_among_files_are_read_by_their_index(segformer, tmp_path):
    model = transformers.AutoModelForSemanticSegmentation.from_pretrained(segformer)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len([*tmp_path.glob("model-*.safetensors")]) > 2
    network = HFSegmentation(folder=tmp_path).build(CONTEXT)
    assert load_from_file(Weights(file=tmp_path / "model.safetensors.index.json"), network).is_full
    expected = trained(segformer).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_another_number_of_classes_takes_all_but_the_head(segformer):
    network = HFSegmentation(folder=segformer).build(BackboneContext(in_channels=3, num_classes=3))
    weights = {"file": segformer / "model.safetensors"}
    with pytest.raises(
        KdsegError, match=r"decode_head.classifier.weight is \[5, 16, 1, 1\] in the file, \[3, 16, 1, 1\]"
    ):
        load_from_file(Weights(**weights), network)
    match = load_from_file(Weights(**weights, partial=True), network)
    assert match.total - len(match.keys) == 2


@torch.no_grad()
def test_a_network_of_masks_gives_each_classs_score_at_each_pixel(tmp_path):
    torch.manual_seed(0)
    eomt().save_pretrained(tmp_path)
    network = trained(tmp_path)
    images = torch.randn(2, 3, 48, 80)
    logits = network(images)
    assert logits.shape == (2, 5, 48, 80)
    reference = transformers.AutoModelForUniversalSegmentation.from_pretrained(tmp_path).eval()
    output = reference(pixel_values=F.interpolate(images, (64, 64), mode="bilinear"))
    shares = output.class_queries_logits.softmax(-1)
    scores = sum(
        shares[:, query, :5, None, None] * output.masks_queries_logits[:, query, None].sigmoid() for query in range(6)
    )
    torch.testing.assert_close(logits.exp(), F.interpolate(scores, (48, 80), mode="bilinear"), rtol=1e-4, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("family", ["beit", "dpt", "mobilevit", "upernet"])
def test_other_families_give_logits_at_the_images_size_and_take_their_own_weights(tmp_path, family):
    vit = {"image_size": 64, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2}
    stages = {"hidden_sizes": [8, 16, 24, 32], "depths": [1] * 4, "out_features": [f"stage{n}" for n in range(1, 5)]}
    config = {
        "beit": lambda: transformers.BeitConfig(**vit, out_indices=[1, 2, 3, 4], use_auxiliary_head=False),
        "dpt": lambda: transformers.DPTConfig(**vit, backbone_out_indices=[0, 1, 2, 3], fusion_hidden_size=8),
        "mobilevit": transformers.MobileViTConfig,
        "upernet": lambda: transformers.UperNetConfig(
            hidden_size=16, auxiliary_in_channels=24, backbone_config=transformers.ConvNextConfig(**stages)
        ),
    }[family]()
    config.num_labels = 5
    transformers.AutoModelForSemanticSegmentation.from_config(config).save_pretrained(tmp_path)
    network = trained(tmp_path)
    logits = network(torch.randn(2, 3, 64, 96))
    assert logits.shape == (2, 5, 64, 96)
    assert logits.isfinite().all()


def test_a_folder_without_a_configuration_is_named_with_what_is_needed(tmp_path):
    with pytest.raises(KdsegError, match=r"has no config.json; folder names what save_pretrained wrote"):
        HFSegmentation(folder=tmp_path).build(CONTEXT)


def test_a_model_that_the_cache_lacks_is_not_fetched_unasked():
    with pytest.raises(KdsegError, match=r"nobody/nothing: no configuration .*; download = true fetches it"):
        HFSegmentation(model="nobody/nothing").build(CONTEXT)


def test_another_kind_of_network_is_refused(tmp_path):
    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(KdsegError, match="of a 'bert', which transformers does not offer for semantic segmentation"):
        HFSegmentation(folder=tmp_path).build(CONTEXT)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "folder or model must say"),
        ({"folder": ".", "model": "a/b"}, "folder or model must say"),
        ({"folder": ".", "download": True}, "a folder is here already"),
        ({"folder": ".", "size": (64,)}, "write the height and the width"),
        ({"folder": ".", "size": (64, 8)}, ">= 32"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        HFSegmentation(**options)
