"""Samples kept as raw arrays in one file that processes map: what takes a crop reads no more than the crop's pages."""

from __future__ import annotations

import json
import mmap
import os
from typing import TYPE_CHECKING

import numpy as np
from attrs import field, frozen

from kdseg.data.labelled import labelled
from kdseg.data.samples import Sample, Samples
from kdseg.data.workers import read_in_workers
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from kdseg.data.samples import Defect

PAGE = 4096
"""Bytes to whose multiples samples are aligned."""
MAGIC = b"kdseg raw 1\n"
"""Ends the file; before it lie the length of the index, as eight bytes, and before that the index."""


def stored_bytes(sizes: Sequence[tuple[int, int]]) -> int:
    """Give the bytes that images and masks of these heights and widths take, but for the index."""
    return int(_offsets(sizes)[-1])


def write_store(
    path: Path,
    samples: Samples,
    sizes: Sequence[tuple[int, int]],
    *,
    workers: int,
    on_sample: Callable[[], None] = lambda: None,
) -> None:
    """Write all samples of a split, their images and masks, to a file.

    Args:
        path: the file, which is nobody else's yet.
        samples: the split.
        sizes: height and width of each sample.
        workers: processes that read and write them; 0 does so in this one.
        on_sample: called after each sample.

    Raises:
        KdsegError: what is wrong with a sample; it is of another size, or holds `extras`, for which there is no place.
        OSError: the disk is full, or refuses otherwise.
    """
    offsets = _offsets(sizes)
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):  # a full disk is told here, not by a signal later
            os.posix_fallocate(file.fileno(), 0, max(int(offsets[-1]), 1))
        file.truncate(int(offsets[-1]))
    write = _Writer(path, samples, tuple(sizes), offsets)
    written = []
    for one in read_in_workers(write, range(len(sizes)), workers):
        written.append(one)
        on_sample()
    names = {"ids": [name for name, _ in written], "labelled": [has_mask for _, has_mask in written]}
    index = json.dumps({"sizes": [[int(height), int(width)] for height, width in sizes], **names}).encode()
    with path.open("r+b") as file:
        file.seek(int(offsets[-1]))
        file.write(index + len(index).to_bytes(8, "little") + MAGIC)


@frozen(eq=False)
class StoredSamples:
    """The samples that `write_store` wrote. Their arrays are views of the mapped file that cannot be written to.

    Pickled as its place, so that a process started anew maps the file too.
    """

    files: Sequence[tuple[Path, ...]]
    """What the samples were made from."""
    defects: Sequence[Defect]
    _path: Path
    _ids: Sequence[str]
    _labelled: Sequence[bool]
    _sizes: Sequence[tuple[int, int]]
    _offsets: npt.NDArray[np.int64]
    _bytes: npt.NDArray[np.uint8] = field(repr=False)

    @classmethod
    def of(cls, path: Path, files: Sequence[tuple[Path, ...]], defects: Sequence[Defect] = ()) -> StoredSamples:
        """Map a file.

        Raises:
            KdsegError: it is no such file, or was cut short.
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        end = len(mapped) - len(MAGIC) - 8
        start = end - int.from_bytes(mapped[max(end, 0) : end + 8], "little")
        if mapped[-len(MAGIC) :] != MAGIC or start < 0:
            raise KdsegError(f"{path}: does not hold samples as raw arrays; remove it")
        index = json.loads(mapped[start:end])
        return cls(
            files=files,
            defects=defects,
            path=path,
            ids=index["ids"],
            labelled=index["labelled"],
            sizes=index["sizes"],
            offsets=_offsets(index["sizes"]),
            bytes=np.frombuffer(mapped, np.uint8),
        )

    def __reduce__(self) -> tuple[Callable[..., StoredSamples], tuple[object, ...]]:
        """Pickle where it lies."""
        return StoredSamples.of, (self._path, self.files, self.defects)

    def __len__(self) -> int:
        """Give the number of samples."""
        return len(self._ids)

    def __getitem__(self, index: int) -> Sample:
        """Give one sample."""
        name = self._ids[index]
        height, width = self._sizes[index]
        start, pixels = int(self._offsets[index]), height * width
        image = self._bytes[start : start + 3 * pixels].reshape(height, width, 3)
        mask = self._bytes[start + 3 * pixels : start + 4 * pixels].reshape(height, width)
        return Sample(image=image, mask=mask if self._labelled[index] else None, id=name)


def _offsets(sizes: Sequence[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """Give where each sample begins, and last where all of them end."""
    pixels = np.array([height * width for height, width in sizes], np.int64)
    pages = -(-4 * pixels // PAGE)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(pages * PAGE)])


@frozen(eq=False)
class _Writer:
    """Reads one sample and writes it into its place."""

    path: Path
    samples: Samples
    sizes: Sequence[tuple[int, int]]
    offsets: npt.NDArray[np.int64]

    def __call__(self, index: int) -> tuple[str, bool]:
        read = self.samples[index]
        sample = labelled(read)
        if sample.extras:
            raise KdsegError(
                f"{sample.id}: has {', '.join(sample.extras)}, for which a store of raw arrays has no place"
            )
        if sample.image.shape[:2] != tuple(self.sizes[index]):
            raise KdsegError(f"{sample.id}: changed while it was read; start again when the files stay as they are")
        with self.path.open("r+b") as file:
            file.seek(int(self.offsets[index]))
            file.write(np.ascontiguousarray(sample.image).data)
            if read.mask is not None:
                file.write(np.ascontiguousarray(read.mask).data)
        return sample.id, read.mask is not None
