"""Pictures of the same validation images, evaluation after evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kdseg.charts import colour_mask, fitting, grid, scale
from kdseg.hooks import Hooks
from kdseg_watch.gallery_sheet import legend, meanings, outcomes, paint_entropy
from kdseg_watch.scores import require_participant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from torch import Tensor

    from kdseg.components import CallbackContext
    from kdseg.data.samples import Sample
    from kdseg.hooks import RunView
    from kdseg_watch.picture_components import Gallery

    Image = npt.NDArray[np.uint8]


class SaveGallery(Hooks):
    """Draws images in rows, and beside each what is asked for."""

    def __init__(self, ctx: CallbackContext, options: Gallery) -> None:
        self._ctx, self._options = ctx, options
        self._learner, self._source = compared(ctx, options.learner, options.source)
        self._evaluations = 0

    def on_evaluation_end(self, run: RunView) -> None:
        """Draw, where it is this evaluation's turn."""
        self._evaluations += 1
        if self._evaluations % self._options.every == 0:
            self._draw(run)

    def on_run_end(self, run: RunView) -> None:
        """Draw, where the last evaluation was not drawn."""
        if self._evaluations % self._options.every:
            self._draw(run)

    def _draw(self, run: RunView) -> None:
        samples = run.samples(self._options.images)
        logits = {
            name: [run.predict(name, torch.from_numpy(one.image.copy())[None])[0] for one in samples]
            for name in run.participants
        }  # of all processes alike: networks may lie in parts over them
        if not run.is_main:
            return
        masks = {name: [one.max(0).indices.byte().cpu().numpy() for one in those] for name, those in logits.items()}
        truths = {"truth": [one.mask for one in samples]}
        run.show(self._ctx.label, self._sheet(run, samples, logits, masks), self._caption())
        run.show_masks(self._ctx.label, [one.image for one in samples], truths | masks)

    def state_dict(self) -> dict[str, Any]:
        """Give how many evaluations there were."""
        return {"evaluations": self._evaluations}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take that up again."""
        self._evaluations = state["evaluations"]

    def _sheet(
        self,
        run: RunView,
        samples: Sequence[Sample],
        logits: Mapping[str, Sequence[Tensor]],
        masks: Mapping[str, Sequence[Image]],
    ) -> Image:
        """Set the samples in rows below each other, and below them what colours and shades mean."""
        rows = []
        for number, sample in enumerate(samples):
            said = {name: those[number] for name, those in masks.items()}
            cells = self._cells(sample, said, logits[self._learner][number], run.classes.colours)
            rows.append([cell for column in self._options.columns for cell in cells[column]])
        sheet = grid(rows, self._captions(run))
        below = []
        if "disagreement" in self._options.columns:
            below.append(legend(sheet.shape[1], meanings(self._learner, self._source)))
        if "entropy" in self._options.columns:
            below.append(scale(sheet.shape[1], f"entropy of {self._learner}, as a share of ln C", "1"))
        return np.concatenate([sheet, *below])

    def _cells(
        self, sample: Sample, masks: Mapping[str, Image], logits: Tensor, colours: Sequence[tuple[int, int, int]]
    ) -> dict[str, list[Image]]:
        """Give one sample's pictures by column; `logits` are the learner's."""
        theirs = masks[self._source] if self._source else None
        painted = {
            "truth": [colour_mask(sample.mask, colours)],
            "predictions": [colour_mask(mask, colours) for mask in masks.values()],
            "disagreement": [outcomes(masks[self._learner], sample.mask, theirs)],
        }
        smooth = {"image": [sample.image], "entropy": [paint_entropy(logits)]}
        return {
            **{column: [fitting(one, of_classes=True) for one in those] for column, those in painted.items()},
            **{column: [fitting(one, of_classes=False) for one in those] for column, those in smooth.items()},
        }

    def _captions(self, run: RunView) -> list[str]:
        metric = self._ctx.metric
        scores = [f"{name}  {metric} {run.values.get(f'val/{name}/{metric}', np.nan):.3f}" for name in run.participants]
        against = f"{self._learner} against {self._source or 'truth'}"
        captions = {"predictions": scores, "disagreement": [against], "entropy": [f"entropy of {self._learner}"]}
        return [text for column in self._options.columns for text in captions.get(column, [column])]

    def _caption(self) -> str:
        against = f" and {self._source}" if self._source else ""
        told = {
            "predictions": "what each participant predicts",
            "disagreement": f"where {self._learner} disagrees with the truth{against}",
            "entropy": f"the entropy of {self._learner}'s softmax as a share of the most",
        }
        parts = [told.get(column, f"the {column}") for column in self._options.columns]
        return f"The same validation images at each evaluation: {', '.join(parts)}."


def compared(ctx: CallbackContext, learner: str, source: str) -> tuple[str, str | None]:
    """Give a learner and with whom it is compared: those named; else `student` or the first learner, and its source.

    Raises:
        OptionError: there is no such participant.
    """
    for option, name in (("learner", learner), ("source", source)):
        if name:
            require_participant(ctx, name, option)
    if not learner:
        learner = "student" if "student" in ctx.taps else next(iter([*ctx.sources, *ctx.taps]))
    others = [*ctx.sources.get(learner, ()), *(name for name in ctx.taps if name != learner)]
    return learner, source or next(iter(others), None)
