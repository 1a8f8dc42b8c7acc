"""What the benchmarks' evaluators take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kdseg.data.submission import Submission
from kdseg.errors import KdsegError, display_path
from kdseg_road.cityscapes_labels import LABEL_IDS
from kdseg_road.classes import CITYSCAPES

if TYPE_CHECKING:
    from pathlib import Path

_FRAME = re.compile(r"([^_]+_\d{6}_\d{6})(?:_leftImg8bit)?")


def _cityscapes_name(image: Path) -> str:
    frame = _FRAME.fullmatch(image.stem)
    if frame is None:
        raise KdsegError(
            f"{display_path(image)}: Cityscapes finds predictions by city, sequence and frame: its images are named "
            "like frankfurt_000000_000294_leftImg8bit.png"
        )
    return f"{frame[1]}_labelIds.png"


CITYSCAPES_SUBMISSION = Submission(classes=CITYSCAPES.names, values=tuple(LABEL_IDS), file_name=_cityscapes_name)
"""Label ids, not train ids, in ``CITY_SEQUENCE_FRAME_labelIds.png``.

As ``getPrediction`` of cityscapesscripts 2.3.0 (evalPixelLevelSemanticLabeling) searches for them: anywhere below the
folder of results, exactly one file a frame.
"""

BDD100K_SUBMISSION = Submission(
    classes=CITYSCAPES.names, values=tuple(range(len(CITYSCAPES))), file_name=lambda image: f"{image.stem}.png"
)
"""Train ids in ``STEM.png``, as ``bdd100k.eval.run -t sem_seg`` of bdd100k 1.0.1 reads a folder of masks: by stem."""
