"""What the stages of networks make of the same images, drawn again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from kdseg import KdsegError, OptionError, did_you_mean
from kdseg.feature_maps import as_array, lively_channels
from kdseg.hooks import Hooks
from kdseg_watch.gallery import compared
from kdseg_watch.layer_sheets import channels_sheet, components_sheet, difference_sheet
from kdseg_watch.scores import require_participant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from kdseg.components import CallbackContext
    from kdseg.hooks import RunView
    from kdseg_watch.picture_components import LayerImages

    Image = npt.NDArray[np.uint8]
    Values = npt.NDArray[np.float64]

ARROW = "->"


class DrawLayers(Hooks):
    """Draws features of participants, and the differences between a learner and its source."""

    def __init__(self, ctx: CallbackContext, options: LayerImages) -> None:
        self._ctx, self._options = ctx, options
        self._taps = self._drawn()
        self._learner, self._source = compared(ctx, options.learner, options.source)
        if options.between and self._source is None:
            raise OptionError([("between", f"the run has nobody to compare {self._learner} with")])
        self._pairs = [self._pair(text, self._learner, str(self._source)) for text in options.between]
        self._evaluations = 0
        self._chosen: dict[str, dict[str, list[int]]] = {}  # channels by participant and tap, once for all pictures

    def _drawn(self) -> dict[str, tuple[str, ...]]:
        """Give the taps that are drawn, by participant."""
        options = self._options
        for name in options.participants:
            require_participant(self._ctx, name, "participants")
        shown = options.participants or (() if options.between else tuple(self._ctx.taps))
        every = {name: self._taps_of(name) for name in shown}
        drawn = {name: those for name, those in every.items() if those}
        lacking = [name for name in shown if name not in drawn and (options.participants or not drawn)]
        if lacking and not options.taps:
            told = f"{lacking[0]} offers no stages; name submodules of its network, or other `participants`"
            raise OptionError([("taps", told)])
        for tap in options.taps:
            if shown and not any(tap in taps for taps in drawn.values()):
                raise self._no_tap("taps", tap, shown[0])
        return drawn

    def on_evaluation_end(self, run: RunView) -> None:
        """Draw, where it is this evaluation's turn."""
        self._evaluations += 1
        if self._options.unit == "evaluation" and self._evaluations % self._options.every == 0:
            self._draw(run)

    def on_run_end(self, run: RunView) -> None:
        """Draw, where the last evaluation was not drawn."""
        if self._options.unit == "evaluation" and self._evaluations % self._options.every:
            self._draw(run)

    def on_step_end(self, run: RunView) -> None:
        """Draw, where it is this step's turn."""
        if self._options.unit == "step" and run.step % self._options.every == 0:
            self._draw(run)

    def state_dict(self) -> dict[str, Any]:
        """Give what was chosen, and how many evaluations there were."""
        return {"evaluations": self._evaluations, "chosen": self._chosen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up again."""
        self._evaluations, self._chosen = state["evaluations"], state["chosen"]

    def _draw(self, run: RunView) -> None:
        samples = run.samples(self._options.images)
        size = samples[0].image.shape[1::-1]
        images = np.stack([cv2.resize(one.image, size, interpolation=cv2.INTER_AREA) for one in samples])
        ids = [one.id for one in samples]
        for name, taps in self._taps.items():
            self._draw_one(run, name, self._features(run, name, images, taps), images, ids)
        if self._pairs and self._source is not None:
            self._draw_pairs(run, self._source, images, ids)

    def _draw_pairs(self, run: RunView, source: str, images: Image, ids: Sequence[str]) -> None:
        """Draw where learner and source look, and the difference."""
        ours, theirs = (tuple(dict.fromkeys(one[side] for one in self._pairs)) for side in (0, 1))
        mine = self._features(run, self._learner, images, ours)
        other = self._features(run, source, images, theirs)
        if not run.is_main:
            return
        both = {(one, two): (mine[one], other[two]) for one, two in self._pairs}
        sheet = difference_sheet((self._learner, source), both, images, [self._told(run, one) for one in ids])
        caption = (
            f"Where {self._learner} and {source} look, as the mean of |a| over the channels divided by the map's root "
            "mean square, and the difference: red where the learner looks more, blue where less."
        )
        run.show(f"{self._ctx.label}-difference", sheet, caption)

    def _draw_one(
        self, run: RunView, name: str, features: Mapping[str, Values], images: Image, ids: Sequence[str]
    ) -> None:
        """Draw a participant's stages; the channels are chosen on all processes, for each keeps them."""
        headings = [f"{name}: {self._told(run, one)}" for one in ids]
        if self._options.show == "components":
            if run.is_main:
                caption = (
                    f"Principal components of {name}'s stages, red and blue for their two signs, with the share of "
                    "the variance that each explains; as RGB the first three at once, grey where all are 0."
                )
                run.show(f"{self._ctx.label}-{name}", components_sheet(features, images, headings), caption)
            return
        chosen = self._chosen.setdefault(name, {})
        for tap, values in features.items():
            chosen.setdefault(tap, list(lively_channels(values, self._options.channels)))
        if run.is_main:
            caption = (
                f"The stages of {name}: where it looks (the mean of |a| over the channels, 1 is the map's root mean "
                "square), and the channels that varied most in the first picture, all of a row by the scale behind it."
            )
            run.show(f"{self._ctx.label}-{name}", channels_sheet(features, chosen, images, headings), caption)

    def _features(self, run: RunView, name: str, images: Image, taps: Sequence[str]) -> dict[str, Values]:
        """Give features, of all processes alike: networks may lie in parts over them."""
        found = run.features(name, torch.from_numpy(images), taps)
        for tap in taps:
            if getattr(found.get(tap), "ndim", 0) != 4:  # noqa: PLR2004 (images, channels, height, width)
                raise KdsegError(f"{name} makes no map at {tap}; name others in `taps`")
        return {tap: as_array(found[tap]) for tap in taps}

    def _told(self, run: RunView, image: str) -> str:
        return f"step {run.step}, image {image}"

    def _taps_of(self, name: str) -> tuple[str, ...]:
        """Give the taps that are drawn of a participant: those asked for that it has, or its stages."""
        if not self._options.taps:
            return self._ctx.taps[name]
        there = self._known(name)
        return tuple(tap for tap in self._options.taps if tap in there)

    def _pair(self, text: str, learner: str, source: str) -> tuple[str, str]:
        """Read the taps of a pair, or of one name for both."""
        parts = [part.strip() for part in text.split(ARROW)]
        if len(parts) > 2 or not all(parts):  # noqa: PLR2004 (learner and source)
            told = f'{text!r} is no pair of taps; write "encoder.3 {ARROW} encoder.3", learner first'
            raise OptionError([("between", told)])
        for tap, name in ((parts[0], learner), (parts[-1], source)):
            if tap not in self._known(name):
                raise self._no_tap("between", tap, name)
        return parts[0], parts[-1]

    def _no_tap(self, option: str, tap: str, name: str) -> OptionError:
        hint = did_you_mean(tap, self._known(name)) or f"; there are {', '.join(self._ctx.taps[name])}"
        return OptionError([(option, f"{name} has no tap {tap!r}{hint}")])

    def _known(self, name: str) -> list[str]:
        """Give the stages of a participant, then its submodules."""
        return list(dict.fromkeys((*self._ctx.taps[name], *self._ctx.submodules[name])))
