"""Write a pack: every image decoded, reduced and written once, into a folder that appears whole."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from zoo.data.boxes import BoxedFiles
from zoo.data.datasets import FileDataset, ImageFiles, Source
from zoo.data.loading import usable_cpus
from zoo.data.masks import MaskedFiles
from zoo.data.packs._files import MANIFEST, GrowingFile, ImageFormat, Kind, Manifest, join_names
from zoo.data.packs._output import check_output, whole_folder
from zoo.data.packs._sample import PackedSample, Packing, pack_sample
from zoo.errors import DataError
from zoo.runs import WrittenFile, check_free_space, write_atomically

Progress = Callable[[int, int], None]
_PROBES = 32
_AHEAD = 4
"""Images for each thread that may be ready before they are written."""
_KINDS: dict[Kind, type[FileDataset]] = {
    "labels": ImageFiles,
    "boxes": BoxedFiles,
    "masks": MaskedFiles,
}


@dataclass(frozen=True, kw_only=True)
class PackResult:
    """What was written.

    Attributes:
        output: the folder.
        image_format, size_px: as asked for.
        splits: images of each split.
        copied: JPEGs that were small enough, and are there byte for byte.
        size_bytes: of all files.
        source_fingerprint: of what was packed.
        bad_images: what is wrong with each image that was left out, by its path.
    """

    output: str
    image_format: ImageFormat
    size_px: int
    splits: Mapping[str, int]
    copied: int
    size_bytes: int
    source_fingerprint: str
    bad_images: Mapping[str, str]


def write_pack(
    source: Source,
    output: Path,
    packing: Packing,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> PackResult:
    """Pack every split of a source.

    The files are written into ``OUTPUT.partial``, which takes the name ``output`` when all of it
    is on the disk.  One that a killed process left is written anew.

    Args:
        source: opened undivided, so that the pack is divided as the source would be.
        output: a folder that does not exist or is empty.
        packing: the format and size.
        workers: threads; default: as many as there are processors.
        progress: told how many images are done, of how many.

    Raises:
        DataError: an image cannot be read, or the data are no files with labels, boxes or masks.
        UsageError: ``output`` is no new or empty folder, or lies among what is packed.
        StorageError: the disk has not the room, or fails.
    """
    check_output(output, source)
    splits = {split: _packable(dataset) for split, dataset in source.splits.items()}
    _check_channels(splits, packing)
    threads = workers or usable_cpus()
    tell = _count_up(sum(map(len, splits.values())), progress)
    files: dict[str, WrittenFile] = {}
    copied = 0
    with whole_folder(output) as folder, ThreadPoolExecutor(threads) as pool:
        check_free_space(folder, sum(_expected_bytes(of, packing) for of in splits.values()))
        for split, dataset in splits.items():
            pack = partial(pack_sample, dataset, packing=packing)
            samples = map(tell, _in_order(pool, pack, len(dataset), threads))
            found, own = _write_split(folder, split, dataset, samples)
            files |= found
            copied += own
        manifest = _manifest(source, splits, packing, files)
        write_atomically(folder / MANIFEST, manifest.text())
    return PackResult(
        output=str(output),
        image_format=packing.image_format,
        size_px=packing.size_px,
        splits=manifest.splits,
        copied=copied,
        size_bytes=sum(file.size_bytes for file in files.values()),
        source_fingerprint=manifest.source["fingerprint"],
        bad_images=source.bad_images,
    )


def _manifest(
    source: Source,
    splits: Mapping[str, FileDataset],
    packing: Packing,
    files: Mapping[str, WrittenFile],
) -> Manifest:
    first = next(iter(splits.values()))
    return Manifest(
        kind=next(kind for kind, of in _KINDS.items() if isinstance(first, of)),
        image_format=packing.image_format,
        size_px=packing.size_px,
        quality=packing.quality if packing.image_format == "jpeg" else None,
        channels=first.channels,
        classes=source.classes,
        source={
            "name": source.name,
            "layout": source.layout,
            "fingerprint": source.fingerprint(),
        },
        splits={split: len(dataset) for split, dataset in splits.items()},
        files=files,
    )


def _check_channels(splits: Mapping[str, FileDataset], packing: Packing) -> None:
    if packing.image_format == "jpeg" and any(of.channels == 4 for of in splits.values()):
        raise DataError("JPEG keeps no transparency", "Pack 4 channels with --format raw.")


def _packable(dataset: object) -> FileDataset:
    if not isinstance(dataset, tuple(_KINDS.values())):
        raise DataError(
            "these data are no image files with labels, boxes or masks, so they cannot be packed",
            "What is in memory already gains nothing by it.",
        )
    return cast("FileDataset", dataset)


def _write_split(
    folder: Path, split: str, dataset: FileDataset, samples: Iterator[PackedSample]
) -> tuple[dict[str, WrittenFile], int]:
    """Write the files of a split, and give them with the number of images that were copied."""
    columns: dict[str, list[NDArray[Any]]] = defaultdict(list)
    copied = 0
    with ExitStack() as stack:
        files = {
            suffix: stack.enter_context(GrowingFile(folder / f"{split}.{suffix}"))
            for suffix in ("images", *(["masks"] if isinstance(dataset, MaskedFiles) else []))
        }
        for sample in samples:
            copied += sample.copied
            for suffix, block in sample.blocks.items():
                files[suffix].add(block)
            for name, rows in sample.columns.items():
                columns[name].append(rows)
    index = {name: np.concatenate(rows) for name, rows in columns.items()}
    index["names"] = join_names(dataset.names)
    for suffix, file in files.items():
        prefix = "" if suffix == "images" else "mask_"
        index[f"{prefix}ends"] = np.array(file.ends)
        index[f"{prefix}checksums"] = np.array(file.checksums, dtype=np.uint32)
    files["index"] = GrowingFile(folder / f"{split}.index")
    with files["index"] as file:
        file.add(safetensors.numpy.save(index))
    return {file.path.name: file.written() for file in files.values()}, copied


def _in_order(
    pool: ThreadPoolExecutor, pack: Callable[[int], PackedSample], count: int, threads: int
) -> Iterator[PackedSample]:
    """What ``pack`` makes of 0, 1, 2, ...; threads are only a little ahead of who takes it."""
    waiting: deque[Future[PackedSample]] = deque()
    try:
        for index in range(count):
            waiting.append(pool.submit(pack, index))
            if len(waiting) > _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _count_up(total: int, progress: Progress | None) -> Callable[[PackedSample], PackedSample]:
    done = 0

    def tell(sample: PackedSample) -> PackedSample:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)
        return sample

    return tell


def _expected_bytes(dataset: FileDataset, packing: Packing) -> int:
    """Of a split, from evenly spaced images."""
    chosen = range(0, len(dataset), max(1, len(dataset) // _PROBES))
    sizes = [
        sum(map(len, pack_sample(dataset, index, packing).blocks.values())) for index in chosen
    ]
    return len(dataset) * sum(sizes) // len(sizes)
