"""A2D2 in the layout of its download, with its own classes and with those of Cityscapes."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_folder import write
from road_layouts import A2D2_COLOURS, SCENES, make_a2d2, samples

from kdseg.errors import KdsegError
from kdseg_road import A2D2

A2D2_TO_CITYSCAPES = {
    "#ff00ff": 0,
    "#b432b4": 0,
    "#6e6e00": 0,
    "#ffc125": 0,
    "#8000ff": 0,
    "#d23273": 0,
    "#c87dd2": 0,
    "#b496c8": 1,
    "#808000": 1,
    "#f1e6ff": 2,
    "#fff68f": 5,
    "#87ceff": 10,
    "#0080ff": 6,
    "#1e1c9e": 6,
    "#3c1c64": 6,
    "#212cb1": 6,
    "#00ffff": 7,
    "#1edcdc": 7,
    "#3c9dc7": 7,
    "#cc99ff": 11,
    "#bd499b": 11,
    "#ef59bf": 11,
    "#ff0000": 13,
    "#c80000": 13,
    "#960000": 13,
    "#800000": 13,
    "#ff8000": 14,
    "#c88000": 14,
    "#968000": 14,
    "#b65906": 18,
    "#963204": 18,
    "#5a1e01": 18,
    "#5a1e1e": 18,
}


@pytest.mark.parametrize("split", SCENES)
def test_a2d2_is_read_as_it_is_downloaded(tmp_path, split):
    stored = make_a2d2(tmp_path)
    found = samples(A2D2, split, root=tmp_path)
    scenes = {scene.replace("_", "") for scene in SCENES[split]}
    assert (found.defects, found.ids) == ((), tuple(name for name in stored if name.split("_")[0] in scenes))
    assert set(np.unique(found[0].mask)) == set(range(38))


def test_numbered_colours_of_a2d2_are_one_class(tmp_path):
    make_a2d2(tmp_path)
    names = A2D2().class_table().names
    masks = iter((tmp_path / "20180807_145028/label/cam_front_center").glob("*.png"))
    write(
        next(masks),
        np.array([[[200, 0, 0], [128, 0, 0], [53, 46, 82], [255, 255, 200]]], np.uint8).repeat(32, 0).repeat(12, 1),
    )
    found = samples(A2D2, root=tmp_path)[0].mask
    assert [names[index] for index in found[0, ::12]] == ["Car", "Car", "Rain dirt", "Utility vehicle"]


def test_a2d2_as_cityscapes_is_a_map_by_hand(tmp_path):
    stored = make_a2d2(tmp_path)
    sample = samples(A2D2, root=tmp_path, classes="cityscapes19")[1]
    assert set(A2D2_TO_CITYSCAPES) <= set(A2D2_COLOURS)
    by_hand = np.array([A2D2_TO_CITYSCAPES.get(colour, 255) for colour in A2D2_COLOURS])
    assert (sample.mask == by_hand[stored[sample.id]]).all()


@pytest.mark.parametrize("others", ["refuse", "ignore"])
def test_a_colour_that_no_class_has_is_told_or_ignored(tmp_path, others):
    make_a2d2(tmp_path)
    (mask,) = (tmp_path / "20180807_145028/label/cam_front_center").glob("*.png")
    write(mask, np.array([[[255, 0, 0], [1, 2, 3]]], np.uint8).repeat(32, 0).repeat(24, 1))
    found = samples(A2D2, root=tmp_path, others=others)
    if others == "ignore":
        assert found[0].mask[0, ::24].tolist() == [0, 255]
        return
    with pytest.raises(KdsegError, match=rf"{mask.name}: holds the colour #010203, which no class has \(768 pixels\)"):
        found[0]


def test_a_scene_that_is_not_there_is_told(tmp_path):
    make_a2d2(tmp_path)
    with pytest.raises(
        KdsegError, match=r"val_scenes names '20181108_084008', which is not there; did you mean '20181108_084007'"
    ):
        samples(A2D2, "val", root=tmp_path, val_scenes=("20181108_084008",))
    everything = tuple(scene for scenes in SCENES.values() for scene in scenes)
    with pytest.raises(KdsegError, match="leave no scene to train on"):
        samples(A2D2, root=tmp_path, val_scenes=everything, test_scenes=())
    with pytest.raises(ValueError, match="is among val_scenes too"):
        A2D2(val_scenes=("20181204_135952",))
    with pytest.raises(KdsegError, match=r"holds no scene, such as 20180807_145028; a2d2 is camera_lidar_semantic"):
        samples(A2D2, root=tmp_path / "20180807_145028")
