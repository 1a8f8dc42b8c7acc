"""Value maps, against a pixel by pixel look-up, and what classes follow from the options."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_folder import COLOURS, indices_of, palette_png, write
from hypothesis import given
from hypothesis import strategies as st

from kdseg import KdsegError
from kdseg.mask_values.colours import packed, read_colour
from kdseg.mask_values.masks import UNLISTED, ValueReader
from kdseg.mask_values.meanings import IGNORE, meaning_of, names_of
from kdseg_folder import Folder

NAMES = ["a", "b", "c", "d"]
numbers = st.integers(0, 2**16 - 1)
colours = st.integers(0, 2**24 - 1)


def maps(values, text):
    """Draw what `values` may be."""
    return st.dictionaries(values, st.sampled_from([*NAMES, IGNORE]), min_size=1, max_size=12).map(
        lambda found: {text(value): name for value, name in found.items()}
    )


@given(
    values=maps(numbers, str) | maps(colours, "#{:06x}".format),
    listed=st.booleans(),
    others=st.booleans(),
    data=st.data(),
)
def test_each_value_gets_the_class_that_is_said(values, listed, others, data):
    classes = NAMES if listed else names_of((), values)
    meaning = meaning_of(classes, values, reduce_zero_label=False)
    reader = ValueReader(meaning, others, "told")
    known = [packed(read_colour(key)) if meaning.colours else int(key) for key in values]
    drawn = data.draw(st.lists(st.sampled_from(known) | (colours if meaning.colours else numbers), min_size=1))
    pixels = np.array([drawn], np.uint32 if meaning.colours else np.uint16)
    names = {packed(read_colour(key)) if meaning.colours else int(key): name for key, name in values.items()}
    wanted = [
        255 if names.get(value) == IGNORE else classes.index(names[value]) if value in names else None
        for value in drawn
    ]
    rest = 255 if others else UNLISTED
    assert reader._indices(pixels)[0].tolist() == [rest if index is None else index for index in wanted]


@given(count=st.integers(1, 254), reduced=st.booleans(), value=st.integers(0, 255))
def test_without_values_numbers_are_indices(count, reduced, value):
    reader = ValueReader(
        meaning_of(list(map(str, range(count))), {}, reduce_zero_label=reduced), others_are_ignored=False, told=""
    )
    for kind in (np.uint8, np.uint16):
        found = reader._indices(np.full((1, 1), value, kind))[0, 0]
        index = value - reduced
        wanted = 255 if value == 255 or index < 0 else index if index < count else UNLISTED
        assert found == wanted


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
def test_grey_and_equal_channels_are_read_as_numbers_from_any_lossless_format(suffix, tmp_path):
    reader = ValueReader(meaning_of(NAMES, {}, reduce_zero_label=False), others_are_ignored=False, told="")
    drawn = indices_of(0)
    for picture in (drawn, np.stack([drawn] * 3, 2)):
        path = tmp_path / f"mask{suffix}"
        done, content = cv2.imencode(suffix, picture, [cv2.IMWRITE_WEBP_QUALITY, 101])
        assert done
        assert (reader.read(write(path, content.tobytes())) == drawn).all()


@pytest.mark.parametrize("form", ["palette", "colours"])
def test_colours_are_read_from_palettes_too(form, tmp_path):
    values = {"#{:02x}{:02x}{:02x}".format(*colour): name for colour, name in zip(COLOURS, NAMES, strict=False)}
    reader = ValueReader(meaning_of(NAMES, values, reduce_zero_label=False), others_are_ignored=False, told="")
    drawn = indices_of(0)
    path = write(tmp_path / "mask.png", palette_png(drawn) if form == "palette" else COLOURS[drawn])
    assert (reader.read(path) == drawn).all()


def test_many_unlisted_colours_are_taken_for_smoothing(tmp_path):
    reader = ValueReader(
        meaning_of(["a"], {"#000000": "a"}, reduce_zero_label=False), others_are_ignored=False, told=""
    )
    path = write(tmp_path / "mask.png", cv2.resize(COLOURS[indices_of(0)], (480, 320)))
    with pytest.raises(KdsegError, match=r"more, which no class has .* So many come of smoothing"):
        reader.read(path)


@given(names=st.lists(st.sampled_from(["x", "y", "z", "w"]), unique=True, min_size=1), data=st.data())
def test_every_class_has_a_colour_of_its_own(names, data, tmp_path_factory):
    given_colours = data.draw(
        st.dictionaries(st.sampled_from(names), st.sampled_from(["#800000", "#008000", "#000080"]))
    )
    if len(set(given_colours.values())) < len(given_colours):
        return
    table = Folder(
        root=tmp_path_factory.getbasetemp(), images="x", classes=tuple(names), colours=given_colours
    ).class_table()
    assert table.names == tuple(names)
    assert len(set(table.colours)) == len(names)
    assert all(table.colours[names.index(name)] == read_colour(text) for name, text in given_colours.items())


def test_the_classes_follow_from_the_values_where_they_are_not_listed(tmp_path):
    values = {"#000000": IGNORE, "#804080": "road", "#00008e": "car", "#00003c": "car"}
    table = Folder(
        root=tmp_path, images="x", values=values, categories={"road": "flat", "car": "vehicle"}
    ).class_table()
    assert table.names == ("road", "car")
    assert table.colours == ((128, 64, 128), (0, 0, 142))
    assert table.categories == ("flat", "vehicle")
