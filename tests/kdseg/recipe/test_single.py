from __future__ import annotations

import pytest

from kdseg.components import KINDS
from kdseg.errors import KdsegError
from kdseg.recipe.single import component_from_plain, plain_component


@pytest.fixture
def registry(load, reference):
    return load(reference).plugins.registry


def test_a_component_is_made_of_its_plain_data_again(registry, folder):
    mixed, entropy = (registry.find("loss", name).cls for name in ("mixed", "cross_entropy"))
    loss = mixed(main=entropy(label_smoothing=0.1), more=(entropy(),))
    assert component_from_plain(plain_component(loss, registry), KINDS["loss"], registry) == loss
    scenes = registry.find("dataset", "synthroad").cls(root=folder, length=3)
    assert component_from_plain(plain_component(scenes, registry), KINDS["dataset"], registry) == scenes


def test_what_does_not_fit_is_told_by_key(registry):
    with pytest.raises(KdsegError, match="bsae: unknown key; did you mean 'base'") as caught:
        component_from_plain({"use": "unet1m", "bsae": 1, "dropout": "a"}, KINDS["backbone"], registry)
    assert "dropout: expected a number, found the string 'a'" in str(caught.value)
