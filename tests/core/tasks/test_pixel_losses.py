"""Losses of pixels: their definitions, and that parts of a batch add up to the whole."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from zoo.structures import IGNORED, LossSum
from zoo.tasks._pixel_losses import cross_entropy, dice, dice_count, pixel_count

K = 4


def batch(n: int = 5, *, ignored: float = 0.2) -> tuple[Tensor, Tensor]:
    """Logits (n, 4, 7, 9), and masks where some pixels are ignored and class 3 is rare."""
    generator = torch.Generator().manual_seed(7)
    logits = torch.randn(n, K, 7, 9, generator=generator)
    masks = torch.randint(0, 3, (n, 7, 9), generator=generator)
    masks[0, :2] = 3
    masks[torch.rand(n, 7, 9, generator=generator) < ignored] = IGNORED
    return logits, masks


LOSSES = {
    "cross_entropy": cross_entropy,
    "weighted": lambda logits, masks: cross_entropy(
        logits, masks, class_weights=torch.tensor([0.2, 1.0, 2.0, 5.0])
    ),
    "focal": lambda logits, masks: cross_entropy(logits, masks, focus=2.0),
    "dice": dice,
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("cuts", [[1, 4], [3, 2], [1, 1, 1, 1, 1], [2, 3]])
def test_parts_of_a_batch_add_up_to_the_whole(name: str, cuts: list[int]) -> None:
    logits, masks = batch()
    whole: LossSum = LOSSES[name](logits, masks)

    parts = [
        LOSSES[name](*pair) for pair in zip(logits.split(cuts), masks.split(cuts), strict=True)
    ]

    total, count = (sum(float(getattr(part, key)) for part in parts) for key in ("total", "count"))
    assert count == pytest.approx(float(whole.count), rel=1e-6)
    assert total == pytest.approx(float(whole.total), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_padding_that_is_ignored_changes_nothing(name: str) -> None:
    logits, masks = batch()
    whole = LOSSES[name](logits, masks)

    padded = LOSSES[name](
        functional.pad(logits, (0, 5, 0, 3), value=3.0),
        functional.pad(masks, (0, 5, 0, 3), value=IGNORED),
    )

    assert float(padded.count) == float(whole.count)
    torch.testing.assert_close(padded.total, whole.total)


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_have_no_gradient(name: str) -> None:
    logits, masks = batch()
    logits.requires_grad_()

    LOSSES[name](logits, masks).total.backward()

    assert logits.grad is not None
    ignored = (masks == IGNORED)[:, None].expand_as(logits)
    assert not logits.grad[ignored].any()
    assert logits.grad[~ignored].any()


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_that_is_ignored_as_a_whole_counts_nothing(name: str) -> None:
    logits, masks = batch()

    loss = LOSSES[name](logits, torch.full_like(masks, IGNORED))

    assert (float(loss.total), float(loss.count)) == (0.0, 0.0)


@pytest.mark.parametrize("weights", [None, [0.2, 1.0, 2.0, 5.0]])
def test_cross_entropy_is_torchs(weights: list[float] | None) -> None:
    logits, masks = batch()
    class_weights = None if weights is None else torch.tensor(weights)

    loss = cross_entropy(logits, masks, class_weights=class_weights)

    torchs = functional.cross_entropy(logits, masks, class_weights, ignore_index=IGNORED)
    torch.testing.assert_close(loss.total / float(loss.count), torchs)


def test_the_focal_loss_is_that_of_lin_2017() -> None:
    logits, masks = batch(ignored=0.0)

    loss = cross_entropy(logits, masks, focus=2.0)

    p = logits.softmax(1).gather(1, masks[:, None])[:, 0]
    torch.testing.assert_close(loss.total, (-((1 - p) ** 2) * p.log()).sum())
    assert float(loss.count) == masks.numel()


def test_dice_is_a_mean_over_the_pairs_of_an_image_and_a_class_on_it() -> None:
    logits, masks = batch(2, ignored=0.0)
    shares = logits.softmax(1)
    scores = [
        1 - 2 * shares[i, c][masks[i] == c].sum() / (shares[i, c].sum() + (masks[i] == c).sum())
        for i, c in [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2)]
    ]

    loss = dice(logits, masks)

    assert float(loss.count) == 7
    torch.testing.assert_close(loss.total, torch.stack(scores).sum())


def test_perfect_answers_have_no_dice_loss() -> None:
    _, masks = batch()
    logits = 100.0 * functional.one_hot(masks.where(masks != IGNORED, 0), K).movedim(-1, 1)

    assert float(dice(logits, masks).total) == pytest.approx(0.0, abs=1e-5)


def test_counts_are_known_before_the_forward_pass() -> None:
    logits, masks = batch()
    weights = torch.tensor([0.2, 1.0, 2.0, 5.0])
    pixels = torch.rand(masks.shape)

    counts = [
        pixel_count(masks, None, None),
        pixel_count(masks, weights, pixels),
        dice_count(masks, K),
    ]

    losses = [
        cross_entropy(logits, masks),
        cross_entropy(logits, masks, class_weights=weights, weights=pixels),
        dice(logits, masks),
    ]
    assert [float(count) for count in counts] == [float(loss.count) for loss in losses]


def test_weights_of_pixels_are_added_to_those_of_their_classes() -> None:
    logits, masks = batch(ignored=0.0)
    own = torch.rand(masks.shape)

    loss = cross_entropy(logits, masks, weights=own)

    each = functional.cross_entropy(logits, masks, reduction="none")
    torch.testing.assert_close(loss.total, ((1 + own) * each).sum())
    assert float(loss.count) == pytest.approx(float((1 + own).sum()), rel=1e-6)


def test_half_precision_logits_are_summed_in_single_precision() -> None:
    logits, masks = batch()

    loss = cross_entropy(1000 * logits.bfloat16(), masks)

    assert loss.total.dtype == torch.float32
    assert math.isfinite(float(loss.total))


@pytest.mark.cuda
@pytest.mark.parametrize("name", LOSSES)
def test_losses_run_in_deterministic_mode_on_cuda(name: str) -> None:
    logits, masks = (tensor.cuda() for tensor in batch())
    logits.requires_grad_()
    torch.use_deterministic_algorithms(mode=True)

    try:
        LOSSES[name](logits, masks).total.backward()
    finally:
        torch.use_deterministic_algorithms(mode=False)

    assert logits.grad is not None
