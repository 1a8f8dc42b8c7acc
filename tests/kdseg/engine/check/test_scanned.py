"""Batches of several sizes are foreseen exactly where evaluation would meet them, over any number of processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kdseg.data.loader import eval_batches, eval_shares
from kdseg.data.samples import Sample
from kdseg.engine.check.scanned import ScannedImages, mixed_shares
from kdseg.errors import KdsegError


@given(
    tall=st.lists(st.booleans(), min_size=1, max_size=24), batch_size=st.integers(1, 6), world=st.integers(1, 4)
)  # fmt: skip
def test_what_is_foreseen_is_what_loading_meets(tall, batch_size, world):
    samples = [Sample(image=np.zeros((4 + one, 4, 3), np.uint8), mask=None, id=str(n)) for n, one in enumerate(tall)]
    images = ScannedImages(
        [Path(sample.id) for sample in samples],
        np.array([sample.image.shape[:2] for sample in samples]),
    )
    for rank in range(world):
        foreseen = list(mixed_shares(images, eval_shares(len(tall), batch_size=batch_size, rank=rank, world=world)))
        met = ""
        try:
            list(eval_batches(samples, batch_size=batch_size, rank=rank, world=world, workers=0))
        except KdsegError as error:
            met = str(error)
        assert bool(met) == bool(foreseen)
        if foreseen:
            first, second = foreseen[0]
            assert f"{first} is {4 + tall[first]}x4, {second} is {4 + tall[second]}x4" in met
