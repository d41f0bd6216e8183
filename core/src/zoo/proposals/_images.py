"""Which image a proposal is of, and a split whose images bring their proposals."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.data.datasets import Dataset, FileDataset
from zoo.errors import DataError
from zoo.proposals._proposer import with_proposals
from zoo.structures import Sample

if TYPE_CHECKING:
    from zoo.proposals._artefact import Proposals


_READERS = 8
"""Threads; a disk that is far away answers many at once."""


class ImageId(NamedTuple):
    """Tells an image from every other, wherever the data lie.

    Attributes:
        name: of its file, relative to the data; of data that are no files, split and index.
        mark: of the content of its file (``FileDataset.mark``), or the fingerprint of the split.
    """

    name: str
    mark: str


def image_ids(dataset: Dataset) -> list[ImageId]:
    """Of each image, in the order of the split."""
    if isinstance(dataset, FileDataset):
        with ThreadPoolExecutor(_READERS) as pool:
            marks = pool.map(dataset.mark, range(len(dataset)))
            return [ImageId(*pair) for pair in zip(dataset.names, marks, strict=True)]
    mark = f"fingerprint {dataset.fingerprint()[:16]}"
    return [ImageId(dataset.describe(index), mark) for index in range(len(dataset))]


def as_rgb(dataset: Dataset) -> Dataset:
    """The split decoded to three channels: proposals are the same for a model that sees grey."""
    return replace(dataset, channels=3) if isinstance(dataset, FileDataset) else dataset


class ProposedDataset:
    """A split whose samples have the targets ``proposals`` and ``proposal_counts``.

    Args:
        dataset: the split.
        proposals: of its images, and maybe of others.
        limit: most proposals of an image.
        place: where they are from, for the message.

    Raises:
        DataError: there are none for an image of the split; names the first.
    """

    def __init__(
        self, dataset: Dataset, proposals: Proposals, *, limit: int | None, place: str
    ) -> None:
        self._dataset = dataset
        self._limit = limit
        self._proposals = proposals
        self._rows = _rows(dataset, proposals.images, place)
        self.classes = dataset.classes
        # By which batches of similar images are made, where the data know them.
        self.sizes_px: Any = getattr(dataset, "sizes_px", None)

    def __len__(self) -> int:
        return len(self._dataset)

    def load(self, index: int) -> Sample:
        """The sample with its proposals."""
        boxes, _ = self._proposals.of(self._rows[index])
        return with_proposals(self._dataset.load(index), boxes, self._limit)

    def sha256(self) -> str:
        """Of every proposal that a sample of the split has, in the order of the split."""
        digest = hashlib.sha256()
        for row in self._rows:
            boxes = self._proposals.of(row)[0][: self._limit]
            digest.update(f"{len(boxes)}\n".encode() + boxes.tobytes())
        return digest.hexdigest()

    def describe(self, index: int) -> str:
        """As the split says."""
        return self._dataset.describe(index)

    def fingerprint(self) -> str:
        """As the split says."""
        return self._dataset.fingerprint()


def _rows(dataset: Dataset, images: Sequence[ImageId], place: str) -> list[int]:
    """The row of each image of the split among those that there are proposals for."""
    row_of = {image: row for row, image in enumerate(images)}
    wanted = image_ids(dataset)
    if all(image in row_of for image in wanted):
        return [row_of[image] for image in wanted]
    first = next(image for image in wanted if image not in row_of)
    before = dict(images).get(first.name)
    difference = (
        f"{first.name} is not among their {len(images):,}"
        if before is None
        else f"{first.name} has {first.mark}, and had {before}"
    )
    raise DataError(
        f"the proposals in {place} are for other images: {difference}",
        "Make some for these: `zoo proposals build`, or name a method instead of the file.",
    )
