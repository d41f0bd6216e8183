"""Weights in a model: all of them, or all but what other classes and channels change."""

import pytest
import torch
from torch import nn

from zoo.checkpoint import load_weights
from zoo.errors import WeightsError


class Net(nn.Module):
    head_parts = ("pool", "classify")

    def __init__(self, classes: int = 5, channels: int = 3, width: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classify = nn.Linear(width, classes)


def fresh(seed: int = 1, **options: int) -> Net:
    torch.manual_seed(seed)
    return Net(**options)


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return fresh(seed=0).state_dict()


def test_a_model_takes_all_weights_that_fit(weights) -> None:
    model = fresh()

    report = load_weights(model, weights)

    assert (report.loaded, report.new, report.unused) == (tuple(weights), (), ())
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())
    assert str(report) == "9 tensors loaded"


def test_with_other_classes_the_head_is_new_and_the_rest_is_loaded(weights) -> None:
    model = fresh(classes=7)
    head = model.classify.weight.clone()

    report = load_weights(model, weights)

    assert report.new == ("classify.weight", "classify.bias")
    assert torch.equal(model.classify.weight, head)
    assert torch.equal(model.conv.weight, weights["conv.weight"])
    assert str(report) == "7 tensors loaded; new: classify.weight, classify.bias"


def test_with_other_channels_the_first_convolution_is_new(weights) -> None:
    report = load_weights(fresh(channels=1), weights)

    assert report.new == ("conv.weight",)


def test_weights_without_a_head_leave_the_head_new(weights) -> None:
    body = {name: tensor for name, tensor in weights.items() if not name.startswith("classify")}

    report = load_weights(fresh(), body)

    assert report.new == ("classify.weight", "classify.bias")


def test_a_backbone_needs_no_head(weights) -> None:
    model = fresh()
    del model.classify

    report = load_weights(model, weights)

    assert report.unused == ("classify.weight", "classify.bias")
    assert "not needed: classify.weight, classify.bias" in str(report)


def test_the_last_layer_is_the_head_of_a_model_that_names_none() -> None:
    weights = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4, 5)).state_dict()
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4, 2))

    assert load_weights(model, weights).new == ("2.weight", "2.bias")


def test_old_files_without_a_batch_counter_are_whole(weights) -> None:
    del weights["norm.num_batches_tracked"]

    assert load_weights(fresh(), weights).new == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("norm.bias"), "missing: norm.bias"),
        (lambda w: w.update(extra=torch.ones(1)), "unknown: extra"),
        (lambda w: w.update({"norm.bias": torch.ones(9)}), "of another shape: norm.bias"),
        (lambda w: w.update({"conv.bias": torch.ones(9)}), "of another shape: conv.bias"),
        (lambda w: w.update({"conv.weight": torch.ones(4, 3, 5, 5)}), "another shape: conv.weight"),
        (lambda w: w.update({"classify.weight": torch.ones(5, 9)}), "another shape: classify.weig"),
        (lambda w: w.update({"norm.bias": torch.full((4,), torch.nan)}), "NaN.*norm.bias"),
        (lambda w: w.clear(), "missing: conv.weight, conv.bias, norm.weight and 3 more"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_changed(weights, change, message) -> None:
    model = fresh()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    change(weights)

    with pytest.raises(WeightsError, match=message):
        load_weights(model, weights)

    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_half_precision_weights_are_widened(weights) -> None:
    halves = {name: tensor.half() for name, tensor in weights.items()}
    model = fresh()

    load_weights(model, halves)

    assert model.conv.weight.dtype == torch.float32
    torch.testing.assert_close(model.conv.weight.data, weights["conv.weight"], atol=1e-3, rtol=0)
