"""Proposals of many images: made once, and the same however often the making was broken."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.data.builtin import digit_boxes
from zoo.data.datasets import Dataset
from zoo.errors import DataError, UsageError
from zoo.proposals import (
    Method,
    Proposals,
    ProposedDataset,
    Proposer,
    find_or_build,
    propose,
    recall,
)

# From Python 3.12 on; a child does not wait for any thread of its parent.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

Draw = Callable[..., Dataset]


def find(
    dataset: Dataset, method: Method, proposer: Proposer, heard: list[str] | None = None
) -> Proposals:
    said = [] if heard is None else heard
    return find_or_build([dataset], method, lambda _: proposer, message=said.append)


def test_each_image_is_asked_about_once(
    draw: Draw, method: Method, quarters: Any, cache: Path
) -> None:
    split, heard = draw(), []

    first = find(split, method, quarters, heard)
    second = find(split, method, quarters, heard)

    assert sorted(quarters.asked()) == sorted(f"30x{40 + number}" for number in range(40))
    assert first.sha256() == second.sha256()
    assert first.of(3)[0][0].tolist() == [0, 0, 30, 43]
    assert [message.split(":")[0] for message in heard][:1] == ["Making proposals for 40 images"]
    assert len(heard) == 2
    assert {path.suffix for path in cache.iterdir()} == {".safetensors", ".lock"}


def test_a_build_that_was_killed_goes_on_and_ends_in_the_same_bits(
    draw: Draw, method: Method, quarters: Any, cache: Path
) -> None:
    split = draw(numbers=range(60))

    def waits_at_the_third_part(image: Any) -> Any:
        while image.shape[0] >= 40 + 32:  # its workers outlive the process that is killed
            assert not (cache / "killed").exists()
            time.sleep(0.01)
        return quarters(image)

    child = os.fork()
    if not child:
        try:
            find(split, method, waits_at_the_third_part)
        finally:
            os._exit(1)  # whatever happens, this process runs no other test
    while len(list(cache.glob("*.parts/*.safetensors"))) < 2:
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    (cache / "killed").touch()
    asked_before = len(quarters.asked())

    resumed = find(split, method, quarters)

    assert asked_before == 32
    assert len(quarters.asked()) == 60
    assert not list(cache.glob("*.parts"))
    [file] = cache.glob("*.safetensors")
    content = file.read_bytes()
    file.unlink()
    assert find(split, method, quarters).sha256() == resumed.sha256()
    assert file.read_bytes() == content


def test_a_part_that_is_damaged_is_made_again(
    draw: Draw, method: Method, quarters: Any, cache: Path
) -> None:
    split = draw()

    def break_off(image: Any) -> Any:
        if image.shape[0] >= 40 + 32:
            raise UsageError("broken off")
        return quarters(image)

    with pytest.raises(UsageError, match="broken off"):
        find(split, method, break_off)
    part = min(cache.glob("*.parts/*.safetensors"))
    part.write_bytes(part.read_bytes()[:-3])

    whole = find(split, method, quarters)

    assert whole.counts.tolist() == [5] * 40
    assert len(quarters.asked()) == 32 + 16 + 8


def test_a_damaged_file_of_the_cache_is_made_anew_and_said(
    draw: Draw, method: Method, quarters: Any, cache: Path
) -> None:
    split, heard = draw(), []
    before = find(split, method, quarters).sha256()
    [file] = cache.glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)

    again = find(split, method, quarters, heard)

    assert again.sha256() == before
    assert "damaged" in heard[0]
    assert "made anew" in heard[0]
    assert len(quarters.asked()) == 80


@pytest.mark.parametrize(
    "other",
    [
        Method(name="tiny:halves", options={"depth": 1}, maker="zoo-tiny 1"),
        Method(name="tiny:quarters", options={"depth": 2}, maker="zoo-tiny 1"),
        Method(name="tiny:quarters", options={"depth": 1}, maker="zoo-tiny 2"),
    ],
)
def test_another_method_option_or_version_makes_its_own(
    draw: Draw, method: Method, quarters: Any, cache: Path, other: Method
) -> None:
    split = draw()

    find(split, method, quarters)
    find(split, other, quarters)

    assert len(list(cache.glob("*.safetensors"))) == 2


def test_a_run_proposes_the_same_wherever_it_lies(draw: Draw, quarters: Any, cache: Path) -> None:
    split = draw()

    find(split, Method(name="rpn:/here", maker="weights 1"), quarters)
    find(split, Method(name="rpn:/there", maker="weights 1"), quarters)

    assert len(quarters.asked()) == 40


def test_two_processes_that_want_the_same_make_it_once(
    draw: Draw, method: Method, quarters: Any, cache: Path
) -> None:
    split = draw()

    def work() -> int:
        child = os.fork()
        if not child:
            code = 1
            try:
                code = 0 if len(find(split, method, quarters)) == 40 else 2
            finally:
                os._exit(code)
        return child

    children = [work(), work()]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    assert codes == [0, 0]
    assert len(quarters.asked()) == 40


def test_the_bar_counts_images(draw: Draw, method: Method, quarters: Any, cache: Path) -> None:
    shown: list[Any] = []

    @contextmanager
    def bar(what: str) -> Iterator[Callable[[int, int], None]]:
        shown.append(what)
        yield lambda done, total: shown.append((done, total))

    find_or_build([draw()], method, lambda _: quarters, message=shown.append, bar=bar)

    assert shown[1:-1] == ["proposals", (0, 40), (16, 40), (32, 40), (40, 40)]


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (([[0, 0, 1]], [1.0]), "boxes of shape"),
        (([[0, 0, 1, 1]], [1.0, 2.0]), "boxes of shape"),
        (([[0, 0, float("nan"), 1]], [1.0]), "not finite"),
        (([[0, 0, 1, 1]], [float("inf")]), "not finite"),
    ],
)
def test_what_is_no_box_or_score_is_refused(answer: Any, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        propose(lambda _: answer, np.zeros((4, 4, 3), dtype=np.uint8))


def test_boxes_are_cut_at_the_border_and_come_best_first() -> None:
    boxes = [[-5, -5, 3, 3], [2, 2, 9, 9], [7, 7, 9, 9], [1, 1, 1, 3]]

    found, scores = propose(lambda _: (boxes, [0.1, 0.9, 1.0, 2.0]), np.zeros((6, 5, 3), np.uint8))

    assert found.tolist() == [[2, 2, 5, 6], [0, 0, 3, 3]]
    assert scores.tolist() == pytest.approx([0.9, 0.1])


def test_nothing_proposed_is_an_answer() -> None:
    found, scores = propose(lambda _: (np.zeros((0, 4)), []), np.zeros((6, 5, 3), np.uint8))

    assert found.shape == (0, 4)
    assert scores.shape == (0,)


def test_an_image_brings_its_proposals_whatever_the_order(
    draw: Draw, method: Method, quarters: Any, cache: Path
) -> None:
    split = draw()
    proposals = find(split, method, quarters)
    some: Any = split
    turned = some.only([7, 3])

    sample = ProposedDataset(turned, proposals, limit=2, place="here").load(1)

    assert sample.targets["proposal_counts"] == 2
    assert sample.targets["proposals"].tolist() == [[0, 0, 30, 43], [15, 21.5, 30, 43]]
    assert len(sample.targets["boxes"]) == 1


def test_batches_of_similar_images_are_those_without_proposals(
    draw: Draw, method: Method, quarters: Any, cache: Path
) -> None:
    split: Any = draw(numbers=range(3))

    proposed = ProposedDataset(split, find(split, method, quarters), limit=None, place="here")

    assert np.asarray(proposed.sizes_px).tolist() == [[40, 30], [41, 30], [42, 30]]


def test_proposals_for_other_images_are_refused_with_the_first_difference(
    draw: Draw, method: Method, quarters: Any, cache: Path
) -> None:
    proposals = find(draw(numbers=range(3)), method, quarters)

    with pytest.raises(DataError, match=r"3\.png is not among their 3"):
        ProposedDataset(draw("more", range(5)), proposals, limit=None, place="here")
    with pytest.raises(DataError, match=r"0\.png has \d+ bytes, CRC \w+, and had"):
        ProposedDataset(draw("wide", range(3), width=90), proposals, limit=None, place="here")


def test_proposals_of_scenes_of_another_seed_are_refused(
    method: Method, quarters: Any, cache: Path
) -> None:
    of_one = find(digit_boxes(train=2, val=2)["train"], method, quarters)
    another = digit_boxes(train=2, val=2, seed=1)["train"]

    with pytest.raises(DataError, match=r"digit-boxes train\[0\] has fingerprint"):
        ProposedDataset(another, of_one, limit=None, place="here")


def test_recall_counts_the_objects_that_a_proposal_finds(
    draw: Draw, method: Method, quarters: Any, cache: Path
) -> None:
    """The box has 400 px: the whole image has 1200 in the first and 2370 in the last."""
    split = draw(numbers=range(2))

    def near(image: Any) -> Any:
        exact = [5, 10, 25, 30] if image.shape[0] == 40 else [5, 10, 25, 22]
        return [exact, [0, 0, 3, 3]], [1.0, 0.5]

    proposals = find(split, method, near)

    assert recall([split], proposals) == {0.5: 1.0, 0.7: 0.5}


def test_an_image_that_was_replaced_by_one_of_as_many_bytes_is_another(
    draw: Draw, method: Method, quarters: Any, cache: Path
) -> None:
    split = draw()
    proposals = find(split, method, quarters)
    first = split.path(0)  # type: ignore[attr-defined]
    content = first.read_bytes()

    first.write_bytes(content[:-20] + bytes(byte ^ 1 for byte in content[-20:]))

    with pytest.raises(DataError, match=r"0\.png has (\d+) bytes, CRC \w+, and had \1 bytes"):
        ProposedDataset(split, proposals, limit=None, place="the cache")


def test_a_file_may_be_copied_and_shorter_than_what_is_looked_at(
    draw: Draw, method: Method, quarters: Any, cache: Path
) -> None:
    split = draw()
    proposals = find(split, method, quarters)

    copied = draw("copy")

    assert len(ProposedDataset(copied, proposals, limit=None, place="the cache")) == 40
