"""What the machine can compute at best, by a matrix product in each precision."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch

from zoo.devices import PRECISIONS
from zoo.workflows._benchmark_timing import Candidate, Steps, timed

PEAK = "matrix product"
"""The phase."""
_SIDE = {"cuda": 8192}
_SIDE_ELSEWHERE = 1024
"""Rows and columns: enough to keep every unit busy, few enough to be quick."""


def peak_candidates(device: torch.device, precisions: Iterable[str]) -> list[Candidate]:
    """A product of two square matrices in each precision; its amount is in FLOP."""
    side = _SIDE.get(device.type, _SIDE_ELSEWHERE)
    return [
        Candidate(
            phase=PEAK,
            name=precision,
            start=partial(_product, side, device, precision),
            amount=2.0 * side**3,
            precision=precision,
        )
        for precision in precisions
    ]


def _product(side: int, device: torch.device, precision: str) -> Steps:
    dtype = PRECISIONS[precision]
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    product = torch.empty_like(left)

    steps = timed(lambda: torch.mm(left, right, out=product), device)

    def as_convolutions(number: int) -> float:
        """On CUDA they round float32 to TF32 by default, and products do not."""
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
        try:
            return steps(number)
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before

    return as_convolutions if device.type == "cuda" else steps
