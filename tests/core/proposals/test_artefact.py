"""A file of proposals gives back what was written, or says that it does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from zoo.errors import DataError
from zoo.proposals import ImageId, Method, Proposals, read_proposals, save_proposals


@pytest.fixture
def proposals(method: Method) -> Proposals:
    draw = np.random.default_rng(0)
    return Proposals(
        method=method,
        images=(ImageId("a.png", "10 bytes"), ImageId("ü/b.png", "11 bytes"), ImageId("c", "3")),
        boxes=draw.uniform(0, 50, (7, 4)).astype(np.float32),
        scores=draw.uniform(0, 1, 7).astype(np.float32),
        counts=np.array([4, 0, 3]),
    )


@pytest.fixture
def file(tmp_path: Path, proposals: Proposals) -> Path:
    save_proposals(tmp_path / "some.safetensors", proposals)
    return tmp_path / "some.safetensors"


def test_what_is_written_is_read(file: Path, proposals: Proposals) -> None:
    found = read_proposals(file)

    assert (found.method, found.images) == (proposals.method, proposals.images)
    assert [len(found.of(row)[0]) for row in range(3)] == [4, 0, 3]
    np.testing.assert_array_equal(found.of(2)[0], proposals.boxes[4:])
    np.testing.assert_array_equal(found.of(2)[1], proposals.scores[4:])


def test_the_same_proposals_are_the_same_bytes(tmp_path: Path, file: Path) -> None:
    save_proposals(tmp_path / "again.safetensors", read_proposals(file))

    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


def test_every_flipped_bit_is_found_or_changes_nothing(file: Path, proposals: Proposals) -> None:
    content = file.read_bytes()

    def outcome(place: int) -> str:
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        file.write_bytes(flipped)
        try:
            found = read_proposals(file)
        except DataError:
            return "refused"
        unchanged = (found.method, found.images) == (proposals.method, proposals.images)
        return "same" if unchanged and found.sha256() == proposals.sha256() else "wrong"

    outcomes = [outcome(place) for place in range(len(content))]

    assert "wrong" not in outcomes
    assert outcomes.count("refused") > 0.95 * len(content)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file_is_refused(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])

    with pytest.raises(DataError, match="damaged"):
        read_proposals(file)


def test_a_longer_file_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")

    with pytest.raises(DataError, match="damaged"):
        read_proposals(file)


@pytest.mark.parametrize("name", ["boxes", "scores", "counts"])
def test_a_file_without_one_of_its_tensors_is_refused(file: Path, name: str) -> None:
    tensors = load_file(file)
    del tensors[name]
    save_file(tensors, file, metadata={"zoo-proposals": "{}"})

    with pytest.raises(DataError, match="holds no proposals"):
        read_proposals(file)


def test_other_weights_are_no_proposals(tmp_path: Path) -> None:
    save_file({"weight": np.zeros(3)}, tmp_path / "model.safetensors")

    with pytest.raises(DataError, match="holds no proposals"):
        read_proposals(tmp_path / "model.safetensors")


@pytest.mark.parametrize("text", ["", "[]", "null", '{"version": 1}', "[" * 5000])
def test_metadata_that_are_none_are_refused(file: Path, text: str) -> None:
    save_file(load_file(file), file, metadata={"zoo-proposals": text})

    with pytest.raises(DataError, match="damaged"):
        read_proposals(file)


def test_a_later_format_is_named(file: Path) -> None:
    record = json.dumps({"version": 2})
    save_file(load_file(file), file, metadata={"zoo-proposals": record})

    with pytest.raises(DataError, match="has format 2, not 1"):
        read_proposals(file)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_proposals(tmp_path / "none")


def test_no_proposals_at_all_are_kept_too(tmp_path: Path, proposals: Proposals) -> None:
    none = replace(
        proposals,
        boxes=proposals.boxes[:0],
        scores=proposals.scores[:0],
        counts=np.zeros(3, dtype=np.int64),
    )

    save_proposals(tmp_path / "none.safetensors", none)

    assert read_proposals(tmp_path / "none.safetensors").of(1)[0].shape == (0, 4)
