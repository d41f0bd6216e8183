"""The order of an epoch: nobody dropped, nobody twice, the same for every number of processes."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data.loading import epoch_batches, evaluation_batches
from zoo.errors import DataError
from zoo.structures import SampleKey

LENGTHS = st.sampled_from([2, 3, 5, 7, 97, 101])
BATCH_SIZES = st.sampled_from([2, 3, 8, 32, 1000])
WORLDS = st.integers(1, 4)


def ids(batch: list[SampleKey]) -> list[int]:
    return [key.index for key in batch]


def shares(length: int, world: int, **options: object) -> list[list[list[SampleKey]]]:
    """The plans of all processes."""
    return [
        list(epoch_batches(length, seed=0, epoch=0, rank=rank, world=world, **options))
        for rank in range(world)
    ]


def joined(plans: list[list[list[SampleKey]]]) -> list[list[SampleKey]]:
    """The whole batches that the processes' shares make up."""
    return [list(chain.from_iterable(parts)) for parts in zip(*plans, strict=True)]


@given(length=LENGTHS, batch_size=BATCH_SIZES, epoch=st.integers(0, 5), seed=st.integers(0, 9))
def test_an_epoch_has_every_image_once(length: int, batch_size: int, epoch: int, seed: int) -> None:
    plan = epoch_batches(length, seed=seed, epoch=epoch, batch_size=batch_size)

    sizes = [len(batch) for batch in plan]
    assert sorted(index for batch in plan for index in ids(batch)) == list(range(length))
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2
    assert max(sizes) <= max(batch_size, 3)


@given(length=LENGTHS, batch_size=BATCH_SIZES, world=WORLDS, pairs=st.booleans())
def test_processes_share_the_batches_of_one(
    length: int, batch_size: int, world: int, pairs: bool
) -> None:
    whole = _plans_or_refusal(length, batch_size, 1, pairs)
    parts = _plans_or_refusal(length, batch_size, world, pairs)

    if isinstance(whole, list) and isinstance(parts, list) and len(whole[0]) == len(parts[0]):
        assert joined(parts) == whole[0]


def _plans_or_refusal(
    length: int, batch_size: int, world: int, pairs: bool
) -> list[list[list[SampleKey]]] | DataError:
    try:
        return shares(length, world, batch_size=batch_size, pairs=pairs)
    except DataError as refusal:
        return refusal


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [16, 17, 97, 101])
def test_the_stream_is_the_same_for_every_number_of_processes(
    length: int, world: int, pairs: bool
) -> None:
    whole = shares(length, 1, batch_size=16, pairs=pairs)[0]

    parts = shares(length, world, batch_size=16, pairs=pairs)

    assert joined(parts) == whole


@given(length=LENGTHS, batch_size=BATCH_SIZES, world=WORLDS)
def test_the_processes_shares_differ_by_at_most_one(
    length: int, batch_size: int, world: int
) -> None:
    plans = _plans_or_refusal(length, batch_size, world, False)
    if isinstance(plans, DataError):
        assert length < 2 * world or batch_size < 2 * world
        return

    sizes = [[len(batch) for batch in batches] for batches in zip(*plans, strict=True)]

    assert all(max(step) - min(step) <= 1 for step in sizes)
    assert all(min(step) >= 2 for step in sizes)


@given(length=LENGTHS, batch_size=BATCH_SIZES, world=WORLDS)
def test_pairs_stay_whole(length: int, batch_size: int, world: int) -> None:
    plans = _plans_or_refusal(length, batch_size, world, True)
    if isinstance(plans, DataError):
        assert length < 2 * world or batch_size < 2 * world
        return

    sizes = [[len(batch) for batch in batches] for batches in zip(*plans, strict=True)]

    assert all(size % 2 == 0 for step in sizes for size in step[:-1])
    assert all(min(step) >= 2 for step in sizes)
    assert all(max(step) - min(step) <= 3 for step in sizes)


@pytest.mark.parametrize(
    ("length", "batch_size", "world", "cause"),
    [
        (1, 8, 1, "1 training image cannot serve 1 process"),
        (3, 8, 2, "3 training images cannot serve 2 processes"),
        (100, 1, 1, "a batch size of 1 is too small for 1 process"),
        (100, 7, 4, "a batch size of 7 is too small for 4 processes"),
    ],
)
def test_one_image_on_a_process_is_refused(
    length: int, batch_size: int, world: int, cause: str
) -> None:
    with pytest.raises(DataError, match=cause):
        epoch_batches(length, seed=0, epoch=0, batch_size=batch_size, world=world)


def test_a_model_without_batch_norm_may_ask_for_single_images() -> None:
    plan = epoch_batches(5, seed=0, epoch=0, batch_size=1, least_per_rank=1)

    assert [len(batch) for batch in plan] == [1] * 5


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {
        tuple(ids(epoch_batches(50, seed=seed, epoch=epoch, batch_size=50)[0]))
        for seed in range(3)
        for epoch in range(3)
    }

    assert len(orders) == 9


def test_every_place_is_equally_likely() -> None:
    first = [epoch_batches(8, seed=0, epoch=epoch, batch_size=8)[0][0] for epoch in range(4000)]

    counts = Counter(key.index for key in first)

    assert max(abs(counts[index] - 500) for index in range(8)) < 5 * np.sqrt(500)


def test_a_resume_is_a_slice() -> None:
    plan = epoch_batches(101, seed=0, epoch=3, batch_size=8)

    assert list(plan[5:]) == list(plan)[5:]
    assert len(plan[5:]) == len(plan) - 5
    assert plan[5:][0] == plan[5]
    assert plan[-1] == list(plan)[-1]


@given(length=LENGTHS, repeats=st.integers(1, 5), batch_size=st.sampled_from([4, 16]))
def test_repeats_keep_the_epochs_length_and_tell_copies_apart(
    length: int, repeats: int, batch_size: int
) -> None:
    plan = epoch_batches(length, seed=0, epoch=0, batch_size=batch_size, repeats=repeats)

    keys = [key for batch in plan for key in batch]
    assert len(keys) == len(set(keys)) == length
    assert len({key.index for key in keys}) == -(-length // repeats)
    assert max(Counter(key.index for key in keys).values()) <= repeats


def test_copies_share_a_batch_and_no_pair() -> None:
    plan = epoch_batches(96, seed=0, epoch=0, batch_size=12, repeats=3)

    pairs = [(batch[i], batch[i + 1]) for batch in plan for i in range(0, 12, 2)]
    assert all(max(Counter(ids(batch)).values()) == 3 for batch in plan)
    assert all(first.index != second.index for first, second in pairs)


RATIOS = np.random.default_rng(0).choice([0.5, 0.75, 1.0, 4 / 3, 1.5], size=101)


@given(length=LENGTHS, batch_size=BATCH_SIZES, epoch=st.integers(0, 3))
def test_batches_of_similar_ratios_have_every_image_once(
    length: int, batch_size: int, epoch: int
) -> None:
    ratios = RATIOS[:length]

    plan = epoch_batches(length, seed=0, epoch=epoch, batch_size=batch_size, ratios=ratios)

    sizes = [len(batch) for batch in plan]
    mixed = sum(len(set(ratios[ids(batch)])) > 1 for batch in plan)
    assert sorted(index for batch in plan for index in ids(batch)) == list(range(length))
    assert max(sizes) - min(sizes) <= 1
    assert mixed < len(set(ratios))


@given(batch_size=st.sampled_from([16, 32]), world=WORLDS, pairs=st.booleans())
def test_processes_share_the_batches_of_similar_ratios(
    batch_size: int, world: int, pairs: bool
) -> None:
    options = {"batch_size": batch_size, "pairs": pairs, "ratios": RATIOS}

    parts = shares(101, world, **options)

    assert joined(parts) == joined(shares(101, 1, **options))


def test_the_order_of_batches_of_similar_ratios_is_drawn_for_each_epoch() -> None:
    plans = [
        epoch_batches(101, seed=seed, epoch=epoch, batch_size=4, ratios=RATIOS)
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]

    first, later, seeded = (list(map(ids, plan)) for plan in plans)
    assert len({tuple(map(tuple, plan)) for plan in (first, later, seeded)}) == 3
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in later}
    means = np.array([RATIOS[batch].mean() for batch in first])
    assert 0.3 < (np.diff(means) > 0).mean() / (np.diff(means) != 0).mean() < 0.7


def test_copies_of_an_image_stay_in_one_batch_of_similar_ratios() -> None:
    plan = epoch_batches(99, seed=0, epoch=0, batch_size=9, repeats=3, ratios=RATIOS[:99])

    drawn = [set(ids(batch)) for batch in plan]

    assert sum(map(len, drawn)) == 33
    assert all(len(RATIOS[list(batch)]) == 3 for batch in drawn)


def test_weights_draw_the_classes_equally_often() -> None:
    labels = np.array([0] * 90 + [1] * 9 + [2])
    weights = 1 / np.bincount(labels)[labels]

    plan = epoch_batches(100, seed=0, epoch=0, batch_size=10, weights=weights)

    drawn = [key for batch in plan for key in batch]
    counts = np.bincount(labels[[key.index for key in drawn]])
    assert len(drawn) == len(set(drawn)) == 100
    assert np.abs(counts - 100 / 3).max() <= 1


def test_weighted_epochs_draw_other_images_of_a_large_class() -> None:
    weights = np.array([0.1] * 90 + [1.0] * 9)

    drawn = [
        {key.index for batch in plan for key in batch}
        for plan in (
            epoch_batches(99, seed=0, epoch=epoch, batch_size=9, weights=weights)
            for epoch in range(8)
        )
    ]

    assert len(set().union(*drawn)) == 99
    assert len({frozenset(epoch) for epoch in drawn}) == 8


def test_an_image_of_no_weight_is_never_drawn() -> None:
    weights = np.array([0.0, 1.0, 1.0, 0.0])

    plan = epoch_batches(4, seed=0, epoch=0, batch_size=4, weights=weights)

    assert {key.index for key in plan[0]} == {1, 2}


@given(
    length=st.sampled_from([0, 1, 2, 3, 5, 7, 97, 101]),
    batch_size=st.sampled_from([1, 2, 3, 32]),
    world=WORLDS,
)
def test_an_evaluation_counts_every_image_once(length: int, batch_size: int, world: int) -> None:
    plans = [
        evaluation_batches(length, batch_size=batch_size, rank=rank, world=world)
        for rank in range(world)
    ]

    seen = [index for plan in plans for batch in plan for index in ids(batch)]
    sizes = [sum(len(batch) for batch in plan) for plan in plans]
    assert seen == list(range(length))
    assert max(sizes) - min(sizes) <= 1
    assert all(len(batch) > 0 for plan in plans for batch in plan)


def test_a_million_images_are_planned_without_making_a_key() -> None:
    plan = epoch_batches(1_281_167, seed=0, epoch=0, batch_size=1024)

    assert len(plan) == 1252
    assert len(plan[700]) in {1023, 1024}
