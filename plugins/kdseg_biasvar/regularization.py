"""Regularization samples: the pixels at which the variance part of soft labels pulls harder than their bias part."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from kdseg.charts import line_chart
from kdseg.data.pictures import write_image
from kdseg.data.samples import IGNORE_INDEX
from kdseg.errors import KdsegError, did_you_mean
from kdseg.hooks import Hooks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from kdseg.hooks import RunView

POINTS = 40
"""A chart's points at most: where there are more looks, neighbours are counted together."""
LABELS = 8
"""Of them, those whose step is written below: more would overlap."""
CLASSES = 4
"""Lines of single classes in a chart."""


def label_gradients(learner: Tensor, source: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Give the pull of the bias part and of the variance part of soft labels on the learner's logit of the label.

    Zhou et al. (2102.00650) split ``L_kd = -T² sum_c p_c(source/T) log p_c(learner/T)`` into the cross-entropy with the
    label, ``L_ce``, for bias, and ``L_kd - L_ce`` for variance. With respect to the learner's logit of the label y,
    the gradient of the first is ``p_y(learner) - 1``, and of L_kd ``T (p_y(learner/T) - p_y(source/T))``.

    Args:
        learner: logits P×C.
        source: likewise.
        labels: P class indices.
        temperature: T.

    Returns:
        The gradients of `L_ce` and of ``L_kd - L_ce``, P numbers each.
    """
    bias = _at_label(learner, labels) - 1
    softened = _at_label(learner / temperature, labels) - _at_label(source / temperature, labels)
    return bias, temperature * softened - bias


def count(learner: Tensor, source: Tensor, masks: Tensor, temperature: float) -> tuple[list[int], list[int]]:
    """Count the labelled pixels of each class, and those of them that are regularization samples.

    They are where the gradient of the variance part is greater than that of the bias part, both without their sign.

    Args:
        learner: logits N×C×H×W.
        source: likewise.
        masks: N×H×W class indices, 255 where ignored.
        temperature: of the soft labels.
    """
    classes = learner.shape[1]
    pixels = torch.zeros(2, classes, dtype=torch.int64, device=learner.device)
    for mine, its, mask in zip(learner, source, masks.to(learner.device), strict=True):  # the copies are of one image
        valid = mask != IGNORE_INDEX
        labels = mask[valid].long()
        bias, variance = label_gradients(
            mine.movedim(0, -1)[valid].double(), its.movedim(0, -1)[valid].double(), labels, temperature
        )
        pixels[0] += torch.bincount(labels, minlength=classes)
        pixels[1] += torch.bincount(labels[variance.abs() > bias.abs()], minlength=classes)
    labelled, regularization = pixels.tolist()
    return labelled, regularization


class CountRegularization(Hooks):
    """Counts regularization samples while the learner learns.

    A look sees the last micro-batch as it was augmented and both networks as they stand after the step, as evaluation
    runs them: in eval mode and without views. Processes have no public way to add up what they count, so of several the
    main one counts its own pixels; the others predict along, since a learner in parts needs them all.
    """

    def __init__(self, label: str, learner: str, source: str, temperature: float, every: int) -> None:
        self._label, self._learner, self._source = label, learner, source
        self._temperature, self._every = temperature, every
        self._steps: list[int] = []
        self._labelled: list[list[int]] = []  # of each class, at each of the steps
        self._regularization: list[list[int]] = []

    def on_run_start(self, run: RunView) -> None:
        """See that both participants exist before hours are spent.

        Raises:
            KdsegError: one does not.
        """
        for option, name in (("learner", self._learner), ("source", self._source)):
            if name not in run.participants:
                hint = did_you_mean(name, run.participants) or f"; there are {', '.join(run.participants)}"
                raise KdsegError(f"callbacks.{self._label}.{option}: {name!r} is no participant{hint}")

    def on_step_end(self, run: RunView) -> None:
        """Count, where it is time.

        The last look is here, not at the run's end: a run resumed there has no batch, and its checkpoint is written.
        """
        if run.step % self._every and run.step < run.total_steps:
            return
        learner, source = (run.predict(name, run.batch.images) for name in (self._learner, self._source))
        if not run.is_main:
            return
        labelled, regularization = count(learner, source, run.batch.masks, self._temperature)
        if not self._steps:
            self._labelled = [[] for _ in labelled]
            self._regularization = [[] for _ in labelled]
        self._steps.append(run.step)
        for number, (name, all_, those) in enumerate(zip(run.classes.names, labelled, regularization, strict=True)):
            self._labelled[number].append(all_)
            self._regularization[number].append(those)
            if all_:
                run.record(f"{self._label}/share/{name}", those / all_)
        if any(labelled):
            run.record(f"{self._label}/share", sum(regularization) / sum(labelled))

    def on_run_end(self, run: RunView) -> None:
        """Draw the share over the training."""
        if run.is_main and any(map(any, self._labelled)):
            title = f"Share of regularization samples, {self._source} to {self._learner}, T={self._temperature:g}"
            picture = _chart(title, run.classes.names, self._steps, self._labelled, self._regularization)
            write_image(run.pictures / f"{self._label}.png", picture)

    def state_dict(self) -> dict[str, Any]:
        """Give what was counted."""
        return {"steps": self._steps, "labelled": self._labelled, "regularization": self._regularization}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up again."""
        self._steps = list(state["steps"])
        self._labelled = [list(counts) for counts in state["labelled"]]
        self._regularization = [list(counts) for counts in state["regularization"]]


def _at_label(logits: Tensor, labels: Tensor) -> Tensor:
    """Give the probability of each pixel's label."""
    return (logits.gather(1, labels.unsqueeze(1)).squeeze(1) - logits.logsumexp(1)).exp()


def _chart(
    title: str,
    names: Sequence[str],
    steps: Sequence[int],
    labelled: Sequence[Sequence[int]],
    regularization: Sequence[Sequence[int]],
) -> npt.NDArray[np.uint8]:
    """Draw the share of all pixels and of those of the most frequent classes; a point's step is its last look's."""
    together = math.ceil(len(steps) / POINTS)
    starts = range(0, len(steps), together)

    def shares(classes: Sequence[int]) -> list[float]:
        def total(counts: Sequence[Sequence[int]], start: int) -> int:
            return sum(sum(counts[number][start : start + together]) for number in classes)

        pixels = [total(labelled, start) for start in starts]
        those = [total(regularization, start) for start in starts]
        return [part / whole if whole else math.nan for part, whole in zip(those, pixels, strict=True)]

    frequent = sorted((n for n in range(len(names)) if any(labelled[n])), key=lambda n: -sum(labelled[n]))[:CLASSES]
    series: Mapping[str, list[float]] = {
        "all pixels": shares(range(len(names))),
        **{names[number]: shares([number]) for number in frequent},
    }
    apart = math.ceil(len(starts) / LABELS)
    last = [steps[min(start + together, len(steps)) - 1] for start in starts]
    written = ["" if number % apart else str(step) for number, step in enumerate(last)]
    return line_chart(title, "step", written, series)
