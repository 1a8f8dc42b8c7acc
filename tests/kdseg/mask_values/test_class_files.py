"""Files of classes' names, and what becomes of them in a proposal."""

from __future__ import annotations

import json
import os

import pytest

from kdseg.errors import KdsegError
from kdseg.mask_values.class_files import read_class_file
from kdseg.mask_values.naming import named, named_nearby
from kdseg.proposals import Proposal


def written(folder, name, content):
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder / name


def of_values(*values, **options):
    return Proposal(
        options={"images": "images", **options},
        notes=("a note",),
        class_notes=("called by their numbers",),
        images={},
        sizes={},
        values=dict.fromkeys(values, 0.1),
    )


@pytest.mark.parametrize(
    ("name", "content", "names", "numbers", "colours"),
    [
        ("a.txt", "# a list\nroad\n\ntraffic light\r\n car \n", ("road", "traffic light", "car"), (), ()),
        ("a.names", "\ufeffroad\n# car", ("road",), (), ()),
        ("a.txt", "__ignore__\n_background_\ncar", ("_background_", "car"), (), ()),
        ("a.txt", "0 road\n7: car\n255\ttraffic light", ("road", "car", "traffic light"), (0, 7, 255), ()),
        ("a.txt", "64 128 64\tAnimal\n192 0 128\t\tArchway", ("Animal", "Archway"), (), ("#408040", "#c00080")),
        ("a.txt", "2nd road\n3 lanes", ("2nd road", "3 lanes"), (), ()),
        ("a.json", ["road", "car"], ("road", "car"), (), ()),
        ("a.json", {"1": "road", "0": "sky"}, ("road", "sky"), (1, 0), ()),
        ("a.json", {"sky": 0, "road": 1}, ("sky", "road"), (0, 1), ()),
        ("a.json", {"model_type": "x", "id2label": {"0": "sky"}}, ("sky",), (0,), ()),
        ("a.csv", "name,r,g,b\nAnimal,64,128,64\nRoad, 128, 64, 128\n", ("Animal", "Road"), (), ("#408040", "#804080")),
        ("a.csv", "Pixel Value, Class\n0, background\n1, car", ("background", "car"), (0, 1), ()),
    ],
)
def test_lists_of_many_kinds_are_read(tmp_path, name, content, names, numbers, colours):
    read = read_class_file(written(tmp_path, name, content))
    assert (read.names, read.numbers, read.colours) == (names, numbers, colours)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", "", "lists no class; write a name a line"),
        ("a.txt", "road\ncar\nroad", "the class 'road' is listed twice"),
        ("a.txt", "1 road\n1 car", "lists 1 twice"),
        ("a.txt", "\n".join(map("c{}".format, range(300))), "there are 300 classes; 254 are the most"),
        ("a.txt", "0 0 300 car", "0, 0, 300 is no colour of red, green and blue"),
        ("a.csv", "r,g,b\n1,2,3", "has no column of names in its header, 'r,g,b'; write name,r,g,b"),
        ("a.csv", "", "has no column of names"),
        ("a.csv", "name,r,g,b\nroad,1", "invalid literal for int"),
        ("a.json", {"a": {"b": 1}}, "write ["),
        ("a.json", "{", "Expecting property name"),
        ("a.json", 3, "write ["),
        ("a.json", {"void": -1, "car": 0}, "gives a class the number -1; masks hold 0 to 65535"),
        ("a.txt", "70000 car", "gives a class the number 70000"),
        ("a.txt", "000.png\n001.png", "lists files, such as 000.png"),
        ("a.txt", "x" * 2**21, "it is larger than 1 MiB"),
    ],
)
def test_what_is_no_list_is_told(tmp_path, monkeypatch, name, content, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KdsegError) as caught:
        read_class_file(written(tmp_path, name, content))
    assert str(caught.value).startswith(f"{name}: is no list of classes: {told}"[:60])
    assert told in str(caught.value)


def test_bytes_that_are_no_text_and_a_file_that_is_not_there_are_told(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00road")
    for name, told in (("a.txt", "is no list of classes"), ("b.txt", "cannot be read: No such file")):
        with pytest.raises(KdsegError, match=told):
            read_class_file(tmp_path / name)


CAMVID = "name,r,g,b\nRoad,128,64,128\nCar,64,0,128\nVoid,0,0,0"


@pytest.mark.parametrize(
    ("name", "content", "values", "options"),
    [
        ("a.txt", "sky\nroad\ncar", ("0", "1", "2"), {"classes": ["sky", "road", "car"]}),
        ("a.txt", "sky\nroad\ncar", ("0", "1", "255"), {"classes": ["sky", "road", "car"]}),
        ("a.txt", "sky\nroad", ("1", "2"), {"classes": ["sky", "road"], "reduce_zero_label": True}),
        ("a.txt", "sky\nroad", ("0", "1", "2", "255"), {"classes": ["sky", "road"], "reduce_zero_label": True}),
        ("a.txt", "sky\ncrack", ("0", "255"), {"values": {"0": "sky", "255": "crack"}}),
        ("a.txt", "crack", ("0", "255"), {"values": {"0": "background", "255": "crack"}}),
        ("a.txt", "sky\ncar", ("0", "1000"), {"values": {"0": "sky", "1000": "car", "255": "ignore"}}),
        ("a.txt", "void\ncar\nsky", ("0", "1", "2"), {"classes": ["car", "sky"], "reduce_zero_label": True}),
        ("a.txt", "car\nvoid\nsky", ("0", "2"), {"values": {"0": "car", "1": "ignore", "2": "sky", "255": "ignore"}}),
        ("a.json", {"7": "road", "3": "sky"}, ("3", "7"), {"values": {"3": "sky", "7": "road", "255": "ignore"}}),
        ("a.json", {"1": "road", "0": "sky"}, ("0", "255"), {"classes": ["sky", "road"]}),
        (
            "a.csv",
            CAMVID,
            ("#000000", "#804080"),
            {"values": {"#804080": "Road", "#400080": "Car", "#000000": "ignore"}},
        ),
        (
            "a.csv",
            CAMVID.replace("Void", "Sky"),
            ("0", "1", "2"),
            {"classes": ["Road", "Car", "Sky"], "colours": {"Road": "#804080", "Car": "#400080", "Sky": "#000000"}},
        ),
    ],
)
def test_names_are_given_to_what_masks_hold(tmp_path, name, content, values, options):
    proposal = of_values(*values, classes=["class_0"], reduce_zero_label=True, colours={"class_0": "#000000"})
    found = named(proposal, read_class_file(written(tmp_path, name, content)))
    assert found.options == {"images": "images", **options}
    assert found.class_notes[0].startswith(f"The classes are called as {name} lists them, ")
    assert found.notes == ("a note",)


@pytest.mark.parametrize(
    ("name", "content", "values", "told"),
    [
        ("a.txt", "sky\nroad", ("0", "1", "2", "3"), "lists 2 classes, and the masks hold numbers up to 0, 1, 2, 3"),
        ("a.txt", "sky\nroad", ("#000000",), "does not say what #000000 in the masks means"),
        ("a.csv", CAMVID, ("#804080", "#123456"), "does not say what #123456 in the masks means"),
        ("a.json", {"0": "sky"}, ("0", "4", "255"), "does not say what 4 in the masks means"),
        ("a.txt", "void", ("0",), "names no class but void"),
    ],
)
def test_names_that_do_not_fit_are_refused_or_left_out_with_a_note(tmp_path, name, content, values, told):
    file = written(tmp_path, name, content)
    proposal = of_values(*values, classes=["class_0"])
    with pytest.raises(KdsegError, match=told):
        named(proposal, read_class_file(file))
    file.rename(tmp_path / f"classes{file.suffix}")
    found = named_nearby(proposal, tmp_path)
    assert found.options == proposal.options
    assert found.class_notes[0] == "called by their numbers"
    assert found.class_notes[1].endswith(f"{told}: it was left out.")


def test_the_first_file_nearby_that_fits_is_taken(tmp_path):
    written(tmp_path, "labels.txt", "000.png\n001.png\n002.png\n003.png\n004.png")
    written(tmp_path, "classes.txt", "")
    written(tmp_path / "meta", "obj.names", "sky\nroad")
    written(tmp_path / "meta", "other.txt", "a\nb")
    assert named_nearby(of_values("0", "5", "7"), tmp_path).options == {"images": "images"}
    assert named_nearby(of_values("0", "1"), tmp_path).options["classes"] == ["sky", "road"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all")
def test_a_folder_that_may_not_be_read_is_passed_over(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    written(tmp_path, "classes.txt", "sky\nroad")
    assert named_nearby(of_values("0", "1"), tmp_path).options["classes"] == ["sky", "road"]
