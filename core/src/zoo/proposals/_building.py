"""Make the proposals of many images: by all cores, and from where a broken attempt ended.

An artefact grows in a folder beside it, ``KEY.parts``, a file for each few images; what is there
and whole is not made again.  One process builds; others that want the same wait for it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path

import numpy as np
import torch

from zoo.cache import cache_folder
from zoo.cores import usable_cores
from zoo.data.datasets import Dataset
from zoo.data.loading import Loader
from zoo.errors import DataError
from zoo.proposals._artefact import Proposals, read_proposals, save_proposals
from zoo.proposals._images import ImageId, as_rgb, image_ids
from zoo.proposals._method import Method
from zoo.proposals._proposer import Proposer, propose, rgb_of
from zoo.proposals._recall import recall
from zoo.runs import storage_errors, turn
from zoo.structures import Batch, Sample, SampleKey
from zoo.wording import counted, to_nobody

PART_IMAGES = 16
"""Of a file of ``KEY.parts``: what a broken attempt loses of each core's work, at most."""
_PATIENCE_S = 3600.0
"""How long a part may take; selective search of large photos takes seconds for each."""

Progress = Callable[[int, int], None]
Bar = Callable[[str], AbstractContextManager[Progress]]
"""Shows what is being done; is then told what is done and what there is in all."""


def find_or_build(
    datasets: Sequence[Dataset],
    method: Method,
    make_proposer: Callable[[Method], Proposer],
    *,
    message: Callable[[str], None],
    bar: Bar | None = None,
) -> Proposals:
    """The proposals of some splits, from the cache; what is not there is made first.

    What an attempt that was broken has left is used, and the result is the same, bit for bit.

    Args:
        datasets: the splits; their images come one after the other.
        method: what makes them.
        make_proposer: opens the method.
        message: told what is made, and how good it is.
        bar: shows how far it is; default: nobody sees it.

    Raises:
        UsageError: the method needs what is not installed.
        DataError: an image cannot be read.
        StorageError: the disk is full, read-only or failing.
    """
    images = _Images(datasets)
    path = _place(images, method)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with turn(
        path.with_suffix(".lock"),
        waiting=lambda: message("Another process makes these proposals: waiting for it."),
    ):
        if (found := _read_if_whole(path, message)) is not None:
            return found
        proposer = make_proposer(method)
        message(f"Making proposals for {counted(len(images), 'image')}: {method.name}.")
        start = time.monotonic()
        with bar("proposals") if bar else nullcontext(to_nobody) as progress:
            parts = _make_parts(images, method, proposer, path.with_suffix(".parts"), progress)
        proposals = Proposals.join(method, parts)
        save_proposals(path, proposals)
        shutil.rmtree(path.with_suffix(".parts"), ignore_errors=True)
        message(_summary(datasets, proposals, time.monotonic() - start))
        return proposals


def place_in_cache(datasets: Sequence[Dataset], method: Method) -> Path:
    """The file that ``find_or_build`` reads or writes; it need not exist."""
    return _place(_Images(datasets), method)


def _place(images: _Images, method: Method) -> Path:
    return cache_folder() / "proposals" / f"{_key(images.ids, method)}.safetensors"


class _Images:
    """The images of several splits, one after the other."""

    classes = ()

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        self.ids = [image for dataset in datasets for image in image_ids(dataset)]
        self._at = [(of, row) for of in map(as_rgb, datasets) for row in range(len(of))]

    def __len__(self) -> int:
        return len(self._at)

    def load(self, index: int) -> Sample:
        dataset, row = self._at[index]
        return dataset.load(row)

    def describe(self, index: int) -> str:
        dataset, row = self._at[index]
        return dataset.describe(row)

    def fingerprint(self) -> str:
        return ""  # nobody asks


class _Proposing:
    """A data set whose samples are the proposals of an image, so that loader processes make them.

    They come in the order of the images, and a process that dies or hangs is named with its image.
    """

    classes = ()
    _NO_IMAGE = torch.zeros(1, 1, 1, dtype=torch.uint8)

    def __init__(self, images: _Images, proposer: Proposer) -> None:
        self._images = images
        self._proposer = proposer
        self.describe = images.describe
        self.fingerprint = images.fingerprint

    def __len__(self) -> int:
        return len(self._images)

    def load(self, index: int) -> Sample:
        boxes, scores = propose(self._proposer, rgb_of(self._images.load(index).image))
        proposals = {"boxes": torch.from_numpy(boxes), "scores": torch.from_numpy(scores)}
        return Sample(self._NO_IMAGE, {**proposals, "counts": len(boxes)})


def _make_parts(
    images: _Images, method: Method, proposer: Proposer, folder: Path, progress: Progress
) -> list[Proposals]:
    """The proposals of all images in parts, each of which is a file when the next begins."""
    places = [
        range(n, min(n + PART_IMAGES, len(images))) for n in range(0, len(images), PART_IMAGES)
    ]
    paths = [folder / f"{place.start:08d}.safetensors" for place in places]
    parts = [
        _read_part(path, method, [images.ids[index] for index in place])
        for path, place in zip(paths, places, strict=True)
    ]
    missing = [number for number, part in enumerate(parts) if part is None]
    done = sum(len(part) for part in parts if part is not None)
    progress(done, len(images))
    loader = Loader(
        _Proposing(images, proposer),
        None,
        # All cores, not a share of them: while one process builds, the others of a run wait for it.
        workers=0 if getattr(proposer, "in_process", False) else min(usable_cores(), len(missing)),
        cache="none",
        fill={"boxes": 0, "scores": 0},
        timeout_s=_PATIENCE_S,
    )
    plan = [[SampleKey(0, index) for index in places[number]] for number in missing]
    with closing(loader):
        for number, batch in zip(missing, loader.batches(plan) if plan else (), strict=True):
            part = _part_of(batch, method, [images.ids[index] for index in places[number]])
            save_proposals(paths[number], part)
            parts[number] = part
            done += len(part)
            progress(done, len(images))
    return [part for part in parts if part is not None]


def _part_of(batch: Batch, method: Method, ids: Sequence[ImageId]) -> Proposals:
    """What a loader process gave, without the padding."""
    counts = batch.targets["counts"].numpy().copy()
    boxes, scores = batch.targets["boxes"].numpy(), batch.targets["scores"].numpy()
    return Proposals(
        method=method,
        images=tuple(ids),
        boxes=np.concatenate([of[:count] for of, count in zip(boxes, counts, strict=True)]),
        scores=np.concatenate([of[:count] for of, count in zip(scores, counts, strict=True)]),
        counts=counts,
    )


def _read_part(path: Path, method: Method, ids: Sequence[ImageId]) -> Proposals | None:
    """What an earlier attempt has left, if it is whole and for these images."""
    try:
        part = read_proposals(path)
    except DataError:
        return None
    same = part.images == tuple(ids) and part.method.key() == method.key()
    return part if same else None


def _read_if_whole(path: Path, message: Callable[[str], None]) -> Proposals | None:
    if not path.exists():
        return None
    try:
        return read_proposals(path)
    except DataError as error:
        message(f"{error.cause}; it is made anew.")
        return None


def _key(ids: Sequence[ImageId], method: Method) -> str:
    """Of which images, in which order, by what."""
    text = json.dumps([list(ids), method.key()])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _summary(datasets: Sequence[Dataset], proposals: Proposals, seconds: float) -> str:
    each = len(proposals.boxes) / max(len(proposals), 1)
    found = recall(datasets, proposals)
    quality = "".join(f", recall {share:.3f} at IoU {iou:g}" for iou, share in found.items())
    return f"{counted(round(each), 'proposal')} for each image, {seconds:.1f} s{quality}."
