"""Participants whose weights come from a file of anybody's making."""

from __future__ import annotations

import pickle
import tomllib

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from shards import save_shards

from kdseg.components import BackboneContext
from kdseg.engine.check.phases import check
from kdseg.engine.judge.evaluate_run import evaluate_run
from kdseg.engine.judge.trials import find_trials
from kdseg.engine.models.file_weights import load_from_file
from kdseg.engine.run.start import run_recipe
from kdseg.errors import KdsegError
from kdseg.recipe.load import load_recipe
from kdseg.recipe.schema import Weights

RECIPE = """
[models.teacher]
frozen = true
backbone = {{ use = "tiny", width = 6, norm = "batch" }}
weights = {{ {weights} }}
[models.student]
backbone = "tiny"
[terms.mimic]
learner = "student"
source = "teacher"
loss = "pixel_kl"
[callbacks.witness]
use = "witness"
"""
LABELS = """
[terms.labels]
learner = "teacher"
loss = "cross_entropy"
"""


@pytest.fixture
def network(load):
    """A network as the recipe's teacher is, with weights of its own."""
    backbone = load(RECIPE.format(weights='file = "x.pth"')).recipe.models["teacher"].backbone
    torch.manual_seed(11)
    network = backbone.build(BackboneContext(in_channels=3, num_classes=3))
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture
def refusal(load):
    """Check the recipe with such weights, and give what is told."""

    def refusal(weights, *settings):
        with pytest.raises(KdsegError) as caught:
            check(load(RECIPE.format(weights=weights), *settings))
        (line,) = str(caught.value).splitlines()
        place, _, told = line.partition(": models.teacher.weights: ")
        assert place.startswith("recipe.toml:")
        return told

    return refusal


def wrapped(state, front="module."):
    return {f"{front}{name}": value for name, value in state.items()}


def without(state, *fronts):
    return {name: value for name, value in state.items() if not name.startswith(fronts)}


def old_format(value, path):
    torch.save(value, path, _use_new_zipfile_serialization=False)


NAMES = {save_file: "x.safetensors", save_shards: "x.safetensors.index.json"}
WAYS = {
    "plain": (torch.save, lambda state: state, ""),
    "old format": (old_format, lambda state: {"state_dict": state}, ""),
    "state_dict and module.": (torch.save, lambda s: {"epoch": 3, "state_dict": wrapped(s), "optimizer": {}}, ""),
    "model": (torch.save, lambda state: {"model": state, "args": {"lr": 0.1}}, ""),
    "compiled and distributed": (
        torch.save,
        lambda state: {"model_state_dict": wrapped(state, "module._orig_mod.")},
        "",
    ),
    "safetensors": (save_file, lambda state: state, ""),
    "shards": (save_shards, lambda state: state, ""),
    "prefix": (torch.save, lambda s: wrapped(s, "net.") | {"loss.weight": torch.ones(2)}, ', prefix = "net"'),
    "prefix below a wrapper": (torch.save, lambda s: wrapped(s, "module.net."), ', prefix = "net."'),
    "prefix of a wrapper": (
        torch.save,
        lambda s: wrapped(s) | {"n_averaged": torch.tensor(1)},
        ', prefix = "module"',
    ),
    "rename": (
        torch.save,
        lambda s: {name.replace("head.", "last.0."): value for name, value in s.items()},
        ', rename = { "last." = "lost.", "last.0." = "head." }',
    ),
    "half precision": (torch.save, lambda s: {n: v.half() if v.is_floating_point() else v for n, v in s.items()}, ""),
    "from before batches were counted": (
        torch.save,
        lambda s: {n: v for n, v in s.items() if "num_batches" not in n},
        "",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_checkpoint_of_somebody_elses_gives_the_same_outputs(network, load, train, way, caplog):
    save, shape, keys = WAYS[way]
    name = NAMES.get(save, "x.pth")
    save(shape(network.state_dict()), name)
    if way == "half precision":
        network.half().float()
    recipe = RECIPE.format(weights=f'file = "{name}"{keys}')
    total = len(network.state_dict())
    found = total - 2 * (way == "from before batches were counted")
    line = f"{name}: {found} of {total} tensors match"
    assert [*check(load(recipe)).weights["teacher"].told()] == [line]
    with caplog.at_level("INFO", "kdseg"):
        run = train(recipe)
    assert f"models.teacher.weights: {line}" in caplog.messages
    witness = torch.load(run.folder / "witness-0.pt")
    images = witness["images"].permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        wanted = network(((images - mean) / std).contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(witness["logits"]["teacher"], wanted, rtol=1e-5, atol=1e-5)


def test_a_learner_starts_from_a_file_and_the_saved_recipe_names_it_with_its_hash(network, train, folder, weights):
    torch.save({"state_dict": network.state_dict()}, "x.pth")
    still = 'optimizer = { use = "SGD", lr = 0.0 }'
    text = f"""
[models.student]
backbone = {{ use = "tiny", width = 6, norm = "batch" }}
weights = {{ file = "x.pth" }}
{still}
{LABELS.replace("teacher", "student")}"""
    run = train(text)
    assert torch.equal(weights(run, "student")["head.weight"], network.head.weight)
    saved = tomllib.loads((run.folder / "recipe.toml").read_text())["models"]["student"]["weights"]
    assert (saved["file"], len(saved["sha256"])) == (str(folder / "x.pth"), 64)
    assert not saved["partial"]


def test_another_file_of_the_name_is_refused_when_the_saved_recipe_runs_again(network, train, folder):
    torch.save(network.state_dict(), "x.pth")
    run = train(RECIPE.format(weights='file = "x.pth"'))
    saved = load_recipe(run.folder / "recipe.toml")
    run_recipe(saved)
    torch.save({name: value + 1 for name, value in network.state_dict().items()}, "x.pth")
    with pytest.raises(KdsegError, match=r"weights: x\.pth: is not the file that the recipe means: its SHA-256 is"):
        run_recipe(saved)
    (folder / "x.pth").unlink()
    (folder / "y.pth").touch()
    with pytest.raises(KdsegError, match=r"weights: x\.pth: no such file; did you mean 'y\.pth'"):
        run_recipe(saved)


def test_a_teacher_from_a_file_is_evaluated_and_diagnosed(network, train):
    torch.save(network.state_dict(), "x.pth")
    run = train(RECIPE.format(weights='file = "x.pth"'))
    scores = evaluate_run(
        run.folder,
        split="val",
        models=(),
        which="last",
        metrics=(),
        batch_size=None,
        views={},
        console=Console(quiet=True),
    )
    assert {*scores} == {"teacher", "student"}
    (trial,) = find_trials([run.folder], ["teacher"], "last", trust_code=False).each
    assert trial.classes == ("red", "green", "blue")
    image = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    model = trial.network()
    model.network = network
    assert np.array_equal(trial.network().predict(image), model.predict(image))
    torch.save({name: value + 1 for name, value in network.state_dict().items()}, "x.pth")
    with pytest.raises(KdsegError, match="is not the file that the recipe means"):
        trial.network()


class Bomb:
    def __reduce__(self):
        return (open, ("it-ran", "w"))


@pytest.mark.parametrize("what", ["beside", "within", "bare", "old"])
def test_code_in_a_pickle_is_refused_and_never_runs(network, refusal, folder, what):
    state = network.state_dict()
    if what == "bare":
        (folder / "x.pth").write_bytes(pickle.dumps(Bomb(), protocol=2))
    elif what == "old":
        old_format({"state_dict": state, "args": Bomb()}, "x.pth")
    else:
        torch.save({"state_dict": state, "args": Bomb()} if what == "beside" else {**state, "x": Bomb()}, "x.pth")
    told = refusal('file = "x.pth", partial = true')
    assert told.startswith("x.pth: holds ")
    assert "open, which is code and no tensor; it was not run" in told
    assert "weights_only=False)['state_dict'], 'weights.pth')" in told
    assert not (folder / "it-ran").exists()


def test_a_whole_network_in_a_pickle_is_refused(network, refusal):
    torch.save(network.head, "x.pth")
    assert "holds torch.nn.modules.conv.Conv2d, which is code" in refusal('file = "x.pth"')


def test_every_mismatch_is_named_by_check(network, refusal, load, train, caplog):
    state = without(network.state_dict(), "decoder.", "encoder.1.running_mean")
    state |= {"head.weight": torch.ones(19, 12, 1, 1), "aux.0.weight": torch.ones(1), "aux.0.bias": torch.ones(1)}
    state |= {"scale": torch.ones(1), "encoder.0.weight": state["encoder.0.weight"].to(torch.int8)}
    torch.save(state, "x.pth")
    kernel = "[6, 3, 3, 3]"
    head = "head.weight is [19, 12, 1, 1] in the file, [3, 12, 1, 1] in the network"
    lines = [
        "x.pth: 5 of 14 tensors match",
        "missing in the file: encoder.1.running_mean, decoder.* (5)",
        "left over in the file: aux.* (2), scale",
        f"of another shape: encoder.0.weight is {kernel} of integers in the file, {kernel} in the network; {head}",
    ]
    assert refusal('file = "x.pth"') == "; ".join([*lines, "partial = true takes what matches"])
    recipe = RECIPE.format(weights='file = "x.pth", partial = true')
    assert [*check(load(recipe)).weights["teacher"].told()] == lines
    with caplog.at_level("WARNING", "kdseg"):
        run = train(recipe)
    assert [f"models.teacher.weights: {line}" for line in lines] == [
        text for text in caplog.messages if text.startswith("models.teacher.weights")
    ]
    teacher = torch.load(run.folder / "witness-0.pt")["participants"]["teacher"]
    assert torch.equal(teacher["head.bias"], network.head.bias)
    assert teacher["head.weight"].shape == (3, 12, 1, 1)


@pytest.mark.parametrize("keys", ["", ", partial = true"])
def test_a_file_of_which_nothing_matches_is_refused_with_the_nearest(network, refusal, keys):
    state = network.state_dict()
    torch.save({f"net.body.{name}": value for name, value in state.items()} | {"x": torch.ones(1)}, "x.pth")
    none = "x.pth: none of its {} tensors is called as one of the network's 14; "
    assert refusal(f'file = "x.pth"{keys}') == none.format(15) + "with prefix = 'net.body' 14 would be"
    torch.save({name.replace(".", "_"): value for name, value in state.items()}, "x.pth")
    near = "the nearest are 'encoder_0_weight' in the file and 'encoder.0.weight' in the network, which `rename` may"
    assert refusal(f'file = "x.pth"{keys}') == f"{none.format(14)}{near} make one"
    torch.save({"zz": torch.ones(1)}, "x.pth")
    assert "the first are 'zz' in the file and 'encoder.0.weight'" in refusal(f'file = "x.pth"{keys}')
    torch.save({name: value[..., None] for name, value in state.items()}, "x.pth")
    told = refusal(f'file = "x.pth"{keys}')
    assert told.startswith("x.pth: 0 of 14 tensors match; of another shape: encoder.0.weight is [6, 3, 3, 3, 1] in")
    assert told.endswith("; nothing is left to load")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ('prefix = "ned"', "no key lies below the prefix 'ned'; did you mean 'net'?"),
        ('prefix = "zebra"', "no key lies below the prefix 'zebra'; it has net.* (14)"),
        ('prefix = "net", rename = { "haed." = "x." }', "rename: no key begins with 'haed.'; did you mean 'head.'?"),
        (
            'prefix = "net", rename = { "head.bias" = "head.weight" }',
            "'net.head.weight' and 'net.head.bias' would both",
        ),
    ],
)
def test_a_prefix_or_new_name_that_cannot_be_is_told(network, refusal, keys, told):
    torch.save(wrapped(network.state_dict(), "net."), "x.pth")
    assert refusal(f'file = "x.pth", {keys}, partial = true').startswith(f"x.pth: {told}")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is no file of tensors, as safetensors and torch.save write them"),
        (b"hello", "these weights cannot be loaded: "),
        ([torch.ones(1)], "holds a list; tensors by name are needed"),
        ({"epoch": 3, "model": {}}, "holds no tensors by name, neither itself nor under state_dict or model or"),
    ],
)
def test_what_holds_no_tensors_by_name_is_told(refusal, folder, content, told):
    if isinstance(content, bytes):
        (folder / "x.pth").write_bytes(content)
    else:
        torch.save(content, "x.pth")
    assert refusal('file = "x.pth"').startswith(f"x.pth: {told}")


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_a_truncated_file_is_told(network, refusal, folder, name):
    (save_file if name.endswith("safetensors") else torch.save)(network.state_dict(), name)
    (folder / name).write_bytes((folder / name).read_bytes()[:-200])
    assert refusal(f'file = "{name}"').startswith(f"{name}: these weights cannot be loaded: ")


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ('file = "x.pth", run = "y"', "say exactly one of recipe, run, file; found run and file"),
        ('file = "x.pth", which = "last"', "which: only with `recipe` or `run`; a file is one set"),
        (
            'run = "y", prefix = "net", partial = true',
            "prefix and partial: only with `file`; the weights of a run must fit",
        ),
    ],
)
def test_keys_of_another_origin_are_refused(refusal, weights, told):
    assert refusal(weights).startswith(told)


def test_weights_under_two_names_may_stand_under_one(network, folder):
    network.alias = network.encoder
    torch.save(without(network.state_dict(), "alias."), "x.pth")
    assert load_from_file(Weights(file=folder / "x.pth"), network).is_full


def test_a_networks_own_module_keeps_its_name(folder):
    network = torch.nn.ModuleDict({"module": torch.nn.Linear(2, 2)})
    torch.save(wrapped(network.state_dict(), "_orig_mod."), folder / "x.pth")
    assert load_from_file(Weights(file=folder / "x.pth"), network).is_full


def test_kdsegs_own_file_for_images_normalised_otherwise_is_refused_by_its_card(train, folder, refusal):
    run = train("[models.teacher]\nbackbone = { use = 'tiny', width = 6, norm = 'batch' }\n" + LABELS)
    (run.folder / "models" / "teacher").rename(folder / "mine")
    told = refusal('file = "mine/last.safetensors"', "data.mean=[0.5, 0.5, 0.5]")
    assert told.startswith("mine normalises images with mean [0.485, 0.456, 0.406]")
    train(RECIPE.format(weights='file = "mine/last.safetensors"'))
