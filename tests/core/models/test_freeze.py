"""Parts that do not learn, and batch norms that stay where they are."""

import copy

import pytest
import torch
from torch import nn

from zoo.errors import ConfigError
from zoo.models import FrozenBatchNorm2d, build_model, freeze_batch_norms, freeze_parts


@pytest.fixture
def model(registry):
    return build_model("tiny", in_channels=3, registry=registry)


def learning(model) -> set[str]:
    return {name.partition(".")[0] for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("parts", "left"),
    [
        (["backbone"], {"head"}),
        (["stem", "fine"], {"middle", "coarse", "head"}),
        (["head"], {"stem", "fine", "middle", "coarse"}),
        ([], {"stem", "fine", "middle", "coarse", "head"}),
    ],
)
def test_named_parts_no_longer_learn(model, parts, left) -> None:
    frozen = freeze_parts(model, parts)

    assert learning(model) == left
    assert frozen == [name for name, p in model.named_parameters() if not p.requires_grad]


def test_a_single_parameter_can_be_frozen(model) -> None:
    frozen = freeze_parts(model, ["coarse.1", "middle.bias"])

    assert frozen == ["coarse.1.weight", "coarse.1.bias", "middle.bias"]


def test_frozen_batch_norms_stay_in_evaluation_through_train(model) -> None:
    freeze_parts(model, ["stem"])
    before = model.stem[1].running_mean.clone()

    model.train()
    model(torch.rand(4, 3, 16, 16))

    assert torch.equal(model.stem[1].running_mean, before)
    assert model.fine[1].running_mean.ne(0).any()
    assert (model.stem[1].training, model.fine[1].training) == (False, True)


def test_a_deep_copy_of_a_frozen_norm_stays_frozen_by_itself(model) -> None:
    freeze_parts(model, ["stem"])

    twin = copy.deepcopy(model).train()

    assert twin.stem[1].train() is twin.stem[1]
    assert not twin.stem[1].training


def test_the_state_dict_keeps_its_names(model) -> None:
    names = list(model.state_dict())

    freeze_parts(model, ["backbone"])

    assert list(model.state_dict()) == names


def test_a_part_that_does_not_exist_is_refused_with_those_there_are(model) -> None:
    with pytest.raises(ConfigError) as refusal:
        freeze_parts(model, ["fin"])

    assert refusal.value.cause == "Tiny has no part 'fin' with parameters"
    assert "Did you mean fine" in refusal.value.cure
    assert "backbone, stem, fine, middle, coarse, head" in refusal.value.cure


def test_nothing_is_frozen_where_one_part_is_refused(model) -> None:
    with pytest.raises(ConfigError):
        freeze_parts(model, ["stem", "nothing"])

    assert "stem" in learning(model)


def test_a_model_that_names_no_head_has_no_part_called_backbone(registry) -> None:
    with pytest.raises(ConfigError, match="no part 'backbone'"):
        freeze_parts(build_model("flat", registry=registry), ["backbone"])


def test_a_submodule_called_backbone_is_that_part() -> None:
    model = nn.ModuleDict({"backbone": nn.BatchNorm2d(3), "neck": nn.Linear(3, 3)})

    assert freeze_parts(model, ["backbone"]) == ["backbone.weight", "backbone.bias"]
    assert not model.train()["backbone"].training


def test_frozen_norms_give_what_the_norms_gave_in_evaluation(model) -> None:
    model.train()
    model(torch.rand(8, 3, 16, 16))
    model.eval()
    images = torch.rand(2, 3, 16, 16)
    expected = model(images)

    freeze_batch_norms(model)

    torch.testing.assert_close(model.train()(images), expected)


def test_a_frozen_norm_loads_the_state_of_a_batch_norm() -> None:
    norm = nn.BatchNorm2d(3)
    norm(torch.rand(4, 3, 5, 5))
    frozen = FrozenBatchNorm2d(3)

    frozen.load_state_dict(norm.state_dict(), strict=True)

    assert torch.equal(frozen.running_mean, norm.running_mean)
    assert "num_batches_tracked" in norm.state_dict()
