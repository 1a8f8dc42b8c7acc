"""An arm's numbers, with what they would have been on other images or without one training set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from attrs import frozen

from kdseg_biasvar.design import Design
from kdseg_biasvar.estimates import Array, columns, mean_iou
from kdseg_biasvar.intervals import apart, correlation, over_images, over_trials

if TYPE_CHECKING:
    from kdseg_biasvar.estimates import Correction
    from kdseg_biasvar.run_sums import RunSums

View = Literal["all", "class", "region"]
_AXES: Mapping[View, tuple[int, ...]] = {"all": (-2, -1), "class": (-1,), "region": (-2,)}
"""Those of …×C×2 tables that are summed over."""
_ON_A_LOG_SCALE = tuple(
    f"{measure}{part}" for measure in ("nll", "brier") for part in ("", "_variance", "_variance_data", "_variance_seed")
)
"""Where 95 % over five trials were 92 to 98 in all that was tried; plainly they were 86 to 97."""
_WITHOUT_TRIALS = ("error_bias", "error_variance", "error_variance_unbiased", "error_variance_biased")
"""The vote of few trials strays from that of many by more than the jackknife sees: no interval would hold the truth."""


@frozen(eq=False)
class Sums:
    """An arm's sums as arrays, and the same of each draw of images."""

    design: Design
    images: Array
    """I×C×2×Q."""
    drawn: Array
    """B×C×2×Q."""
    left: Array
    """S×C×2×Q."""
    pixels: Array
    """I×C×2."""
    drawn_pixels: Array
    """B×C×2."""


@frozen(eq=False)
class Measured:
    """Numbers by name, each an array over the rows of a view: none, the classes, or the regions."""

    value: Mapping[str, Array]
    draws: Mapping[str, Array]
    """With a further first axis, B draws of images."""
    left: Mapping[str, Array]
    """With a further first axis, S samples of which each is left out; not of those whose interval would mislead."""
    blocks: int
    """Images, or blocks of them, that were drawn from."""

    @property
    def judged(self) -> tuple[str, ...]:
        """The numbers that have an interval."""
        return tuple(name for name in self.value if name in self.draws or name in self.left)

    def interval(self, name: str) -> dict[str, Array]:
        """Give a number with both intervals; nan for an end that is not known."""
        value = self.value[name]
        nothing = np.full_like(value, np.nan)
        images = trials = (nothing, nothing)
        if name in self.draws:
            images = over_images(self.draws[name], self.blocks)
        if name in self.left:
            trials = over_trials(value, self.left[name], log=name in _ON_A_LOG_SCALE)
        return _interval(value, images, trials)


@frozen(eq=False)
class Difference:
    """How far a second arm lies above a first one."""

    first: Measured
    second: Measured
    paired: bool
    """Whether the arms learned from the same training sets: what a set does to both is no chance of the difference."""

    def interval(self, name: str) -> dict[str, Array]:
        """Give a number's difference with both intervals."""
        one, two = self.first, self.second
        value = two.value[name] - one.value[name]
        nothing = np.full_like(value, np.nan)
        images = (nothing, nothing)
        if name in one.draws:
            images = over_images(two.draws[name] - one.draws[name], one.blocks)
        trials = self._over_trials(name, value) if name in one.left else (nothing, nothing)
        return _interval(value, images, trials)

    def _over_trials(self, name: str, value: Array) -> tuple[Array, Array]:
        one, two = self.first, self.second
        log = name in _ON_A_LOG_SCALE
        if self.paired and not log:
            return over_trials(value, two.left[name] - one.left[name])
        ours, theirs = ((arm.value[name], *over_trials(arm.value[name], arm.left[name], log=log)) for arm in (one, two))
        bond = correlation(one.left[name], two.left[name]) if self.paired else np.zeros_like(value)
        return apart(ours, theirs, bond)


def _interval(value: Array, images: tuple[Array, Array], trials: tuple[Array, Array]) -> dict[str, Array]:
    return {
        "value": value,
        "images_low": images[0],
        "images_high": images[1],
        "trials_low": trials[0],
        "trials_high": trials[1],
    }


def measure(sums: Sums, view: View, blocks: int, correction: Correction, *, reference: bool) -> Measured:
    """Give the numbers of a view."""
    samples, seeds, axes = sums.design.samples, sums.design.seeds, _AXES[view]

    def of(table: Array, pixels: Array, samples: int, correction: Correction) -> dict[str, Array]:
        shifted = tuple(axis - 1 for axis in axes)  # quantities come last
        return columns(table.sum(shifted), pixels.sum(axes), samples, seeds, correction, reference=reference)

    for_left: Correction = "scaled" if correction == "jackknife" else correction  # none leaves out two
    all_images, all_pixels = sums.images.sum(0), sums.pixels.sum(0)
    value = of(all_images, all_pixels, samples, correction)
    left = of(sums.left, np.broadcast_to(all_pixels, sums.left.shape[:-1]), max(samples - 1, 2), for_left)
    left = {name: values for name, values in left.items() if name not in _WITHOUT_TRIALS}
    return Measured(value, of(sums.drawn, sums.drawn_pixels, samples, correction), left, blocks)


def mean_ious(sums: RunSums, design: Design) -> tuple[dict[str, Array], dict[str, Array]]:
    """Give the mean IoU of the trials and of their ensembles, and the former without each sample in turn."""
    found = mean_iou(sums.confusions.numpy())
    each = found[: design.trials].reshape(design.samples, design.seeds).mean(1)
    ensembles = dict(zip(("miou_vote", "miou_arithmetic", "miou_geometric"), found[design.trials :], strict=True))
    left = (each.sum() - each) / (design.samples - 1) if design.left_out else each[:0]
    return {"miou": np.asarray(each.mean()), **ensembles}, {"miou": left}
