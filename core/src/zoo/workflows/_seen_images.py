"""Whether a run has learned from images that it is scored on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.data.datasets import Source
from zoo.runs import RunFolder
from zoo.wording import counted
from zoo.workflows._resume import DATA_RECORD


def seen_images_note(folder: RunFolder, label: str, source: Source, split: str) -> str | None:
    """What to know of a run that is scored on a split: None where the split was held out.

    Args:
        folder: of the run, with the record of its data.
        label: what the run is called.
        source: whose split it is scored on.
        split: "val", or "all".
    """
    if not (folder.path / DATA_RECORD).exists():
        return f"{label} has no record of its data: it may have learned from these images"
    record = folder.read_json(DATA_RECORD)
    if record["fingerprint"] == source.fingerprint():
        held_out = split in source.splits and split != "train"
        return None if held_out else f"{label} has learned from these images"
    if learned := learned_images_note(record, label, source, split):
        return learned
    if record["name"] == source.name:
        return f"the data are no longer those of {label}: {source.first_difference(record)}"
    return f"{label} was trained on other data ({record['name']})"


def learned_images_note(
    record: Mapping[str, Any], label: str, source: Source, split: str
) -> str | None:
    """How many images of a split a run has learned from; None where there are none.

    Args:
        record: of the run's data.
        label: what the run is called.
        source: whose split it is scored on.
        split: one of the source's, or "all".
    """
    splits = source.record()["splits"]
    scored = _files(*([splits[split]] if split in splits else splits.values()))
    seen = len(scored & _files(record["splits"].get("train", [])))
    return (
        f"{label} has learned from {seen:,} of these {counted(len(scored), 'image')}"
        if seen
        else None
    )


def _files(*splits: Sequence[Sequence[Any]]) -> set[tuple[str, int]]:
    """Name and size in bytes; the truth is left out, since labels may have been mended."""
    return {(name, size_bytes) for rows in splits for name, size_bytes, _ in rows}
