"""`predict`: masks and overlays for any images, and what it cannot take."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kdseg import BackboneContext, load
from kdseg.engine.models.whole_image import WholeImage
from kdseg.recipe.load import load_recipe


def picture(height, width, channels=3, seed=0):
    """Noise: no two pixels alike, so that a shift or a swap of channels shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def png(path, rows, depth, kind, palette=b""):
    """Write a PNG of any depth and colour type, which OpenCV's writer does not offer."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = rows.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = [chunk(b"IHDR", header), chunk(b"PLTE", palette) if palette else b"", chunk(b"IDAT", zlib.compress(lines))]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b""))


def write_rgb(path, image):
    cv2.imwrite(str(path), image[..., ::-1])


def write_grey(path, image):
    png(path, image[..., 0], 8, 0)


def write_rgba(path, image):
    png(path, np.dstack([image, picture(*image.shape[:2], 1, seed=9)]), 8, 6)


def write_deep(path, image):
    png(path, (image.astype(np.uint16) * 256 + 7).astype(">u2"), 16, 2)


def write_deep_grey(path, image):
    png(path, (image[..., 0].astype(np.uint16) * 256 + 7).astype(">u2"), 16, 0)


def write_palette(path, image):
    png(path, image[..., 0], 8, 3, palette=picture(256, 1, seed=8).tobytes())


def grey(image):
    return np.repeat(image[..., :1], 3, axis=2)


def indexed(image):
    return picture(256, 1, seed=8)[:, 0][image[..., 0]]


def unchanged(image):
    return image


FORMS = {
    "rgb.png": (write_rgb, unchanged),
    "rgb.bmp": (write_rgb, unchanged),
    "rgb.tiff": (write_rgb, unchanged),
    "grey.png": (write_grey, grey),
    "rgba.png": (write_rgba, unchanged),
    "palette.png": (write_palette, indexed),
    "deep.png": (write_deep, unchanged),
    "deep_grey.png": (write_deep_grey, grey),
}
SIZES = [(32, 32), (37, 61), (96, 33)]


def logits(run, image):
    """Run the student's network as training does: built from the recipe, its weights from the file, normalised."""
    loaded = load_recipe(run / "latest/recipe.toml").recipe
    network = loaded.models["student"].backbone.build(BackboneContext(in_channels=3, num_classes=3)).eval()
    network.load_state_dict(load_file(run / "latest/models/student/best.safetensors"))
    mean, std = (np.array(values, np.float32) for values in (loaded.data.mean, loaded.data.std))
    pixels = (image.astype(np.float32) / np.float32(255) - mean) / std
    with torch.no_grad():
        return network(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0].numpy()


def read(path):
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return image[..., ::-1] if image.ndim == 3 else image


@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("form", FORMS)
def test_any_kind_of_picture_of_any_size_gets_its_mask_and_overlay(kdseg, folder, finished, form, size):
    write, seen = FORMS[form]
    image = picture(*size)
    write(folder / form, image)
    status, out, err = kdseg("predict", str(finished), form)
    assert (status, err) == (0, "")
    assert out == "1 images: predictions/*_mask.png and *_overlay.png\n"
    mask, overlay = (read(folder / f"predictions/{Path(form).stem}_{kind}.png") for kind in ("mask", "overlay"))
    image = seen(image)
    scores = logits(finished, image)
    assert (mask.dtype, mask.shape) == (np.uint8, size)
    assert set(np.unique(mask)) <= {0, 1, 2}
    chosen = np.take_along_axis(scores, mask[None].astype(np.int64), axis=0)[0]
    assert np.all(chosen >= scores.max(axis=0) - 1e-4)  # the best class of each pixel, or its equal to rounding
    colours = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255)], np.float64)
    assert (overlay.dtype, overlay.shape) == (np.uint8, (*size, 3))
    assert np.abs(overlay - (image + colours[mask]) / 2).max() <= 0.5


def test_a_jpeg_is_predicted_as_it_decodes(kdseg, folder, finished):
    cv2.imwrite(str(folder / "road.JPG"), picture(40, 50))
    assert kdseg("predict", str(finished), "road.JPG").status == 0
    mask = load(finished).predict(read(folder / "road.JPG"))
    assert np.array_equal(read(folder / "predictions/road_mask.png"), mask)


def test_a_folder_gives_the_pictures_in_it_and_below_under_the_same_names(kdseg, folder, finished):
    images = folder / "images"
    (images / "more").mkdir(parents=True)
    (images / ".hidden").mkdir()
    for name in ("a.png", "b.PNG", "c.webp"):
        write_rgb(images / name, picture(32, 40))
    for name in ("more/d.png", "more/a.png", ".hidden/e.png", ".f.png"):
        write_rgb(images / name, picture(32, 40))
    (images / "notes.txt").write_text("no picture")
    status, out, _ = kdseg("predict", str(finished), "images", "images/more/d.png", "images/a.png", "-o", "out/deep")
    assert (status, out) == (0, "5 images: out/deep/*_mask.png and *_overlay.png\n")
    names = ("a", "b", "c", "more/a", "more/d")
    written = {f"{name}_{kind}.png" for name in names for kind in ("mask", "overlay")}
    deep = folder / "out/deep"
    assert {str(path.relative_to(deep)) for path in deep.rglob("*.png")} == written


def test_linked_folders_count_and_what_was_written_in_them_does_not(kdseg, folder, finished):
    (folder / "disk/run1").mkdir(parents=True)
    (folder / "images").mkdir()
    for name in ("images/a.png", "disk/run1/b.ppm", "disk/run1/c.bmp"):
        write_rgb(folder / name, picture(32, 40))
    (folder / "images/run1").symlink_to(folder / "disk/run1")
    (folder / "images/run1/back").symlink_to(folder / "images")
    for _ in range(2):
        assert kdseg("predict", str(finished), "images", "-o", "disk/run1/out").out.startswith("3 images: ")
    written = {str(path.relative_to(folder / "disk/run1/out")) for path in folder.glob("disk/run1/out/**/*_mask.png")}
    assert written == {"a_mask.png", "run1/b_mask.png", "run1/c_mask.png"}


@pytest.mark.parametrize("output", ["images/predictions", ".", "images"])
def test_the_output_may_lie_within_the_images_or_around_them(kdseg, folder, finished, output):
    (folder / "images/more").mkdir(parents=True)
    for name in ("a.png", "more/b.png"):
        write_rgb(folder / "images" / name, picture(32, 40))
    words = ("predict", str(finished), "images", "-o", output)
    assert kdseg(*words).out.startswith("2 images: ")
    before = sorted(folder.rglob("*.png"))
    assert len(before) == 6
    if output != "images":  # there everything lies in one folder
        assert kdseg(*words).out.startswith("2 images: ")
        assert sorted(folder.rglob("*.png")) == before


def test_any_learner_and_either_weights_can_be_asked_for(kdseg, folder, finished):
    image = picture(48, 48)
    write_rgb(folder / "road.png", image)
    for model in ("teacher", "student"):
        for which in ("best", "last"):
            assert kdseg("predict", str(finished), "road.png", "--model", model, "--which", which).status == 0
            wanted = load(finished, model, which).predict(image)
            assert np.array_equal(read(folder / "predictions/road_mask.png"), wanted)


def test_a_copy_of_a_model_s_folder_is_all_it_needs(kdseg, folder, finished):
    image = picture(48, 48)
    write_rgb(folder / "road.png", image)
    shutil.copytree(finished / "latest/models/student", folder / "mine")
    assert kdseg("predict", "mine", "road.png").status == 0
    assert np.array_equal(read(folder / "predictions/road_mask.png"), load(finished).predict(image))


def test_windows_scales_and_mirroring_are_as_asked_for(kdseg, folder, finished):
    image = picture(70, 90)
    write_rgb(folder / "road.png", image)
    words = ("--window", "32x48", "--overlap", "0.5", "--scales", "0.75,1", "--flip")
    assert kdseg("predict", str(finished), "road.png", *words).status == 0
    whole = WholeImage(window=(32, 48), overlap=0.5, scales=(0.75, 1.0), flip=True)
    wanted = load(finished).predict(image, whole)
    assert np.array_equal(read(folder / "predictions/road_mask.png"), wanted)
    assert (wanted != load(finished).predict(image)).any()


def test_a_window_over_the_whole_image_changes_nothing(kdseg, folder, finished):
    image = picture(40, 50)
    write_rgb(folder / "road.png", image)
    assert kdseg("predict", str(finished), "road.png", "--window", "64x64").status == 0
    assert np.array_equal(read(folder / "predictions/road_mask.png"), load(finished).predict(image))


# What it cannot take


@pytest.fixture
def refused(kdseg, folder, finished):
    """Predict what cannot be predicted, and give the line that tells so; nothing may be written."""

    def refused(*words: str, run: Path = finished) -> str:
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
        status, out, err = kdseg("predict", str(run), *words)
        assert (status, out) == (2, "")
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
        (line,) = err.splitlines()
        return line

    return refused


def test_a_picture_smaller_than_networks_take_is_told(folder, refused):
    write_rgb(folder / "small.png", picture(31, 90))
    assert refused("small.png") == "small.png is 31x90; networks take images of 32x32 or more"


@pytest.mark.parametrize("content", [b"no picture", b"", b"\x89PNG\r\n\x1a\n"], ids=["text", "empty", "cut short"])
def test_a_file_that_is_no_picture_is_told(folder, refused, content):
    (folder / "road.png").write_bytes(content)
    assert refused("road.png") == "road.png: is no image that can be decoded; it may be truncated"


def test_a_file_that_is_not_there_is_told(refused):
    assert refused("road.png") == "road.png: no such image or folder"


def test_a_folder_without_pictures_is_told(folder, refused):
    (folder / "images").mkdir()
    (folder / "images/notes.txt").write_text("no picture")
    suffixes = ".png, .jpg, .jpeg, .bmp, .tif, .tiff, .webp, .ppm, .pgm, .pbm, .jp2"
    assert refused("images") == f"images: holds no image ({suffixes})"


def test_two_pictures_of_one_stem_are_told(folder, refused):
    (folder / "other").mkdir()
    for path in ("road.png", "other/road.jpg"):
        write_rgb(folder / path, picture(32, 32))
    assert refused("road.png", "other/road.jpg") == (
        "road.png and other/road.jpg would write the same files; name them apart"
    )


def test_no_picture_is_ever_overwritten(folder, refused):
    for path in ("road.png", "road_mask.png"):
        write_rgb(folder / path, picture(32, 32))
    assert refused("road.png", "road_mask.png", "-o", ".") == (
        "road_mask.png would be overwritten; name another folder by --output"
    )


@pytest.mark.parametrize(("output", "reason"), [("road.png", "File exists"), ("road.png/out", "Not a directory")])
def test_an_output_that_is_no_folder_is_told(folder, refused, output, reason):
    write_rgb(folder / "road.png", picture(32, 32))
    assert refused("road.png", "-o", output) == f"{output}: no folder can be made here: {reason}"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--overlap", "0.5"], "--overlap says how far windows overlap; give --window too"),
        (["--scales", "0.5"], "at scale 0.5 an image of 40x50 is 20x25; networks take images of 32x32 or more"),
    ],
)
def test_views_that_no_image_can_have_are_told(folder, refused, words, told):
    write_rgb(folder / "road.png", picture(40, 50))
    assert refused("road.png", *words) == told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--window", "512"], "'--window': '512' is no height and width, 32 to 16384, as 512x1024"),
        (["--window", "16x64"], "'--window': '16x64' is no height and width, 32 to 16384, as 512x1024"),
        (["--scales", "1,-1"], "'--scales': '1,-1' are no numbers from 0.1 to 4 with commas between, as 0.75,1,1.25"),
        (["--scales", "nan"], "'--scales': 'nan' are no numbers from 0.1 to 4 with commas between, as 0.75,1,1.25"),
        (["--window", "512x99999"], "'--window': '512x99999' is no height and width, 32 to 16384, as 512x1024"),
        (["--scales", "100"], "'--scales': '100' are no numbers from 0.1 to 4 with commas between, as 0.75,1,1.25"),
        (["--overlap", "1"], "'--overlap': 1.0 is not in the range 0<=x<1."),
    ],
)
def test_options_that_say_nothing_sound_are_told(kdseg, finished, words, told):
    status, _, err = kdseg("predict", str(finished), "road.png", *words)
    assert (status, told in err) == (2, True), err


def test_a_model_that_is_not_there_is_told(folder, refused, finished):
    write_rgb(folder / "road.png", picture(32, 32))
    run = (finished / "latest").resolve()
    assert refused("road.png", "--model", "studnt").startswith(f"{run}: no model 'studnt'; did you mean 'student'?")
    assert refused("road.png", run=folder / "runs").startswith("runs: no run here (no recipe.toml); ")
