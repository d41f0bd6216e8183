"""Counter-based randomness: numbers that are a pure function of what they are for.

Every number is a hash of (seed, stream, epoch, index, repeat, draw), so that worker count, world
size, batch composition and what ran before change nothing, and a resume needs no state.  The hash
chains the finaliser of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
generators"), whose output passes BigCrush.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.structures import SampleKey, SampleKeys

__all__ = ["hash_words", "integers", "uniform"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_SHIFT_30, _SHIFT_27, _SHIFT_31, _SHIFT_11 = (np.uint64(n) for n in (30, 27, 31, 11))

Words = NDArray[np.uint64]
Counters = int | NDArray[np.int64]


def uniform(
    seed: int, stream: str, keys: Sequence[SampleKey], draws: int = 1
) -> NDArray[np.float64]:
    """Numbers in [0, 1) for each key: (len(keys), draws) float64.

    Args:
        seed: of the run.
        stream: what the numbers are for ("flip"); streams are independent of one another.
        keys: of the samples; a row depends on its own key alone.
        draws: numbers for each key; the first ones do not depend on how many are asked for.
    """
    words = hash_words(seed, stream, *SampleKeys.of(keys).rows.T)
    return _to_unit(_mix(words[:, None] + _numbers(draws)))


def integers(
    seed: int,
    stream: str,
    keys: Sequence[SampleKey],
    draws: int = 1,
    *,
    device: torch.device | str = "cpu",
) -> Tensor:
    """The numbers of ``uniform`` times 2^53, made on the device: (len(keys), draws) int64.

    For very many draws, of which none shall be copied from the host, and for devices that have
    no float64.
    """
    words = hash_words(seed, stream, *SampleKeys.of(keys).rows.T)
    numbers = torch.arange(1, draws + 1, device=device) * _signed(_GOLDEN)
    mixed = torch.from_numpy(words.view(np.int64)).to(device)[:, None] + numbers
    for shift, factor in ((30, _MULTIPLY_1), (27, _MULTIPLY_2)):
        mixed = (mixed ^ _shifted(mixed, shift)) * _signed(factor)
    return _shifted(mixed ^ _shifted(mixed, 31), 11)


def hash_words(seed: int, stream: str, *counters: Counters) -> Words:
    """Random 64-bit words, one for each row of the counters, which broadcast."""
    words = _first_word(seed, stream)
    for counter in counters:
        # Plus, not xor: a chain of xors would let equal differences cancel out.
        words = _mix(
            words * _MULTIPLY_2 + np.atleast_1d(np.asarray(counter, dtype=np.int64)).view(np.uint64)
        )
    return words


@cache
def _first_word(seed: int, stream: str) -> Words:
    """(1,) array: arrays wrap around without a word, scalars would warn."""
    words = _mix(np.array([seed % 2**64], dtype=np.uint64) + _GOLDEN)
    return _mix(words ^ np.uint64(zlib.crc32(stream.encode())))


def _numbers(draws: int) -> Words:
    return (np.arange(draws, dtype=np.uint64) + np.uint64(1)) * _GOLDEN


def _mix(words: Words) -> Words:
    """SplitMix64's finaliser: a bijection in which every input bit moves every output bit."""
    words = words ^ (words >> _SHIFT_30)
    words = words * _MULTIPLY_1
    words = words ^ (words >> _SHIFT_27)
    words = words * _MULTIPLY_2
    return words ^ (words >> _SHIFT_31)


def _to_unit(words: Words) -> NDArray[np.float64]:
    """The top 53 bits as a float64 in [0, 1)."""
    return (words >> _SHIFT_11).astype(np.float64) * 2.0**-53


def _signed(word: np.uint64) -> int:
    """The word as torch's int64 has it; sums and products are the same bits."""
    return int(word.astype(np.int64))


def _shifted(words: Tensor, bits: int) -> Tensor:
    """A shift to the right that fills with zeros, where torch's copies the sign."""
    zero_filled: Tensor = (words >> bits) & (2 ** (64 - bits) - 1)
    return zero_filled
