"""What a recipe's data holds, in numbers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kdseg.data.class_weights import CLASS_WEIGHTS
from kdseg.engine.splits.open import open_split
from kdseg.engine.splits.scans import scan_split
from kdseg.engine.splits.stamps import Split

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.data.samples import ClassTable
    from kdseg.data.scan import Scan
    from kdseg.recipe.load import LoadedRecipe


@frozen(kw_only=True)
class ScannedSplit:
    """A split and what it holds."""

    split: Split
    scan: Scan

    @property
    def classes(self) -> ClassTable:
        """The dataset's classes."""
        return self.split.dataset.class_table()

    @property
    def defects(self) -> list[str]:
        """What is wrong with the listing and with each sample."""
        listed = [str(defect) for defect in getattr(self.split.samples, "defects", ())]  # `FileSamples` have them
        return [*listed, *(defect for defect in self.scan.defects if defect)]


def scan_splits(loaded: LoadedRecipe, names: Iterable[str], workers: int) -> list[ScannedSplit]:
    """Open and scan splits, showing progress.

    Raises:
        KdsegError: as `open_split` does.
    """
    data = loaded.recipe.data
    opened = [
        Split(
            name=name,
            dataset=data.for_split(name),
            samples=open_split(loaded.recipe, name),
            num_classes=len(data.dataset.class_table()),
        )
        for name in names
    ]
    registry = loaded.plugins.registry
    return [ScannedSplit(split=split, scan=scan_split(split, registry, workers=workers)) for split in opened]


def split_report(scanned: ScannedSplit) -> dict[str, Any]:
    """Give what a split holds as plain values.

    Returns:
        ``images``; ``sizes``, images by ``HEIGHTxWIDTH``; ``ignored``, the share of pixels that count nowhere;
        ``boundary``, the share of the labelled pixels beside another label; ``classes``, for each its share of the
        labelled ``pixels``, of the ``images`` that hold it, and its ``weights`` by each rule of
        `kdseg.CLASS_WEIGHTS` (none where there are no labels); ``pairs``, for each class the share of its images that
        hold each other one; ``defects``. Shares are 0..1, and None of nothing.
    """
    scan, shares = scanned.scan, scanned.scan.shares()
    labelled = sum(shares.pixels)
    ignored = int(scan.pixels[:, -1].sum())
    weights = {rule: weigh(shares) for rule, weigh in CLASS_WEIGHTS.items()} if labelled else {}
    names = scanned.classes.names
    sizes = Counter(f"{height}x{width}" for height, width in scan.sizes.tolist() if height)
    return {
        "images": len(scan),
        "sizes": dict(sizes.most_common()),
        "ignored": _share(ignored, ignored + labelled),
        "boundary": _share(int(scan.boundary.sum()), labelled),
        "classes": {
            name: {
                "pixels": _share(shares.pixels[index], labelled),
                "images": _share(shares.images[index], len(scan)),
                "weights": {rule: those[index] for rule, those in weights.items()},
            }
            for index, name in enumerate(names)
        },
        "pairs": {
            name: {
                other: _share(together, shares.images[index])
                for other, together in zip(names, scan.pairs[index].tolist(), strict=True)
                if other != name
            }
            for index, name in enumerate(names)
        },
        "defects": scanned.defects,
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
