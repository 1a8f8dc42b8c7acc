"""What can be wrong with a recipe's images that shows only when all of them have been read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen

from kdseg.data.defects import gathered
from kdseg.data.images import refuse_small, refuse_small_scale
from kdseg.data.loader import eval_shares
from kdseg.data.samples import Sample
from kdseg.engine.check.problems import Found
from kdseg.engine.models.whole_image import WholeImage
from kdseg.engine.splits.scans import scan_split
from kdseg.engine.splits.stamps import lie_in_files, split_of, splits_of
from kdseg.errors import KdsegError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from kdseg.data.scan import Scan
    from kdseg.engine.check.phases import Checked
    from kdseg.engine.machine.processes import Processes


def refuse_defects(checked: Checked, processes: Processes) -> Checked:
    """Read every file of the splits, but those known to be in order, before hours go into training on them.

    Returns:
        What was checked; its warnings tell of classes that no training image shows, too.

    Raises:
        ProblemsError: on all processes, with every defect; where there is none, with the sizes that would end the run.
    """
    found = Found(checked.loaded)
    warnings: list[str] = []
    if processes.is_main:
        splits, warnings = _scanned(found, checked)
        if not found.problems:
            trained = [images for name, images in splits.items() if name != "val"]
            _check_trained(found, checked, processes.world, trained)
            if "val" in splits:
                _check_judged(found, checked, processes.world, splits["val"])
    found.problems, warnings = processes.agree((found.problems, warnings))
    found.end_of_phase()
    return evolve(checked, warnings=(*checked.warnings, *warnings))


@frozen(eq=False)
class ScannedImages:
    """The images of some splits."""

    files: Sequence[Path]
    sizes: npt.NDArray[np.int64]
    """N×2: height and width."""

    def told(self, row: int) -> str:
        """Name one, with its size."""
        height, width = self.sizes[row].tolist()
        return f"{self.files[row]} is {height}x{width}"

    def smallest(self) -> list[int]:
        """Give the one of the least height and the one of the least width."""
        return sorted(set(self.sizes.argmin(0).tolist()))

    def extremes(self) -> list[int]:
        """Give these and those of the greatest."""
        return sorted({*self.smallest(), *self.sizes.argmax(0).tolist()})


def _scanned(found: Found, checked: Checked) -> tuple[dict[str, ScannedImages], list[str]]:
    """Scan the splits that lie in files, tell of their defects, and give warnings of what labels cannot teach."""
    loaded, splits = checked.loaded, {}
    warnings: list[str] = []
    for name in splits_of(checked):
        split = split_of(checked, name)
        if lie_in_files(split.samples):
            scan = scan_split(split, loaded.plugins.registry, workers=loaded.recipe.train.workers)
            key = "data.dataset" if split.dataset is loaded.recipe.data.dataset else f"data.{name}"
            key = "data.unlabelled.dataset" if name == "unlabelled" else key
            found.problems += [loaded.problem(key, defect) for defect in gathered(filter(None, scan.defects))]
            files = [first for first, *_ in split.samples.files]  # type: ignore[attr-defined] # it lies in files
            splits[name] = ScannedImages(files, scan.sizes)
            if name == "train":
                warnings += _about_classes(checked, scan)
    return splits, warnings


def _check_judged(found: Found, checked: Checked, world: int, images: ScannedImages) -> None:
    """See whether evaluation can make its batches of these images, and networks take the smallest."""
    recipe = checked.loaded.recipe
    batch_size = recipe.evaluate.batch_size or recipe.train.batch_size
    with found.at("evaluate.batch_size"):
        shares = [
            share
            for rank in range(world)
            for share in eval_shares(len(images.files), batch_size=batch_size, rank=rank, world=world)
        ]
        mixed = list(mixed_shares(images, shares))
        if mixed:
            raise KdsegError(
                f"images of different sizes cannot share a batch: {' and '.join(map(images.told, mixed[0]))}, and "
                f"{len(mixed)} of {len(shares)} batches of the val split hold such; set evaluate.batch_size = 1, or "
                "bring the images to one size"
            )
    for row in images.smallest():
        size = images.sizes[row].tolist()
        with found.at("evaluate.scales"):
            refuse_small(np.empty((*size, 3), np.uint8), str(images.files[row]))
            try:
                WholeImage.of(recipe.evaluate, batch_size).refuse(*size)
            except KdsegError as error:
                raise KdsegError(f"{images.files[row]}: {error}") from None


def mixed_shares(images: ScannedImages, shares: Iterable[range]) -> Iterator[tuple[int, int]]:
    """Give two images of different sizes of each batch that has such."""
    for share in shares:
        sizes = images.sizes[share.start : share.stop : share.step]
        others = np.flatnonzero((sizes != sizes[0]).any(1))
        if others.size:
            yield share[0], share[int(others[0])]


def _check_trained(found: Found, checked: Checked, world: int, splits: Sequence[ScannedImages]) -> None:
    """See whether the augmentation takes the smallest of these images, and makes those of a batch equal in size."""
    if not splits:
        return
    recipe = checked.loaded.recipe
    images = ScannedImages(
        [file for one in splits for file in one.files],
        np.concatenate([one.sizes for one in splits]),
    )
    if (images.sizes == images.sizes[0]).all():  # the first batch has shown all that there is to see
        return
    for row in images.smallest():
        with found.at("data.augment"):
            try:
                checked.augmentation.check(_drawn(images, row))
            except OptionError as error:
                mend = f"{images.told(row)}: leave it out, or make it larger first, by PadIfNeeded or SmallestMaxSize"
                raise OptionError((key, f"{text}; {mend}") for key, text in error.problems) from None
    if found.problems:
        return
    with found.at("data.augment"):
        shapes = {row: _augmented(checked, images, row) for row in images.extremes()}
        first, *others = shapes
        other = next((row for row in others if shapes[row] != shapes[first]), None)
        if other is not None and recipe.train.batch_size > world * recipe.train.micro_batches:
            sizes = ["x".join(map(str, shapes[row])) for row in (first, other)]
            raise KdsegError(
                f"images of different sizes cannot share a batch: {images.told(first)} and {images.told(other)}; "
                f"augmented, they are {sizes[0]} and {sizes[1]}: end data.augment with a crop or a resize"
            )


def _about_classes(checked: Checked, scan: Scan) -> Iterator[str]:
    """Tell which classes labels cannot teach. Where nothing is labelled, that is meant."""
    unseen = [name for name, there in zip(checked.classes.names, scan.present.T, strict=True) if not there.any()]
    if unseen and len(unseen) < len(checked.classes):
        yield f"data.dataset: no training image shows {', '.join(unseen)}: labels cannot teach what they do not hold"


def _augmented(checked: Checked, images: ScannedImages, row: int) -> tuple[int, int]:
    """Give height and width of an image as it comes to the networks; refuse it where they do not take it."""
    image = checked.augmentation(_drawn(images, row), 0, row).image
    refuse_small(image, f"{images.files[row]}, augmented,")
    height, width = image.shape[:2]
    for name, model in checked.loaded.recipe.models.items():
        if model.view is not None:
            try:
                refuse_small_scale(height, width, model.view.scale)
            except KdsegError as error:
                raise KdsegError(f"{images.files[row]}, as models.{name}.view shows it: {error}") from None
    return height, width


def _drawn(images: ScannedImages, row: int) -> Sample:
    """Draw noise of an image's size: what fails on it does so for the size."""
    noise = np.random.default_rng(0).integers(0, 256, (*images.sizes[row], 3), np.uint8)
    return Sample(image=noise, mask=None, id=str(images.files[row]))
