"""The plain functions equal torchvision's operators, gradients included, wherever the boxes lie."""

from collections.abc import Callable

import pytest
import torch
import torchvision.ops
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo_rcnn import operators, roi_pooling
from zoo_rcnn.pyramid_pooling import pyramid_pool, pyramid_pool_regions, region_windows
from zoo_rcnn.separable_align import separable_roi_align
from zoo_rcnn.warping import warp_regions, with_context

HEIGHT, WIDTH, STRIDE = 9, 13, 4
"""Of the feature map, in cells; a cell is 4 px of the image, which so has 36 x 52 px."""


@st.composite
def regions(draw: st.DrawFn) -> Tensor:
    """Regions (r, 5): inside, across the border, beyond it, thin, and on exact cell borders."""
    coordinate = st.one_of(
        st.floats(-30, 90, width=32, allow_subnormal=False),
        st.integers(-12, 24).map(lambda cell: cell * STRIDE / 2),
    )
    side = st.one_of(
        st.floats(0, 80, width=32, allow_subnormal=False), st.integers(0, 20).map(float)
    )
    rows = draw(
        st.lists(st.tuples(st.integers(0, 1), coordinate, coordinate, side, side), max_size=4)
    )
    return torch.tensor([(i, x, y, x + w, y + h) for i, x, y, w, h in rows]).reshape(-1, 5)


def value_and_gradient(function: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """The result on fixed features, and their gradient under fixed weights of the result."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, HEIGHT, WIDTH, generator=generator, requires_grad=True)
    result = function(features)
    result.backward(torch.randn(result.shape, generator=generator))
    assert features.grad is not None
    return result.detach(), features.grad


def assert_equal(ours: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor]) -> None:
    for mine, other in zip(value_and_gradient(ours), value_and_gradient(theirs), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


@settings(deadline=None, max_examples=60)
@given(rois=regions(), bins=st.sampled_from([1, 3, 7]))
def test_roi_max_pool_equals_torchvisions(rois: Tensor, bins: int) -> None:
    assert_equal(
        lambda maps: roi_pooling.roi_max_pool(maps, rois, bins=bins, scale=1 / STRIDE),
        lambda maps: torchvision.ops.roi_pool(maps, rois, bins, 1 / STRIDE),
    )


@settings(deadline=None, max_examples=60)
@given(
    rois=regions(),
    bins=st.sampled_from([1, 7]),
    samples=st.sampled_from([0, 1, 2]),
    aligned=st.booleans(),
)
def test_roi_align_equals_torchvisions(
    rois: Tensor, bins: int, samples: int, aligned: bool
) -> None:
    assert_equal(
        lambda maps: roi_pooling.roi_align(
            maps, rois, bins=bins, scale=1 / STRIDE, samples=samples, aligned=aligned
        ),
        lambda maps: torchvision.ops.roi_align(maps, rois, bins, 1 / STRIDE, samples, aligned),
    )


@settings(deadline=None, max_examples=60)
@given(
    rois=regions(),
    bins=st.sampled_from([1, 7]),
    samples=st.sampled_from([1, 2]),
    aligned=st.booleans(),
)
def test_roi_align_as_matrix_products_equals_torchvisions(
    rois: Tensor, bins: int, samples: int, aligned: bool
) -> None:
    assert_equal(
        lambda maps: separable_roi_align(
            maps, rois, bins=bins, scale=1 / STRIDE, samples=samples, aligned=aligned
        ),
        lambda maps: torchvision.ops.roi_align(maps, rois, bins, 1 / STRIDE, samples, aligned),
    )


@settings(deadline=None, max_examples=40)
@given(rois=regions())
def test_the_pyramid_of_a_region_is_that_of_its_window_of_the_map(rois: Tensor) -> None:
    def by_windows(maps: Tensor) -> Tensor:
        windows = region_windows(rois, stride=STRIDE, height=HEIGHT, width=WIDTH).long().tolist()
        pooled = [
            pyramid_pool(maps[index : index + 1, :, top : bottom + 1, left : right + 1])
            for index, left, top, right, bottom in windows
        ]
        return torch.cat([maps.new_zeros(0, 3, 50) + maps.sum() * 0, *pooled])

    assert_equal(lambda maps: pyramid_pool_regions(maps, rois, stride=STRIDE), by_windows)


@settings(deadline=None, max_examples=40)
@given(height=st.integers(1, 20), width=st.integers(1, 20))
def test_the_pyramid_of_a_map_equals_torchs_adaptive_pooling(height: int, width: int) -> None:
    features = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))

    pooled = pyramid_pool(features, (1, 2, 3, 6))

    levels = [
        torch.nn.functional.adaptive_max_pool2d(features, bins).flatten(2) for bins in (1, 2, 3, 6)
    ]
    assert torch.equal(pooled, torch.cat(levels, dim=2))


@settings(deadline=None, max_examples=40)
@given(rois=regions(), size_px=st.sampled_from([12, 33]))
def test_warping_equals_torchvisions_roi_align_on_the_grown_region(
    rois: Tensor, size_px: int
) -> None:
    grown = with_context(rois, size_px=size_px, context_px=2)

    assert_equal(
        lambda images: warp_regions(images, rois, size_px=size_px, context_px=2),
        lambda images: torchvision.ops.roi_align(images, grown, size_px, aligned=True),
    )
    assert_equal(
        lambda images: warp_regions(images, rois, size_px=size_px, context_px=2),
        lambda images: roi_pooling.roi_align(images, grown, bins=size_px, scale=1.0, aligned=True),
    )


def test_warping_enlarges_as_torchs_interpolation_does() -> None:
    images = torch.rand(1, 3, 40, 60, generator=torch.Generator().manual_seed(2))
    rois = torch.tensor([[0.0, 10, 8, 30, 24]])

    warped = warp_regions(images, rois, size_px=80, context_px=0)

    expected = torch.nn.functional.interpolate(
        images[:, :, 6:26, 8:32], size=(100, 96), mode="bilinear"
    )
    torch.testing.assert_close(warped, expected[:, :, 10:90, 8:88], atol=1e-5, rtol=1e-5)


def test_a_warped_region_has_sixteen_px_of_context_on_each_side() -> None:
    images = torch.zeros(1, 1, 400, 400)
    images[:, :, 100:200, 50:350] = 1
    rois = torch.tensor([[0.0, 50, 100, 350, 200]])

    warped = warp_regions(images, rois, size_px=227)[0, 0]

    assert warped[17:-17, 17:-17].min() == 1
    assert warped[:15].max() == warped[-15:].max() == 0
    assert warped[:, :15].max() == warped[:, -15:].max() == 0


def test_what_lies_outside_the_image_is_warped_to_the_mean_colour() -> None:
    images = torch.ones(1, 3, 20, 20)
    rois = torch.tensor([[0.0, 10, 0, 30, 20]])

    warped = warp_regions(images, rois, size_px=20, context_px=0)

    assert warped[..., :10].min() == 1
    assert warped[..., 11:].max() == 0


def test_a_window_has_the_cells_centred_in_the_region() -> None:
    rois = torch.tensor([[1.0, 15, 16, 65, 63]])

    window = region_windows(rois, stride=16, height=20, width=20)

    assert window.tolist() == [[1, 1, 2, 4, 3]]


@pytest.mark.parametrize(
    "roi",
    [(0, 17, 17, 18, 18), (0, -50, -50, -40, -40), (0, 500, 500, 600, 600)],
    ids=["smaller than a cell", "left of the image", "right of the image"],
)
def test_a_window_has_at_least_one_cell_of_the_map(roi: tuple[float, ...]) -> None:
    _, left, top, right, bottom = region_windows(
        torch.tensor([roi]).float(), stride=16, height=5, width=7
    )[0].tolist()

    assert 0 <= left <= right <= 6
    assert 0 <= top <= bottom <= 4


@pytest.mark.parametrize("name", ["roi_max_pool", "roi_align"])
def test_half_precision_features_are_pooled_at_exact_coordinates(name: str) -> None:
    features = torch.randn(1, 2, 200, 200, generator=torch.Generator().manual_seed(3)).bfloat16()
    rois = torch.tensor([[0.0, 701.3, 605.2, 777.7, 699.9]])

    pooled = getattr(operators, name)(features, rois, bins=7, scale=1 / 4)

    expected = getattr(operators, name)(features.float(), rois, bins=7, scale=1 / 4)
    assert torch.equal(pooled, expected)
