"""Weights that are parted among several files."""

from __future__ import annotations

import hashlib
import json
import subprocess

import pytest
import torch
from shards import save_shards

from kdseg.engine.folders.foreign_tensors import read_tensors
from kdseg.engine.folders.shards import weights_digest
from kdseg.engine.models.file_weights import load_from_file
from kdseg.errors import KdsegError
from kdseg.recipe.schema import Weights

STATE = {name: torch.full((2, 2), float(number)) for number, name in enumerate("abcde")}


@pytest.fixture
def index(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.safetensors.index.json"
    save_shards(STATE, path, count=3)
    return path


def refused(index, text):
    with pytest.raises(KdsegError, match=text) as caught:
        read_tensors(index, torch.device("cpu"))
    assert str(caught.value).startswith("model.safetensors.index.json: ")


def test_an_index_gives_the_tensors_of_all_its_files(index):
    read = read_tensors(index, torch.device("cpu"))
    assert read.keys() == STATE.keys()
    assert all(torch.equal(read[name], value) for name, value in STATE.items())


def test_files_that_torch_saved_may_be_parted_too(tmp_path):
    torch.save(STATE, tmp_path / "one.bin")
    path = tmp_path / "pytorch_model.bin.index.json"
    path.write_text(json.dumps({"weight_map": dict.fromkeys("ab", "one.bin")}), encoding="utf-8")
    assert read_tensors(path, torch.device("cpu")).keys() == {"a", "b"}


def test_the_digest_is_that_of_what_sha256sum_prints_of_index_and_files(index):
    names = [index.name, *sorted(path.name for path in index.parent.glob("*.safetensors"))]
    printed = subprocess.run(["sha256sum", *names], capture_output=True, check=True).stdout
    assert weights_digest(index) == hashlib.sha256(printed).hexdigest()


def test_another_file_beside_the_index_is_refused(index):
    network = torch.nn.Linear(2, 2)
    (first, _) = save_shards(network.state_dict(), index)
    weights = Weights(file=index, sha256=weights_digest(index))
    assert load_from_file(weights, network).is_full
    first.write_bytes(first.read_bytes()[:-1] + b"!")
    with pytest.raises(KdsegError, match="is not the file that the recipe means: its SHA-256 is"):
        load_from_file(weights, network)


def test_missing_files_are_named(index):
    (index.parent / "model-00002-of-00003.safetensors").unlink()
    refused(index, r"1 of the 3 files that it names are not beside it: model-00002-of-00003\.safetensors")


def test_a_tensor_that_its_file_lacks_is_named(index):
    said = json.loads(index.read_text(encoding="utf-8"))
    said["weight_map"] |= {f"x{number}": "model-00001-of-00003.safetensors" for number in range(5)}
    index.write_text(json.dumps(said), encoding="utf-8")
    refused(index, r"puts into model-00001-of-00003\.safetensors what that lacks, x0, x1, x2 and 2 more; index and")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "is no index, which says under weight_map"),
        ("[]", "is no index"),
        ('{"weight_map": ["a"]}', "is no index"),
        ('{"weight_map": {"a": 3}}', "is no index"),
        ('{"weight_map": {"a": ["b"]}}', "is no index"),
        ("{}", "is no index.*KeyError"),
        ('{"weight_map": {}}', "names no tensor"),
        ('{"weight_map": {"a": "../a.safetensors"}}', "names .*a.safetensors; the files of weights lie beside it"),
        ('{"weight_map": {"a": "model.safetensors.index.json"}}', "lie beside it"),
    ],
)
def test_what_is_no_index_is_told(index, content, text):
    index.write_text(content, encoding="utf-8")
    refused(index, text)


def test_code_in_one_of_the_files_is_refused(index):
    torch.save({"a": torch.ones(1), "b": torch.nn.Linear(1, 1)}, index.parent / "one.bin")
    index.write_text(json.dumps({"weight_map": {"a": "one.bin"}}), encoding="utf-8")
    with pytest.raises(KdsegError, match=r"one\.bin: holds torch\.nn\.modules\.linear\.Linear, which is code"):
        read_tensors(index, torch.device("cpu"))
