"""The table of a model's parts."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from zoo.cards import InputSpec
from zoo.models import StageRow, build_model, describe_structure


def test_rows_are_the_parts_in_order_with_a_total(registry) -> None:
    model = build_model("tiny", num_classes=5, in_channels=3, registry=registry)

    rows = describe_structure(model, InputSpec(size_px=16))

    assert rows == [
        StageRow("stem", "1 x Conv2d, 1 x BatchNorm2d", (6, 16, 16), 180, 6 * 27 * 256 / 1e9),
        StageRow("fine", "1 x Conv2d, 1 x BatchNorm2d", (6, 8, 8), 342, 6 * 54 * 64 / 1e9),
        StageRow("middle", "Conv2d", (12, 4, 4), 660, 12 * 54 * 16 / 1e9),
        StageRow("coarse", "2 x Conv2d", (24, 2, 2), 1920, (24 * 54 * 4 + 24 * 24 * 4) / 1e9),
        StageRow("head", "Linear", (5,), 125, 24 * 5 / 1e9),
        StageRow("total", "Tiny", (5,), 3227, rows[-1].gmacs),
    ]
    assert rows[-1].gmacs == sum(row.gmacs for row in rows[:-1])


def test_multiply_adds_are_those_that_torch_counts() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, groups=1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 4, 2, stride=2, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Flatten(),
        nn.Linear(4 * 14 * 14, 6),
    )
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        model(torch.zeros(1, 3, 16, 16))

    total = describe_structure(model, InputSpec(size_px=16))[-1]

    assert total.gmacs * 2e9 == flops.get_total_flops()


def test_activations_that_keep_the_shape_have_no_row() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten())

    names = [row.kind for row in describe_structure(model, InputSpec(size_px=8))]

    assert names == ["Conv2d", "MaxPool2d", "Flatten", names[-1]]


def test_the_model_is_left_as_it_was(registry) -> None:
    model = build_model("tiny", in_channels=3, registry=registry).train()
    model.fine.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}

    describe_structure(model, InputSpec(size_px=16))

    assert (model.training, model.stem.training, model.fine.training) == (True, True, False)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_work_that_depends_on_the_images_is_counted_by_a_typical_pass() -> None:
    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(3, 4, 1)
            self.head = nn.Linear(5, 6)

        def forward(self, images: torch.Tensor) -> None:
            raise AssertionError("as many regions as there are")

        def typical_pass(self, images: torch.Tensor) -> None:
            self.body(images)
            self.head(images.new_zeros(100 * len(images), 5))

    model = Detector()

    body, head, total = describe_structure(model, InputSpec(size_px=8))

    assert (body.name, body.output_shape, body.gmacs) == ("body", (4, 8, 8), 3 * 4 * 64 / 1e9)
    assert (head.name, head.gmacs) == ("head", 100 * 30 / 1e9)
    assert (total.num_params, total.output_shape, total.gmacs) == (52, (), (768 + 3000) / 1e9)
    assert model.head.weight.device.type == "cpu"


def test_a_detector_is_told_the_size_of_its_image() -> None:
    class Detector(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Conv2d(3, 2, 1)

        def forward(self, images: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
            height, width = sizes[0].tolist()
            return self.body(images[..., :height, :width])

    spec = InputSpec(size_px=8, resize_px=None)

    total = describe_structure(Detector(), spec, task="detection")[-1]

    assert total.gmacs == 3 * 2 * 64 / 1e9
