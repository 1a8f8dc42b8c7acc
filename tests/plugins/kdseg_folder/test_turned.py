"""Photographs that their EXIF data turn: upright where nothing lies beside them, refused where a mask does."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_folder import image_of, indices_of, write
from PIL import Image, ImageOps

from kdseg import DatasetContext, KdsegError
from kdseg_folder import Folder


@pytest.fixture
def photo(tmp_path):
    """Write a photograph with an orientation, and a mask that has its size as it is stored."""

    def photo(orientation, suffix):
        exif = Image.Exif()
        exif[0x0112] = orientation
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(image_of(0)).save(tmp_path / f"images/0{suffix}", exif=exif, lossless=True)
        write(tmp_path / "masks/0.png", indices_of(0))
        return tmp_path / f"images/0{suffix}"

    return photo


def read(file, **options):
    root = file.parent.parent
    return Folder(root=root, images="images", classes=("a", "b", "c"), **options).build(
        DatasetContext(split="train", seed=0)
    )[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_without_a_mask_it_comes_as_people_see_it(photo, orientation):
    file = photo(orientation, ".png")
    with Image.open(file) as picture:
        seen = np.asarray(ImageOps.exif_transpose(picture))
    assert np.array_equal(read(file).image, seen)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_with_a_mask_it_is_refused_as_nobody_knows_which_way_the_mask_lies(photo, orientation, suffix):
    file = photo(orientation, suffix)
    with pytest.raises(KdsegError) as caught:
        read(file, masks="masks")
    assert str(caught.value).startswith(f"{file}: is turned by its EXIF data (orientation {orientation})")
    assert "save it as it is seen" in str(caught.value)
    assert (read(photo(1, suffix), masks="masks").mask == indices_of(0)).all()
