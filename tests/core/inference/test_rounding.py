"""Below fp32, a predictor rounds its weights once, and answers with the very bits of autocast."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.devices import autocast
from zoo.inference import ModelRecord, Predictor
from zoo.structures import Batch, Sample
from zoo.tasks import ClassificationTask

CPU = torch.device("cpu")
IMAGES = [Sample(torch.full((3, 9, 9), value, dtype=torch.uint8), {}) for value in (30, 200)]


class HalfInFp32(nn.Module):
    """A stranger's, which leaves autocast for its last layer, and looks at another's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.widen = nn.ConvTranspose2d(4, 4, 2)
        self.shared = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        features = self.widen(self.stem(images)).relu().mean((2, 3))
        features = self.shared(features) * self.shared.weight.norm()
        with torch.autocast("cpu", enabled=False):
            logits: Tensor = self.head(features.float())
        return logits


class Roundings(TorchDispatchMode):
    """Counts the weights that are cast while it is on."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.count = 0
        self._addresses = {parameter.data_ptr() for parameter in model.parameters()}

    def __torch_dispatch__(
        self, function: Any, _types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is torch.ops.aten._to_copy.default and args[0].data_ptr() in self._addresses:
            self.count += 1
        return function(*args, **(kwargs or {}))


def _logits(model: nn.Module, batch: Batch) -> list[Tensor]:
    return list(model(batch.images))


@pytest.fixture
def predictor(record: ModelRecord) -> Predictor:
    torch.manual_seed(0)
    task = ClassificationTask(classes=record.classes)
    return Predictor(HalfInFp32(), task, record, device=CPU, precision="bf16")


def _by_autocast(predictor: Predictor) -> list[Tensor]:
    with torch.no_grad(), autocast(CPU, "bf16"):
        images = torch.stack([sample.image for sample in IMAGES])
        sizes = torch.full((2, 2), 9)
        batch = predictor.transforms.batch(Batch(images, sizes, torch.arange(2), {}))
        return _logits(predictor.model, batch)


def _same(answers: list[Tensor], others: list[Tensor]) -> bool:
    return torch.equal(torch.stack(answers), torch.stack(others))


def test_answers_are_the_bits_of_autocast_at_every_call(predictor: Predictor) -> None:
    first, second = predictor.ask(_logits, IMAGES), predictor.ask(_logits, IMAGES)

    assert _same(first, _by_autocast(predictor))
    assert _same(second, first)


def test_weights_are_rounded_at_the_first_call_alone(predictor: Predictor) -> None:
    with Roundings(predictor.model) as first:
        predictor.ask(_logits, IMAGES)
    with Roundings(predictor.model) as second:
        predictor.ask(_logits, IMAGES)

    assert first.count == 6
    assert second.count == 0


def test_weights_that_were_changed_are_rounded_anew(predictor: Predictor) -> None:
    before = predictor.ask(_logits, IMAGES)

    predictor.model.load_state_dict(HalfInFp32().state_dict())

    after = predictor.ask(_logits, IMAGES)
    assert not _same(after, before)
    assert _same(after, _by_autocast(predictor))


def test_weights_in_other_memory_are_rounded_anew(predictor: Predictor) -> None:
    predictor.ask(_logits, IMAGES)

    stem = predictor.model.get_parameter("stem.weight")
    stem.data = -stem.data

    assert _same(predictor.ask(_logits, IMAGES), _by_autocast(predictor))


def test_weights_without_a_count_of_changes_are_left_to_autocast(record: ModelRecord) -> None:
    with torch.inference_mode():
        model = HalfInFp32()
    task = ClassificationTask(classes=record.classes)
    predictor = Predictor(model, task, record, device=CPU, precision="bf16")

    answers = predictor.ask(_logits, IMAGES)

    assert _same(answers, _by_autocast(predictor))
