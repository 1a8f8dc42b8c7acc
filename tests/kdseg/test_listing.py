"""Pairing, against sets: every file is a sample's, a defect's, or none of the dataset's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdseg.errors import KdsegError
from kdseg.listing import Files, paired, subfolders, unlabelled

IMAGES, MASKS = (".jpg", ".png"), ("_id.png",)
stems = st.sets(st.sampled_from(["a", "a_b", "a.b", "b", "B", "0001TP_006690", "ü", "with space", "c_id", "long" * 20]))


@settings(max_examples=40)
@given(jpegs=stems, pngs=stems, masks=stems, beside=stems)
def test_every_file_is_accounted_for(tmp_path_factory, jpegs, pngs, masks, beside):
    root = tmp_path_factory.mktemp("listing")
    for folder, ending, those in (
        ("images", ".jpg", jpegs),
        ("images", ".png", pngs),
        ("masks", "_id.png", masks),
        ("masks", "_color.png", beside),
        ("masks", ".json", beside),
    ):
        (root / folder).mkdir(exist_ok=True)
        for stem in those:
            (root / folder / f"{stem}{ending}").touch()
            (root / folder / f".{stem}{ending}").touch()  # hidden
    if not (jpegs | pngs) or not masks:
        with pytest.raises(KdsegError, match=r"holds no \*.*; what it is"):
            list_both(root)
        return
    images, found_masks = list_both(root)
    listing = paired(images, found_masks, "refuse")
    twins = jpegs & pngs
    names = jpegs | pngs
    assert list(listing.files) == sorted((names & masks) - twins)
    for stem, (image, mask) in listing.files.items():
        assert image == root / "images" / f"{stem}{'.jpg' if stem in jpegs else '.png'}"
        assert mask == root / "masks" / f"{stem}_id.png"
    told = sorted(defect.file.name for defect in listing.defects)
    no_mask = [f"{stem}{'.jpg' if stem in jpegs else '.png'}" for stem in names - masks]
    no_image = [f"{stem}_id.png" for stem in masks - names]
    assert told == sorted([*no_mask, *no_image, *(f"{stem}.png" for stem in twins)])
    skipped = paired(images, found_masks, "skip")
    assert skipped.files == listing.files
    assert {defect.file.stem for defect in skipped.defects} == twins
    assert list(unlabelled(images).files) == sorted(names - twins)


def list_both(root):
    return (
        Files.of([root / "images"], IMAGES, "what it is"),
        Files.of([root / "masks"], MASKS, "what it is"),
    )


def test_a_file_in_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "images").touch()
    for ask in (lambda: subfolders(tmp_path / "images", "x"), lambda: Files.of([tmp_path / "images"], IMAGES, "x")):
        with pytest.raises(KdsegError, match=r"images: cannot be read: Not a directory"):
            ask()
