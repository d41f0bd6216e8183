"""Any image gets an answer of its own size; tiles that see enough change none of it."""

import pytest
import torch
from torch import Tensor, nn

from zoo.errors import ConfigError
from zoo.structures import Tiling
from zoo.tasks._tiles import Tiles, dense_logits, mirror

WHOLE = Tiles(tile_px=10_000)
SIZES = [(1, 1), (1, 7), (3, 2), (16, 16), (17, 31), (40, 64), (513, 317)]


def images(height: int, width: int, *, number: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.randn(number, 3, height, width, generator=generator)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["hourglass", "valid"])
def test_every_size_gets_an_answer_for_each_pixel(
    request: pytest.FixtureRequest, kind: str, size: tuple[int, int]
) -> None:
    model = request.getfixturevalue(kind)

    logits = dense_logits(model, images(*size), WHOLE)

    assert logits.shape == (1, 3, *size)
    assert logits.isfinite().all()


@pytest.mark.parametrize("size", [(70, 130), (64, 64), (33, 200), (129, 65)])
@pytest.mark.parametrize("tile_px", [16, 30, 64])
@pytest.mark.parametrize("kind", ["hourglass", "valid"])
def test_tiles_that_see_the_whole_context_equal_one_pass(
    request: pytest.FixtureRequest, kind: str, tile_px: int, size: tuple[int, int]
) -> None:
    model, batch = request.getfixturevalue(kind), images(*size, number=2)
    whole = dense_logits(model, batch, WHOLE)

    tiled = dense_logits(model, batch, Tiles(tile_px))

    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=0)
    assert Tiles(tile_px).are_exact(model, *size)


def test_less_overlap_is_blended_near_the_whole_and_said_to_be_approximate(
    hourglass: nn.Module,
) -> None:
    batch, tiles = images(96, 120), Tiles(32, overlap_px=8)
    whole = dense_logits(hourglass, batch, WHOLE)

    tiled = dense_logits(hourglass, batch, tiles)

    error = (tiled - whole).abs().max()
    assert 1e-5 < error < 0.5 * whole.std()
    assert not tiles.are_exact(hourglass, 96, 120)
    assert tiles.are_exact(hourglass, 32, 32)


def test_tiles_without_overlap_differ_more_than_blended_ones(hourglass: nn.Module) -> None:
    batch = images(96, 120)
    whole = dense_logits(hourglass, batch, WHOLE)

    blended, cut = (
        (dense_logits(hourglass, batch, Tiles(32, overlap_px=px)) - whole).abs().mean()
        for px in (8, 0)
    )

    assert blended < cut


def test_a_network_with_same_padding_sees_the_image_and_nothing_before_it(
    hourglass: nn.Module,
) -> None:
    batch = images(16, 20)

    logits = dense_logits(hourglass, batch, WHOLE)

    assert torch.equal(logits, hourglass(batch))


def test_a_network_with_valid_convolutions_sees_mirrored_borders(valid: nn.Module) -> None:
    batch = images(20, 24)

    logits = dense_logits(valid, batch, WHOLE)

    mirrored = nn.functional.pad(batch, (6, 6, 6, 6), mode="reflect")
    assert torch.equal(logits, valid(mirrored))


@pytest.mark.parametrize(("kind", "frame"), [("valid", 6), ("hourglass", 6), ("valid", 4)])
def test_a_frame_is_seen_and_gets_no_answer(
    request: pytest.FixtureRequest, kind: str, frame: int
) -> None:
    model, batch = request.getfixturevalue(kind), images(52, 52)
    inner = slice(frame, 52 - frame)

    logits = dense_logits(model, batch, WHOLE, frame_px=frame)

    whole = dense_logits(model, batch, WHOLE)
    torch.testing.assert_close(logits, whole[..., inner, inner])


def test_a_frame_as_wide_as_the_margin_needs_no_mirror(valid: nn.Module) -> None:
    batch = images(52, 52)

    assert torch.equal(dense_logits(valid, batch, WHOLE, frame_px=6), valid(batch))


@pytest.mark.parametrize("length", [1, 2, 5])
def test_mirrors_repeat_until_the_size_is_reached(length: int) -> None:
    batch = torch.arange(length, dtype=torch.float32).view(1, 1, 1, length)

    mirrored = mirror(batch, 0, (1, 13))[0, 0, 0].tolist()

    period = [*range(length), *range(length - 2, 0, -1)]
    assert mirrored == [float(period[at % len(period)]) for at in range(13)]


def test_a_model_that_states_nothing_is_run_whole_on_multiples_of_32() -> None:
    seen: list[torch.Size] = []

    class Silent(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images.shape)
            return images

    logits = dense_logits(Silent(), images(50, 70), Tiles(16))

    assert seen == [(1, 3, 64, 96)]
    assert torch.equal(logits, images(50, 70))


def test_an_answer_of_another_size_than_promised_is_explained() -> None:
    class Half(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images[..., ::2, ::2]

    with pytest.raises(ConfigError, match="64 x 64 px with logits of shape"):
        dense_logits(Half(), images(64, 64), WHOLE)


@pytest.mark.parametrize(
    ("output_px", "input_px"), [(388, 572), (1, 188), (4, 188), (5, 204), (512, 700)]
)
def test_sizes_of_the_papers_network(output_px: int, input_px: int) -> None:
    paper = Tiling(stride=16, context_px=92, margin_px=92, offset_px=12, least_px=188)

    assert paper.input_px(output_px) == input_px


@pytest.mark.parametrize(
    "wrong", [{"stride": 0}, {"context_px": -1}, {"offset_px": 4}, {"margin_px": -2}]
)
def test_impossible_tilings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="Tiling"):
        Tiling(**{"stride": 4, "context_px": 8, **wrong})
