"""Random numbers are functions of what they are for, and look random."""

import numpy as np
import pytest

from zoo.randomness import hash_words, integers, uniform
from zoo.structures import SampleKey


def keys(count: int, epoch: int = 0) -> list[SampleKey]:
    return [SampleKey(epoch, index) for index in range(count)]


def test_a_row_depends_on_its_own_key_alone() -> None:
    together = uniform(3, "crop", keys(10), draws=4)

    alone = uniform(3, "crop", [SampleKey(0, 7)], draws=4)

    assert np.array_equal(together[7], alone[0])


def test_asking_for_more_draws_changes_none() -> None:
    few, many = (uniform(3, "crop", keys(10), draws=draws) for draws in (2, 9))

    assert np.array_equal(few, many[:, :2])


@pytest.mark.parametrize(
    "other",
    [
        uniform(1, "crop", [SampleKey(2, 3, 4)]),
        uniform(0, "flip", [SampleKey(2, 3, 4)]),
        uniform(0, "crop", [SampleKey(3, 2, 4)]),
        uniform(0, "crop", [SampleKey(2, 4, 3)]),
        uniform(0, "crop", [SampleKey(4, 3, 2)]),
    ],
    ids=["seed", "stream", "epoch", "index", "repeat"],
)
def test_every_part_of_the_key_counts(other: np.ndarray) -> None:
    assert uniform(0, "crop", [SampleKey(2, 3, 4)]) != other


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
def test_numbers_fill_the_unit_interval_evenly(seed: int) -> None:
    numbers = uniform(seed, "crop", keys(4000), draws=5)

    counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000)


def test_neighbours_are_not_correlated() -> None:
    by_epoch = np.stack([uniform(0, "crop", keys(2000, epoch))[:, 0] for epoch in range(6)])

    between_epochs = np.corrcoef(by_epoch)[np.triu_indices(6, 1)]
    between_images = np.corrcoef(by_epoch[:, :-1].ravel(), by_epoch[:, 1:].ravel())[0, 1]
    assert np.abs(between_epochs).max() < 0.1
    assert abs(between_images) < 0.05


def test_the_numbers_stay_the_same_from_release_to_release() -> None:
    words = hash_words(42, "order", 1, np.arange(3))

    assert words.tolist() == WORDS


WORDS = [7247822526029735145, 1568644746003207399, 9778820289529660340]


def test_integers_are_the_same_numbers_made_by_torch() -> None:
    numbers = integers(5, "anchors", keys(4, epoch=3), draws=1000)

    assert np.array_equal(numbers.numpy() * 2.0**-53, uniform(5, "anchors", keys(4, epoch=3), 1000))


def test_no_keys_have_no_integers() -> None:
    assert integers(5, "anchors", [], draws=3).shape == (0, 3)
