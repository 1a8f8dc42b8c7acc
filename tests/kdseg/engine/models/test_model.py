"""What a run leaves can be used by anybody, anywhere, and says what it said in the run."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
import torch
from engine_runs import copy_parts

import kdseg
from kdseg.engine.models.whole_image import WholeImage
from kdseg.engine.run.start import run_recipe
from kdseg.errors import KdsegError
from kdseg.hooks import Hooks
from kdseg.recipe.load import load_recipe

RECIPE = """
[models.teacher]
backbone = { use = "unet", base = 4, downsamplings = 2 }
[models.student]
backbone = { use = "tiny", norm = "batch", edge = true }
[terms.teacher-labels]
learner = "teacher"
loss = "cross_entropy"
[terms.labels]
learner = "student"
loss = "cross_entropy"
[evaluate]
every = 2
unit = "step"
[callbacks.witness]
use = "witness"
"""

ELSEWHERE = """
import sys, torch, kdseg
torch.set_num_threads(1)
run = sys.argv[1]
witness = torch.load(run + "/witness-0.pt")
images = witness["images"].permute(0, 3, 1, 2).float() / 255
with torch.no_grad():
    for name, wanted in witness["logits"].items():
        assert torch.equal(kdseg.load(run, name, which="last", trust_code=True)(images), wanted), name
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of the recipe, which no test changes."""
    folder = tmp_path_factory.mktemp("job")
    copy_parts(folder)
    (folder / "recipe.toml").write_text(f'extends = "base.toml"\n{RECIPE}', encoding="utf-8")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = run_recipe(load_recipe(folder / "recipe.toml", [f"output.folder='{folder / 'runs'}'"])).folder
    torch.set_num_threads(threads)
    return run


def test_in_a_fresh_process_the_logits_are_the_same_to_the_bit(train, folder, python):
    run = train(RECIPE).folder
    for plugin in folder.glob("*.py"):  # the run has its own copy
        plugin.unlink()
    done = subprocess.run([python, "-c", ELSEWHERE, run], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_copy_of_its_folder_is_all_that_a_model_needs(train, folder, tmp_path_factory):
    run = train(RECIPE).folder
    wanted = torch.load(run / "witness-0.pt")
    copy = shutil.copytree(run / "models" / "student", tmp_path_factory.mktemp("elsewhere") / "mine")
    shutil.rmtree(run)
    (folder / "parts.py").unlink()
    model = kdseg.load(copy, which="last", trust_code=True)
    with torch.no_grad():
        logits = model(wanted["images"].permute(0, 3, 1, 2).float() / 255)
    assert torch.equal(logits, wanted["logits"]["student"])


def test_a_loaded_model_says_what_its_classes_are_and_predicts(trained):
    model = kdseg.load(trained, trust_code=True)
    assert model.classes == ("red", "green", "blue")
    assert model.palette == ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    assert not model.training
    image = np.random.default_rng(0).integers(0, 256, (47, 33, 3), dtype=np.uint8)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normalised = torch.from_numpy((image / 255 - mean) / std).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = model.network.double()(normalised)["logits"][0]
    model.network.float()
    found = model.predict(image)
    assert found.dtype == np.uint8
    assert np.array_equal(found, logits.argmax(0).numpy())
    read_only = np.broadcast_to(image, image.shape)
    assert np.array_equal(model.predict(read_only[::-1, ::-1])[::-1, ::-1].shape, found.shape)


def test_batches_and_tensors_give_what_single_images_do(trained):
    model = kdseg.load(trained, trust_code=True, device=torch.device("cpu"))
    images = np.random.default_rng(0).integers(0, 256, (3, 47, 33, 3), dtype=np.uint8)
    wanted = np.stack([model.predict(image) for image in images])
    assert len(np.unique(wanted)) > 1
    found = model.predict(images)
    assert (type(found), found.dtype) == (np.ndarray, np.uint8)
    assert np.array_equal(found, wanted)
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2)
    for batch in (tensors, tensors.contiguous(), tensors / 255, (tensors / 255).contiguous(), tensors.double() / 255):
        found = model.predict(batch)
        assert (type(found), found.dtype) == (torch.Tensor, torch.uint8)
        assert np.array_equal(found.numpy(), wanted)
        assert np.array_equal(model.predict(batch[1]).numpy(), wanted[1])
    views = WholeImage(window=(32, 32), scales=(1.0, 1.5), flip=True)
    assert np.array_equal(model.predict(images, views), np.stack([model.predict(image, views) for image in images]))


ARRAY = r"takes a uint8 image H×W×3 in RGB, or several as N×H×W×3; found "
TENSOR = r"takes a tensor 3×H×W or N×3×H×W in RGB, uint8 or floats in 0\.\.1; found torch\."


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.zeros((32, 32, 3)), ARRAY + r"float64 \(32, 32, 3\)"),
        (np.zeros((32, 32), np.uint8), ARRAY),
        (np.zeros((1, 3, 32, 32), np.uint8), ARRAY),
        (np.zeros((1, 1, 32, 32, 3), np.uint8), ARRAY),
        (torch.zeros(32, 32, 3), TENSOR + r"float32 \(32, 32, 3\)"),
        (torch.zeros(3, 32), TENSOR),
        (torch.zeros(3, 32, 32, dtype=torch.int64), TENSOR),
        (torch.full((3, 32, 32), 255.0), "takes floats in 0..1; found 255 to 255: divide by 255"),
        (torch.full((3, 32, 32), torch.nan), "takes floats in 0..1; found nan to nan"),
    ],
)
def test_what_is_no_image_is_refused(trained, image, told):
    with pytest.raises(ValueError, match=told):
        kdseg.load(trained, trust_code=True).predict(image)


@pytest.mark.parametrize("device", ["cdua", "cuda:99"])
def test_a_device_that_is_not_there_is_told(trained, device):
    with pytest.raises(KdsegError, match=f"no model can lie on the device '{device}' here: "):
        kdseg.load(trained, trust_code=True, device=device)


class Remember(Hooks):
    """Keeps the student's score at each evaluation, with the step and its weights."""

    def __init__(self):
        self.seen = []

    def on_evaluation_end(self, run):
        weights = {name: value.clone() for name, value in run.participants["student"].state_dict().items()}
        self.seen.append((run.values["val/student/miou"], run.step, weights))


def test_best_is_the_best_evaluation_and_last_the_last(train, weights, assert_same):
    remember = Remember()
    run = train(RECIPE, watcher=remember)
    score, step, best = max(remember.seen, key=lambda seen: seen[0])
    assert len(remember.seen) == 4
    assert_same(weights(run, "student", "best"), best)
    assert_same(weights(run, "student", "last"), remember.seen[-1][2])
    card = json.loads((run.folder / "models" / "student" / "model.json").read_text())
    assert card["best"] == {"step": step, "value": score}


def test_a_model_folder_holds_nothing_of_teachers_and_losses(trained):
    files = {path.name for path in (trained / "models" / "student").iterdir()}
    assert files == {"best.safetensors", "last.safetensors", "model.json", "parts.py"}


@pytest.mark.parametrize(
    ("path", "model", "message"),
    [
        ("runs/recipe/latest", "studnet", "no model 'studnet'; did you mean 'student'"),
        ("runs/recipe/latest", "x", "no model 'x'; it has student"),
        ("runs/nothing", None, "no run here"),
        ("runs/recipe/latest/pictures", None, "no run here"),
    ],
)
def test_what_is_not_there_is_told(trained, monkeypatch, path, model, message):
    monkeypatch.chdir(trained.parents[2])
    with pytest.raises(KdsegError, match=message):
        kdseg.load(path, model, trust_code=True)


def test_a_run_without_any_model_yet_says_so(train):
    run = train(RECIPE).folder
    shutil.rmtree(run / "models")
    with pytest.raises(KdsegError, match="no model 'student'; none is there yet"):
        kdseg.load(run, "student", trust_code=True)


def test_of_two_learners_without_a_student_one_must_be_named(train):
    run = train(RECIPE.replace("student", "pupil")).folder
    with pytest.raises(KdsegError, match=r"which model.* pupil, teacher"):
        kdseg.load(run, trust_code=True)
    assert kdseg.load(run, "pupil", trust_code=True).classes == ("red", "green", "blue")


def test_a_missing_plugin_is_told_with_the_command_that_brings_it(train):
    folder = train(RECIPE).folder / "models" / "student"
    card = json.loads((folder / "model.json").read_text())
    card |= {"backbone": "kdseg-giants/supernet", "plugin_version": "1.2.3"}
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(KdsegError, match=r"supernet(?s:.*)pip install 'kdseg-giants==1\.2\.3'"):
        kdseg.load(folder, trust_code=True)


def test_what_a_plugin_raises_as_it_builds_is_told(trained, monkeypatch):
    def build(self, ctx):
        raise ValueError("no good here")

    monkeypatch.setattr("kdseg_unet.options.UNet.build", build)
    with pytest.raises(KdsegError, match=r"^backbone kdseg/unet: ValueError: no good here$"):
        kdseg.load(trained, "teacher")


def test_a_missing_plugin_file_is_told(train):
    folder = train(RECIPE).folder / "models" / "student"
    (folder / "parts.py").unlink()
    with pytest.raises(KdsegError, match=r"tiny(?s:.*)the file parts\.py; copy it beside"):
        kdseg.load(folder, trust_code=True)


TIED = """

class Tied(TinyNetwork):
    def __init__(self, options, classes):
        super().__init__(options, classes)
        self.alias = self.encoder
        self.register_buffer("constant", self.head.bias.detach())


@frozen(kw_only=True)
class TiedTiny(Tiny):
    \"""A network with weights under two names.\"""

    name: ClassVar[str] = "tied"

    def build(self, ctx):
        return Tied(self, ctx.num_classes)
"""


def test_weights_that_are_tied_survive(train, folder, weights):
    parts = folder / "parts.py"
    source = parts.read_text(encoding="utf-8").replace("return [Tiny]", "return [Tiny, TiedTiny]")
    parts.write_text(source + TIED, encoding="utf-8")
    run = train(RECIPE.replace('"tiny", norm = "batch", edge = true', '"tied"'))
    model = kdseg.load(run.folder, which="last", trust_code=True)
    assert model.network.alias[0].weight is model.network.encoder[0].weight
    assert torch.equal(weights(run, "student")["alias.0.weight"], model.network.encoder[0].weight)


def test_damaged_weights_are_told(train):
    folder = train(RECIPE).folder / "models" / "student"
    (folder / "best.safetensors").write_bytes((folder / "last.safetensors").read_bytes()[:200])
    with pytest.raises(KdsegError, match=r"student/best\.safetensors: these weights cannot be loaded"):
        kdseg.load(folder, trust_code=True)
    (folder / "best.safetensors").unlink()
    with pytest.raises(KdsegError, match=r"best\.safetensors: no such weights"):
        kdseg.load(folder, trust_code=True)


@pytest.fixture
def marked(train, tmp_path):
    """A model's folder whose code leaves a mark when it runs, and a file of code that its card does not name."""
    folder = train(RECIPE).folder / "models" / "student"
    mark = tmp_path / "it-ran"
    for name in ("parts.py", "readme.py"):
        with (folder / name).open("a", encoding="utf-8") as code:
            code.write(f"\nfrom pathlib import Path\nwith Path({str(mark)!r}).open('a') as f: f.write('{name} ')\n")
    return folder, mark


def test_code_that_came_with_a_network_runs_only_where_it_is_trusted(marked):
    folder, mark = marked
    for path in (folder, folder.parents[1]):
        with pytest.raises(KdsegError, match=r"parts\.py: the network is built by this Python file"):
            kdseg.load(path)
    assert not mark.exists()
    kdseg.load(folder, trust_code=True)
    assert set(mark.read_text().split()) == {"parts.py"}


def test_code_beside_a_network_of_an_installed_plugin_never_runs(marked):
    folder, mark = marked
    card = json.loads((folder / "model.json").read_text())
    card |= {"backbone": "kdseg/unet1m", "options": {}}
    (folder / "model.json").write_text(json.dumps(card))
    (folder / "kdseg.py").write_text((folder / "readme.py").read_text())
    with pytest.raises(KdsegError, match="these weights cannot be loaded"):  # another network's; built all the same
        kdseg.load(folder, trust_code=True)
    assert not mark.exists()
