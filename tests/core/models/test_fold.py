"""Batch norms move into convolutions only where nothing else can notice."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from zoo.models import FrozenBatchNorm2d, fold_batch_norms

IMAGES = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(1))


def lively(model: nn.Module) -> nn.Module:
    """The model in evaluation mode, with statistics and factors that change something."""
    generator = torch.Generator().manual_seed(0)
    tensors = (*model.parameters(), *model.buffers())
    for tensor in filter(torch.is_floating_point, tensors):
        tensor.data.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def folded(model: nn.Module) -> nn.Module:
    return fold_batch_norms(model, lambda either: either(IMAGES))


def idle_norms(model: nn.Module) -> list[bool]:
    """Of each norm whether it hands on what it is given."""
    return ["forward" in vars(m) for m in model.modules() if hasattr(m, "running_mean")]


class NormAndActivation(nn.BatchNorm2d):
    """As timm has it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.Hardswish()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))


class NormAndMore(nn.BatchNorm2d):
    """Does what no submodule of it does."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


class Pyramid(nn.Module):
    """One head for maps of two sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x).mean((2, 3)) + self.head(x[..., ::2, ::2]).mean((2, 3))


@pytest.mark.parametrize(
    ("model", "idle"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)), [True]),
        (nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), FrozenBatchNorm2d(4, eps=0.1)), [True]),
        (nn.Sequential(nn.Conv2d(3, 6, 3, 2, 2, 2, 3), nn.BatchNorm2d(6, affine=False)), [True]),
        (nn.Sequential(nn.Conv2d(3, 4, 1), NormAndActivation(4)), [True]),
        (nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), [False, True]),
        (Pyramid(), [True]),
    ],
    ids=["plain", "frozen", "grouped", "with activation", "norm first", "shared"],
)
def test_a_folded_copy_answers_as_the_model_does(model, idle) -> None:
    model = lively(model)
    before, wanted = copy.deepcopy(model.state_dict()), model(IMAGES)

    copied = folded(model)

    assert copied is not model
    assert idle_norms(copied) == idle
    torch.testing.assert_close(copied(IMAGES), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert torch.equal(model(IMAGES), wanted)


def test_what_is_not_folded_is_shared_with_the_model() -> None:
    model = lively(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(196, 2))
    )

    copied = folded(model)

    assert copied[3].weight is model[3].weight
    assert copied[0].weight is not model[0].weight


class Watched(nn.Module):
    """A convolution and a norm, and in ``forward`` of a subclass, somebody who looks on."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)


class ReadsTheOutput(Watched):
    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) + y


class ReadsTheWeight(Watched):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) * self.conv.weight.sum()


class ReadsTheStatistics(Watched):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) * self.norm.running_var.mean()


class KeepsTheOutput(Watched):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.conv(x)
        return {"before": y, "after": self.norm(y)}


class NormsTwice(Watched):
    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) + self.norm(y)


class SharesTheNorm(Watched):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) + self.norm(self.other(x))


class SharesTheConvolution(Watched):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) + self.other(self.conv(x))


class SkipsTheNorm(Watched):
    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) + self.conv(x).square()


class CallsTheFunction(Watched):
    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return nn.functional.batch_norm(y, self.norm.running_mean, self.norm.running_var)


class ScalesItsFilters(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x / self.weight.norm())


class Fails(Watched):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("no image pleases me")


@pytest.mark.parametrize(
    "kind",
    [
        ReadsTheOutput,
        ReadsTheWeight,
        ReadsTheStatistics,
        KeepsTheOutput,
        NormsTwice,
        SharesTheNorm,
        SharesTheConvolution,
        SkipsTheNorm,
        CallsTheFunction,
        Fails,
    ],
)
def test_where_somebody_else_looks_on_the_model_stays_as_it_is(kind) -> None:
    model = lively(kind())

    assert folded(model) is model


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 4, 1), NormAndMore(4)),
        nn.Sequential(ScalesItsFilters(3, 4, 1), nn.BatchNorm2d(4)),
        nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 1)), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4)),
    ],
    ids=["norm does more", "own convolution", "weight norm", "no statistics", "group norm"],
)
def test_what_is_no_plain_convolution_with_a_batch_norm_stays_as_it_is(model) -> None:
    model = lively(model)

    assert folded(model) is model


def test_a_hook_of_somebody_is_somebody_who_looks_on() -> None:
    model = lively(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    model[0].register_forward_hook(lambda *_: None)

    assert folded(model) is model


def test_a_norm_that_still_learns_is_not_folded() -> None:
    model = lively(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    model[1].train()

    assert folded(model) is model


def test_a_copy_that_answers_otherwise_is_not_used() -> None:
    class KnowsItself(Watched):
        first: Watched | None = None

        def forward(self, x: Tensor) -> Tensor:
            type(self).first = type(self).first or self
            return self.norm(self.conv(x)) + (self is type(self).first)

    model = lively(KnowsItself())

    assert folded(model) is model
