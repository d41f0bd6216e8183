"""Every U-Net answers for every pixel of an image of any size, and tiles equal the whole."""

import pytest
import torch
from torch import nn

from zoo.structures import Batch
from zoo.tasks import SegmentationTask
from zoo.tasks._tiles import Tiles, dense_logits
from zoo_unet.unet import unet, unet_paper

NETWORKS = {
    "unet": lambda: unet(num_classes=3, in_channels=1, width=4),
    "bilinear": lambda: unet(num_classes=3, in_channels=1, width=4, up="bilinear"),
    "unet_paper": lambda: unet_paper(num_classes=3, width=4),
    "resnet20": lambda: unet(num_classes=3, in_channels=1, width=4, encoder="resnet20"),
}
WHOLE = Tiles(100_000)


def with_statistics(network: nn.Module) -> nn.Module:
    """In evaluation, after a batch that moved the statistics of its norms from their start."""
    network.train()(torch.rand(2, 1, 188, 188))
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(1, 1), (2, 17), (64, 64), (250, 333), (513, 317)])
def test_an_image_of_any_size_gets_a_mask_of_its_size(name: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    task = SegmentationTask(classes=("none", "a", "b"))
    batch = Batch(torch.rand(1, 1, *size), torch.tensor([size]), torch.tensor([0]), {})

    with torch.inference_mode():
        (answer,) = task.predict(NETWORKS[name]().eval(), batch)

    assert answer["mask"].shape == size
    assert sum(found["pixels"] for found in answer["classes"]) == size[0] * size[1]


@pytest.mark.parametrize("name", ["unet", "unet_paper", "resnet20"])
@pytest.mark.parametrize("tile_px", [64, 100])
def test_tiles_equal_the_whole(name: str, tile_px: int) -> None:
    torch.manual_seed(0)
    network = with_statistics(NETWORKS[name]()).double()
    images = torch.rand(1, 1, 251, 402, dtype=torch.float64)

    with torch.no_grad():
        tiled, whole = (dense_logits(network, images, t) for t in (Tiles(tile_px), WHOLE))

    assert Tiles(tile_px).are_exact(network, 251, 402)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-9)


def test_the_papers_tile_of_388_px_is_seen_with_its_mirrored_border() -> None:
    network = unet_paper(num_classes=2, width=2).eval()
    image = torch.rand(1, 1, 388, 388)

    with torch.no_grad():
        logits = dense_logits(network, image, WHOLE)
        expected = network(nn.functional.pad(image, [92] * 4, mode="reflect"))

    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-6)
