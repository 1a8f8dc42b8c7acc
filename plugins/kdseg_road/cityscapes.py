"""The layout of Cityscapes (Cordts et al. 2016, arXiv:1604.01685), as downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import frozen

from kdseg.data.image_samples import ImageSamples
from kdseg.errors import KdsegError, did_you_mean
from kdseg.listing import Files, Listing, paired, subfolders, unlabelled
from kdseg_road.cityscapes_labels import EVALUATED, LABELS, TRAIN_IDS
from kdseg_road.labels import Labels

if TYPE_CHECKING:
    from pathlib import Path

    from kdseg.listing import Unpaired

IMAGE = "_leftImg8bit.png"


@frozen(kw_only=True)
class CityscapesFolder:
    """The dataset on disk, and what of it is wanted."""

    root: Path
    layout: str
    annotation: Literal["fine", "coarse"]
    masks: Literal["labelIds", "labelTrainIds"]
    cities: tuple[str, ...]
    """Empty for all."""
    instances: bool
    unpaired: Unpaired

    def samples(self, split: str, *, train_extra: bool) -> ImageSamples:
        """Give a split's samples, in the order of their names. The test split's ground truth is a dummy: unlabelled.

        Raises:
            KdsegError: a folder is missing or empty, or a city is unknown.
        """
        parts = {split: self.annotation} | ({"train_extra": "coarse"} if train_extra else {})
        cities = {part: subfolders(self.root / "leftImg8bit" / part, self.layout) for part in parts}
        known = [city for found in cities.values() for city in found]
        for city in self.cities:
            if city not in known:
                hint = did_you_mean(city, known) or f"; it has {', '.join(known)}"
                raise KdsegError(f"cities: the {split} split has no city {city!r}{hint}")
        listing = Listing({}, ())
        for part, annotation in parts.items():
            wanted = [city for city in cities[part] if city in (self.cities or known)]
            if wanted or not self.cities:
                listing += self._part(part, annotation, wanted)
        if self.masks == "labelIds":
            labels = Labels.of(TRAIN_IDS, f"Cityscapes' label ids go from 0 to {len(LABELS) - 1}")
        else:
            labels = Labels.of(range(len(EVALUATED)), f"train ids go from 0 to {len(EVALUATED) - 1}, and 255")
        return ImageSamples.of(listing, labels)

    def _part(self, part: str, annotation: str, cities: list[str]) -> Listing:
        """List train, val, test or train_extra."""
        images = Files.of(self._folders("leftImg8bit", part, cities), (IMAGE,), self.layout)
        if part == "test":
            return unlabelled(images)
        kind = f"gt{annotation.title()}"
        there = subfolders(self.root / kind / part, self.layout)
        labelled = [city for city in there if not self.cities or city in self.cities]
        masks = Files.of(self._folders(kind, part, labelled or cities), (f"_{kind}_{self.masks}.png",), self.layout)
        listing = paired(images, masks, self.unpaired)
        if self.instances:
            listing = listing.with_each("instance ids", (self.masks, "instanceIds"))
        return listing

    def _folders(self, kind: str, part: str, cities: list[str]) -> list[Path]:
        folder = self.root / kind / part
        return [folder / city for city in cities] or [folder]
