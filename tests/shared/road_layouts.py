"""Vistas, IDD and A2D2 on disk, in the layouts of their downloads, with all that lies beside what is read."""

from __future__ import annotations

import json

import numpy as np
from drawn_folder import image_of, palette_png, write

from kdseg.components import DatasetContext

SIZE = (32, 48)
SCENES = {"train": ("20180807_145028", "20180925_101535"), "val": ("20181108_084007",), "test": ("20181204_135952",)}
A2D2_COLOURS = [
    "#ff0000", "#c80000", "#960000", "#800000", "#b65906", "#963204", "#5a1e01", "#5a1e1e", "#cc99ff", "#bd499b",
    "#ef59bf", "#ff8000", "#c88000", "#968000", "#00ff00", "#00c800", "#009600", "#0080ff", "#1e1c9e", "#3c1c64",
    "#00ffff", "#1edcdc", "#3c9dc7", "#ffff00", "#ffffc8", "#e96400", "#6e6e00", "#808000", "#ffc125", "#400040",
    "#b97a57", "#000064", "#8b636c", "#d23273", "#ff0080", "#fff68f", "#960096", "#ccff99", "#eea2ad", "#212cb1",
    "#b432b4", "#ff46b9", "#eee9bf", "#93fdc2", "#9696c8", "#b496c8", "#48d1cc", "#c87dd2", "#9f79ee", "#8000ff",
    "#ff00ff", "#87ceff", "#f1e6ff", "#60458f", "#352e52",
]  # fmt: skip
"""As class_list.json has them."""


def numbers(number, highest):
    """Draw a mask that holds each number from 0 to `highest`."""
    found = np.random.default_rng(number).integers(0, highest + 1, SIZE, np.uint8)
    found.flat[: highest + 1] = range(highest + 1)
    return found


def make_vistas(root, labels="v1.2/labels"):
    colours = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    stored = {}
    for folder, count in (("training", 2), ("validation", 1), ("testing", 1)):
        for _ in range(count):
            name = f"{len(stored):022}"
            write(root / folder / f"images/{name}.jpg", image_of(len(stored)))
            stored[name] = numbers(len(stored), 65)
            if folder != "testing":
                write(root / folder / labels / f"{name}.png", palette_png(stored[name], colours))
                write(root / folder / labels.replace("labels", "instances") / f"{name}.png", stored[name].astype("u2"))
                write(root / folder / f"v2.0/labels/{name}.png", palette_png(numbers(len(stored), 123), colours))
    write(root / "config_v1.2.json", json.dumps({"labels": []}).encode())
    return stored


def make_idd(root):
    stored = {}
    for split, drive, suffix in (
        ("train", "001", "png"),
        ("train", "201", "jpg"),
        ("val", "3", "png"),
        ("test", "4", "png"),
    ):
        for frame in ("frame0029", "frame0299"):
            write(root / f"leftImg8bit/{split}/{drive}/{frame}_leftImg8bit.{suffix}", image_of(len(stored)))
            folder = root / f"gtFine/{split}/{drive}"
            level3, cs = (numbers(len(stored), highest) for highest in (25, 18))
            for mask in (level3, cs):
                mask[-1] = 255
            stored[f"{drive}/{frame}"] = level3, cs
            if split != "test":
                write(folder / f"{frame}_gtFine_polygons.json", b"{}")
                write(folder / f"{frame}_gtFine_labellevel3Ids.png", level3)
                write(folder / f"{frame}_gtFine_labelcsTrainIds.png", cs)
    return stored


def make_a2d2(root):
    codes = np.array([[int(text[i : i + 2], 16) for i in (1, 3, 5)] for text in A2D2_COLOURS])
    stored = {}
    for scene in (name for names in SCENES.values() for name in names):
        for camera in ("front_center", "side_left"):
            stem = f"{scene.replace('_', '')}_camera_{camera.replace('_', '')}_{len(stored):09}"
            stored[stem] = numbers(len(stored), len(codes) - 1)
            write(root / f"{scene}/camera/cam_{camera}/{stem}.png", image_of(len(stored)))
            write(root / f"{scene}/camera/cam_{camera}/{stem}.json", b"{}")
            mask = codes[stored[stem]].astype(np.uint8)
            write(root / f"{scene}/label/cam_{camera}/{stem.replace('_camera_', '_label_')}.png", mask)
    write(root / "class_list.json", b"{}")
    return stored


def samples(dataset, split="train", **options):
    return dataset(**options).build(DatasetContext(split=split, seed=0))
