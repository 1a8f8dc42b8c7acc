"""The dataset as recipes see it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from attrs import field, frozen
from attrs.validators import ge, lt

from kdseg import did_you_mean
from kdseg.listing import Unpaired
from kdseg.mask_values.by_values import ByValues

if TYPE_CHECKING:
    from typing import Any

    from attrs import Attribute

    from kdseg import DatasetContext, Proposal, Samples

_SPLITS = ("train", "val", "test")


def _pattern(_: Any, __: Attribute[str], value: str) -> None:
    for name in re.findall(r"\{(.*?)\}", value):
        if name != "split":
            raise ValueError(f"knows no {{{name}}}; {{split}} stands for the split's name")


def _lists(_: Any, attribute: Attribute[str], value: str) -> None:
    _pattern(_, attribute, value)
    if value and "{split}" not in value:
        raise ValueError(f"{value!r} would list the same images for every split; write {{split}} where its name stands")


def _of_splits(_: Any, __: Attribute[dict[str, str]], value: dict[str, str]) -> None:
    for name in value:
        if name not in _SPLITS:
            raise ValueError(
                f"no split is called {name!r}{did_you_mean(name, _SPLITS) or '; there are train, val, test'}"
            )
    words = list(value.values())
    for word in words:
        if not word or words.count(word) > 1:
            raise ValueError(f"{word!r} stands for more than one split, or for none; each has a name of its own")


def _one_way(options: Folder, _: Attribute[float], value: float) -> None:
    if value and (options.lists or "{split}" in options.images):
        raise ValueError("the splits are said twice: by a share, and by {split} in images, or lists; keep one of them")


def _expression(options: Folder, _: Attribute[str], value: str) -> None:
    try:
        groups = re.compile(value).groups
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error}") from None
    if value and not groups:
        raise ValueError(f'{value!r} has no parentheses; what the first ones fit names the group: "^(.*)_[0-9]+$"')
    if value and not options.val_share + options.test_share:
        raise ValueError("keeps groups together where val_share or test_share shares images out; say one of them")


@frozen(kw_only=True)
class Folder(ByValues):
    """Your own images: folders or globs of them, with masks or without.

    An image and its mask have one key: what the wildcards of `images` and `masks` stand for, or the path below a
    folder, without the suffix. Masks are PNG or another lossless format: 8- or 16-bit grey, with a palette (whose
    indices count, unless `values` lists colours), or in colours. `kdseg init FOLDER` writes such a table for a folder.
    """

    name: ClassVar[str] = "folder"
    splits: ClassVar[tuple[str, ...]] = _SPLITS
    class_mend: ClassVar[str] = "; kdseg init FOLDER proposes them"
    root: Annotated[Path, "the folder that images, masks and lists are relative to"]
    images: Annotated[
        str,
        "a folder, or a glob as `{split}/*_image.jpg`: `{split}` stands for train, val or test, `**` for any folders",
    ] = field(validator=_pattern)
    masks: Annotated[str, "likewise, as `{split}/*_mask.png`; left out: the images have no labels"] = field(
        default="", validator=_pattern
    )
    split_names: Annotated[
        dict[str, str],
        'what `{split}` stands for where that is another word: { train = "training", val = "validation" }',
    ] = field(factory=dict, validator=_of_splits)
    lists: Annotated[
        str, "text files that list each split's images, a name or a path a line, such as `lists/{split}.txt`"
    ] = field(default="", validator=_lists)
    val_share: Annotated[float, "the share of the images, 0..1, that is kept apart as the val split"] = field(
        default=0.0, validator=[ge(0), lt(1), _one_way]
    )
    test_share: Annotated[float, "likewise for the test split"] = field(default=0.0, validator=[ge(0), lt(1), _one_way])
    group: Annotated[
        str,
        "images of one group stay in one split: a regular expression on the key, whose first parentheses name the "
        "group: `^(.*)_[0-9]+$` for frames of a sequence",
    ] = field(default="", validator=_expression)
    split_seed: Annotated[int, "shares images out otherwise; the recipe's seed changes nothing here"] = field(
        default=0, validator=ge(0)
    )
    unpaired: Unpaired = "refuse"

    def __attrs_post_init__(self) -> None:
        """Refuse shares that leave nothing to train on."""
        if self.val_share + self.test_share >= 1:
            raise ValueError(
                f"val_share and test_share leave nothing to train on: {self.val_share:g} + {self.test_share:g}"
            )

    def build(self, ctx: DatasetContext) -> Samples:
        """List a split's files.

        Raises:
            KdsegError: a folder or list is missing, or nothing says which images are the split's.
        """
        from kdseg_folder.samples import folder_samples

        return folder_samples(self, ctx, self.reader())

    @classmethod
    def propose(cls, folder: Path) -> Proposal | None:
        """Look at a folder of images and masks, and say how to read it.

        Raises:
            KdsegError: it holds no images, or masks that cannot be read.
        """
        from kdseg_folder.propose import propose

        return propose(folder)
