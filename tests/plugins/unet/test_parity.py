"""``unet`` and ``unet_paper`` against networks that are written a second time here.

The layout of weights is that of milesial/Pytorch-UNet, which is under the GPL: nothing is copied
from it.  Its names and shapes are listed anew, and what it computes is computed from those tensors
by functions that share nothing with the package: the 2x2 transposed convolution is an einsum,
bilinear interpolation two products of matrices.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from zoo.checkpoint import load_weights, read_weights
from zoo.errors import ConfigError
from zoo_unet.parts import PAPER, resize_canvas
from zoo_unet.unet import UNet, unet, unet_paper

Shapes = dict[str, tuple[int, ...]]

# In, middle and out of each double convolution of milesial/Pytorch-UNet with 64 channels.
TRANSPOSED = {
    "inc": (3, 64, 64),
    "down1.maxpool_conv.1": (64, 128, 128),
    "down2.maxpool_conv.1": (128, 256, 256),
    "down3.maxpool_conv.1": (256, 512, 512),
    "down4.maxpool_conv.1": (512, 1024, 1024),
    "up1.conv": (1024, 512, 512),
    "up2.conv": (512, 256, 256),
    "up3.conv": (256, 128, 128),
    "up4.conv": (128, 64, 64),
}
BILINEAR = TRANSPOSED | {
    "down4.maxpool_conv.1": (512, 512, 512),
    "up1.conv": (1024, 512, 256),
    "up2.conv": (512, 256, 128),
    "up3.conv": (256, 128, 64),
}


def milesial_layout(*, up: str, num_classes: int, in_channels: int = 3) -> Shapes:
    """Every tensor of its state dict by name."""
    shapes: Shapes = {}
    for part, channels in (BILINEAR if up == "bilinear" else TRANSPOSED).items():
        first, middle, last = (in_channels, 64, 64) if part == "inc" else channels
        for index, (inside, outside) in ((0, (first, middle)), (3, (middle, last))):
            prefix = f"{part}.double_conv"
            shapes[f"{prefix}.{index}.weight"] = (outside, inside, 3, 3)
            for name in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{prefix}.{index + 1}.{name}"] = (outside,)
            shapes[f"{prefix}.{index + 1}.num_batches_tracked"] = ()
    if up == "transposed":
        for part, channels in (("up1", 1024), ("up2", 512), ("up3", 256), ("up4", 128)):
            shapes[f"{part}.up.weight"] = (channels, channels // 2, 2, 2)
            shapes[f"{part}.up.bias"] = (channels // 2,)
    shapes["outc.conv.weight"] = (num_classes, 64, 1, 1)
    shapes["outc.conv.bias"] = (num_classes,)
    return shapes


def random_weights(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Float64 numbers from numpy's generator, in the order of the names, scaled to the fan-in."""
    generator = np.random.default_rng(seed)
    tensors = {}
    for name in sorted(shapes):
        shape = shapes[name]
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(7)
            continue
        numbers = torch.from_numpy(generator.random(shape) * 2 - 1)
        spread = (6 / np.prod(shape[1:])) ** 0.5 if len(shape) == 4 else 0.3
        centre = 1.0 if name.endswith("running_var") or _is_norm_weight(name, shape) else 0.0
        tensors[name] = centre + spread * numbers
    return tensors


def _is_norm_weight(name: str, shape: tuple[int, ...]) -> bool:
    return name.endswith(".weight") and len(shape) == 1


def milesial_unet(tensors: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """What its network computes in evaluation, from its weights and images (n, c, h, w)."""
    levels = [_double_conv(tensors, "inc", images)]
    for step in range(1, 5):
        pooled = functional.max_pool2d(levels[-1], 2)
        levels.append(_double_conv(tensors, f"down{step}.maxpool_conv.1", pooled))
    x = levels[4]
    for step in range(1, 5):
        skip = levels[4 - step]
        if f"up{step}.up.weight" in tensors:
            x = transposed_2x2(x, tensors[f"up{step}.up.weight"], tensors[f"up{step}.up.bias"])
        else:
            x = bilinear_twice(x)
        canvas = x.new_zeros(*x.shape[:2], *skip.shape[2:])
        top, left = ((skip.shape[d] - x.shape[d]) // 2 for d in (2, 3))
        canvas[:, :, top : top + x.shape[2], left : left + x.shape[3]] = x
        x = _double_conv(tensors, f"up{step}.conv", torch.cat([skip, canvas], 1))
    return functional.conv2d(x, tensors["outc.conv.weight"], tensors["outc.conv.bias"])


def paper_unet(tensors: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Figure 1 of the paper: valid convolutions with biases, the skips cropped."""
    levels = [_valid_pair(tensors, "inc", images)]
    for step in range(1, 5):
        pooled = functional.max_pool2d(levels[-1], 2)
        levels.append(_valid_pair(tensors, f"down{step}.maxpool_conv.1", pooled))
    x = levels[4]
    for step in range(1, 5):
        x = transposed_2x2(x, tensors[f"up{step}.up.weight"], tensors[f"up{step}.up.bias"])
        skip = levels[4 - step]
        cut = (skip.shape[-1] - x.shape[-1]) // 2
        x = torch.cat([skip[..., cut:-cut, cut:-cut], x], 1)
        x = _valid_pair(tensors, f"up{step}.conv", x)
    return functional.conv2d(x, tensors["outc.conv.weight"], tensors["outc.conv.bias"])


def transposed_2x2(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Each pixel becomes a field of 2x2: its channels times the weight (c, o, 2, 2)."""
    n, _, h, w = x.shape
    fields = torch.einsum("ncij,coab->noiajb", x, weight)
    return fields.reshape(n, weight.shape[1], 2 * h, 2 * w) + bias.reshape(1, -1, 1, 1)


def bilinear_twice(x: Tensor) -> Tensor:
    """Twice the size with corner pixels on corner pixels."""
    rows, columns = (_between(length).to(x) for length in x.shape[2:])
    return rows @ x @ columns.T


def _between(n: int) -> Tensor:
    """(2n, n): the share of each old pixel in each new one."""
    at = torch.arange(2 * n, dtype=torch.float64) * (n - 1) / (2 * n - 1)
    return (1 - (at[:, None] - torch.arange(n)).abs()).clamp(min=0)


def _double_conv(tensors: Mapping[str, Tensor], part: str, x: Tensor) -> Tensor:
    for index in (0, 3):
        conv, norm = f"{part}.double_conv.{index}", f"{part}.double_conv.{index + 1}"
        x = functional.conv2d(x, tensors[f"{conv}.weight"], padding=1)
        mean, variance, factor, shift = (
            tensors[f"{norm}.{name}"].reshape(1, -1, 1, 1)
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        x = ((x - mean) / (variance + 1e-5).sqrt() * factor + shift).clamp(min=0)
    return x


def _valid_pair(tensors: Mapping[str, Tensor], part: str, x: Tensor) -> Tensor:
    for index in (0, 2):
        name = f"{part}.double_conv.{index}"
        x = functional.conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"]).clamp(min=0)
    return x


MODES = pytest.mark.parametrize("up", ["transposed", "bilinear"])


def narrow(shapes: Shapes, factor: int = 8) -> Shapes:
    """The layout of a network with a fraction of the channels; images and classes stay."""
    fixed = {(0, "outc.conv.weight"), (0, "outc.conv.bias"), (1, "inc.double_conv.0.weight")}
    return {
        name: tuple(
            size if dim > 1 or (dim, name) in fixed else size // factor
            for dim, size in enumerate(shape)
        )
        for name, shape in shapes.items()
    }


@MODES
@pytest.mark.parametrize(("num_classes", "in_channels"), [(2, 3), (1, 3), (21, 1)])
def test_names_and_shapes_are_those_of_the_published_layout(
    up: str, num_classes: int, in_channels: int
) -> None:
    with torch.device("meta"):
        network = unet(num_classes=num_classes, in_channels=in_channels, up=up)

    found = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}

    assert found == milesial_layout(up=up, num_classes=num_classes, in_channels=in_channels)


@pytest.mark.parametrize(
    ("options", "num_params", "entries"),
    [
        ({"num_classes": 2}, 31_037_698, 118),
        ({"num_classes": 2, "up": "bilinear"}, 17_263_042, 110),
        ({"num_classes": 1}, 31_037_633, 118),
        ({"num_classes": 21}, 31_038_933, 118),
        ({"num_classes": 2, "in_channels": 1}, 31_036_546, 118),
    ],
)
def test_parameters_are_as_many_as_the_published_network_has(
    options: dict[str, object], num_params: int, entries: int
) -> None:
    with torch.device("meta"):
        network = unet(**options)

    assert sum(parameter.numel() for parameter in network.parameters()) == num_params
    assert len(network.state_dict()) == entries


@MODES
@pytest.mark.parametrize(
    ("size", "factor"), [((33, 42), 1), ((48, 64), 8), ((250, 333), 8), ((31, 16), 8)]
)
def test_weights_in_the_published_layout_give_the_published_networks_output(
    up: str, size: tuple[int, int], factor: int
) -> None:
    tensors = random_weights(narrow(milesial_layout(up=up, num_classes=2), factor))
    images = torch.rand(1, 3, *size, dtype=torch.float64)
    network = unet(num_classes=2, up=up, width=64 // factor).double().eval()
    network.load_state_dict(tensors, strict=True)

    with torch.no_grad():
        logits = network(images)

    assert logits.shape == (1, 2, *size)
    torch.testing.assert_close(logits, milesial_unet(tensors, images), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("up", "stored"),
    [
        (
            "transposed",
            [-0.851009984, -3.469873184, -1.044930697, -0.004609554, -1.060056418, -0.104738557],
        ),
        (
            "bilinear",
            [0.151971898, -0.525150874, 0.071646172, 0.163493449, 0.553841997, 0.122141604],
        ),
    ],
)
def test_outputs_are_the_stored_ones(up: str, stored: list[float]) -> None:
    tensors = random_weights(narrow(milesial_layout(up=up, num_classes=2)))
    rows, columns = torch.meshgrid(torch.arange(37.0), torch.arange(53.0), indexing="ij")
    images = torch.stack([rows / 37, columns / 53, (rows + columns) % 7 / 7])[None].double()
    network = unet(num_classes=2, width=8, up=up).double().eval()
    network.load_state_dict(tensors)

    with torch.no_grad():
        logits = network(images)

    # Computed with numpy alone, at three pixels for each class.
    found = logits[0, :, [0, 18, 36], [52, 26, 0]].flatten().tolist()
    assert found == pytest.approx(stored, abs=1e-6)


def test_a_published_file_loads_unchanged_with_its_stray_mask_values(tmp_path: Path) -> None:
    tensors = random_weights(narrow(milesial_layout(up="transposed", num_classes=2)))
    file = tmp_path / "unet_carvana.pth"
    torch.save({**tensors, "mask_values": [0, 1]}, file)
    network = unet(num_classes=2, width=8).double()

    report = load_weights(network, read_weights(file))

    assert (len(report.loaded), report.new, report.unused) == (118, (), ())
    assert all(torch.equal(found, tensors[name]) for name, found in network.state_dict().items())


def test_for_other_classes_only_the_last_convolution_is_new() -> None:
    tensors = random_weights(narrow(milesial_layout(up="transposed", num_classes=2)))

    report = load_weights(unet(num_classes=5, width=8).double(), tensors)

    assert report.new == ("outc.conv.weight", "outc.conv.bias")


def test_the_papers_network_has_its_parameters_and_sizes() -> None:
    with torch.device("meta"):
        network = unet_paper(num_classes=2)
        logits = network(torch.empty(1, 1, 572, 572))

    convolutions = [part for part in network.modules() if "Conv" in type(part).__name__]
    assert sum(parameter.numel() for parameter in network.parameters()) == 31_030_658
    assert len([part for part in convolutions if hasattr(part, "weight")]) == 23
    assert logits.shape == (1, 2, 388, 388)


def test_the_papers_network_computes_what_figure_1_shows() -> None:
    network = unet_paper(num_classes=2, width=8).double()
    images = torch.rand(2, 1, 220, 188, dtype=torch.float64)

    with torch.no_grad():
        logits = network(images)

    expected = paper_unet(network.state_dict(), images)
    assert logits.shape == (2, 2, 36, 4)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-9)


def test_fresh_weights_have_the_variance_of_section_3() -> None:
    torch.manual_seed(0)
    network = UNet(num_classes=2, in_channels=1, style=PAPER)

    conv, up = network.down3.maxpool_conv[1].double_conv[0], network.up1.up

    assert conv.weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)
    assert up.weight.std().item() == pytest.approx((2 / 1024) ** 0.5, rel=0.01)
    assert not conv.bias.any()


@pytest.mark.parametrize(
    "build",
    [
        lambda: unet(num_classes=2, width=0),
        lambda: unet(num_classes=2, width=0, encoder="resnet20"),
        lambda: unet_paper(num_classes=2, width=-1),
        lambda: unet_paper(num_classes=2, dropout=1.0),
    ],
)
def test_numbers_that_make_no_network_are_refused(build: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match=r"model\.(width|dropout) is"):
        build()


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (5, [1, 2, 3, 4, 5]),
        (3, [2, 3, 4]),
        (4, [1, 2, 3, 4]),
        (6, [1, 2, 3, 4, 5, 0]),
        (8, [0, 1, 2, 3, 4, 5, 0, 0]),
    ],
)
def test_a_canvas_grows_and_shrinks_around_the_middle(width: int, expected: list[int]) -> None:
    row = torch.arange(1.0, 6.0).reshape(1, 1, 1, 5)

    resized = resize_canvas(row, torch.Size([1, width]))

    assert resized.flatten().tolist() == expected
