"""The page on own networks: its commands run, and what it says of taps, sizes and weights holds."""

from __future__ import annotations

import re
import shlex

import pytest
import torch

import kdseg as kdseg_api
from kdseg import BackboneContext
from kdseg.plugins import load_plugins

SMALL = (
    'data.dataset={ use = "synthroad", images = 4, size = [64, 96] }',
    "train.epochs=1",
    "train.batch_size=2",
    "train.workers=0",
)


@pytest.fixture
def shown(pages, tmp_path, monkeypatch, one_thread):
    page = pages["docs/own_network.md"]
    page.write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return page


@pytest.fixture
def build(shown, tmp_path):
    """Make the page's network."""
    component = load_plugins([tmp_path / "my_network.py"]).registry.find("backbone", "my_network").cls

    def build(classes=19, **options):
        backbone = component(**options)
        return backbone, backbone.build(BackboneContext(in_channels=3, num_classes=classes))

    return build


@pytest.fixture
def run(kdseg):
    """Run the commands of one of the page's blocks, on small images, and give what they print."""

    def run(block, *settings):
        printed = ""
        for line in block.text.splitlines():
            words = shlex.split(line)[1:] + [word for one in (*SMALL, *settings) for word in ("--set", one)]
            status, out, err = kdseg(*words)
            assert status == 0, out + err
            printed += out + err
        return printed

    return run


def shell_blocks(page):
    return [block for block in page.blocks if block.language == "sh"]


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 96)])
def test_any_size_gives_logits_at_the_images_size_and_taps_have_names(build, size):
    backbone, network = build(classes=7, width=4)
    network.eval()
    taps = backbone.taps(network)
    assert list(taps) == ["stage.1", "stage.2", "stage.3"]
    assert taps["stage.3"] is network.get_submodule("stages.2")
    assert network(torch.zeros(2, 3, *size)).shape == (2, 7, *size)


def test_it_learns_from_weights_that_match_in_part_and_is_loaded_again(shown, build, run, tmp_path):
    _, other = build(classes=5, width=24)
    torch.save(other.state_dict(), tmp_path / "mine.pth")
    assert any('file = "mine.pth", partial = true' in block.text for block in shown.blocks)
    first, _ = shell_blocks(shown)
    run(first)
    printed = run(first, 'models.student.weights={ file = "mine.pth", partial = true }')
    assert re.search(r"mine\.pth: 18 of 20 tensors match", printed)
    student = kdseg_api.load("runs/learner", trust_code=True)
    assert student(torch.rand(1, 3, 40, 56)).shape == (1, 19, 40, 56)
    with pytest.raises(kdseg_api.KdsegError, match="trust_code=True"):
        kdseg_api.load("runs/learner")


def test_it_teaches_from_a_checkpoint_of_other_names(shown, build, run, tmp_path):
    _, network = build(width=48)
    theirs = {
        "module.net." + name.replace("stages.", "blocks.").replace("head.", "classifier."): value
        for name, value in network.state_dict().items()
    }
    torch.save({"epoch": 3, "state_dict": theirs}, tmp_path / "mine.pth")
    _, second = shell_blocks(shown)
    printed = run(second, "models.teacher.floor=0.0", "models.student.backbone.base=2")
    assert "mine.pth: 20 of 20 tensors match" in printed


def test_a_teacher_that_kdseg_trained_needs_no_file(shown, kdseg):
    assert 'weights = { recipe = "learner.toml", model = "student" }' in " ".join(shown.code)
    small = [word for one in SMALL for word in ("--set", one)]
    status, out, err = kdseg("run", "learner.toml", *small)
    assert status == 0, out + err
    settings = (
        "models.teacher.backbone.width=24",
        'models.teacher.weights={ recipe = "learner.toml", model = "student" }',
    )
    status, out, err = kdseg("check", "distil.toml", *small, *(word for one in settings for word in ("--set", one)))
    assert status == 0, out + err
