"""A model without its head, giving the maps of any number of stages."""

import copy

import pytest
import torch
from torch import nn

from zoo.errors import ConfigError, UsageError
from zoo.models import FrozenBatchNorm2d, build_backbone
from zoo.structures import Stage


def test_it_gives_all_stages_but_the_stem(registry) -> None:
    backbone = build_backbone("tiny", registry=registry)

    maps = backbone(torch.zeros(2, 3, 16, 16))

    assert backbone.stages == (Stage("fine", 6, 2), Stage("middle", 12, 4), Stage("coarse", 24, 8))
    assert {name: tuple(found.shape) for name, found in maps.items()} == {
        "fine": (2, 6, 8, 8),
        "middle": (2, 12, 4, 4),
        "coarse": (2, 24, 2, 2),
    }


@pytest.mark.parametrize(
    ("name", "strides"),
    [("resnet34", [4, 8, 16, 32]), ("resnet20", [1, 2, 4])],
)
def test_three_and_four_stages_serve_alike(name: str, strides: list[int]) -> None:
    pytest.importorskip("zoo_resnet")
    backbone = build_backbone(name)

    maps = backbone(torch.zeros(2, 3, 64, 64))

    assert [stage.stride for stage in backbone.stages] == strides
    assert [
        (found.shape[1], 64 // found.shape[2], 64 // found.shape[3]) for found in maps.values()
    ] == [(stage.channels, stage.stride, stage.stride) for stage in backbone.stages]


def test_only_what_is_asked_for_is_left_in_it(registry) -> None:
    backbone = build_backbone("tiny", out=["middle", "stem"], registry=registry)

    parts = [name for name, _ in backbone.module.named_children()]

    assert [stage.name for stage in backbone.stages] == ["stem", "middle"]
    assert list(backbone(torch.zeros(2, 3, 16, 16))) == ["stem", "middle"]
    assert parts == ["stem", "fine", "middle"]


def test_the_stem_comes_with_all_the_others_where_it_is_asked_for(registry) -> None:
    backbone = build_backbone("tiny", with_stem=True, registry=registry)

    assert [stage.name for stage in backbone.stages] == ["stem", "fine", "middle", "coarse"]


def test_the_stem_comes_with_the_others_up_to_a_stride(registry) -> None:
    backbone = build_backbone("tiny", with_stem=True, max_stride=7, registry=registry)

    assert [stage.name for stage in backbone.stages] == ["stem", "fine", "middle"]


def test_a_models_whole_weights_load_into_what_is_left_of_it(registry) -> None:
    from zoo.checkpoint import load_weights
    from zoo.models import build_model

    weights = build_model("tiny", in_channels=3, registry=registry).state_dict()
    module = build_backbone("tiny", out=["middle"], registry=registry).module

    report = load_weights(module, weights)

    assert {name.partition(".")[0] for name in report.unused} == {"coarse", "head"}
    assert all(torch.equal(found, weights[name]) for name, found in module.state_dict().items())


@pytest.mark.parametrize(
    ("max_stride", "names"), [(7, ["fine", "middle"]), (8, ["fine", "middle", "coarse"])]
)
def test_it_ends_with_the_last_stage_of_at_most_a_stride(
    max_stride: int, names: list[str], registry
) -> None:
    backbone = build_backbone("tiny", max_stride=max_stride, registry=registry)

    assert [stage.name for stage in backbone.stages] == names
    assert hasattr(backbone.module, "coarse") is ("coarse" in names)


def test_no_stage_of_so_small_a_stride_is_an_error(registry) -> None:
    with pytest.raises(ConfigError, match="at least one stage"):
        build_backbone("tiny", max_stride=1, registry=registry)


def test_every_parameter_takes_part_in_the_last_map(registry) -> None:
    backbone = build_backbone("tiny", registry=registry)

    backbone(torch.rand(2, 3, 32, 32))["coarse"].sum().backward()

    assert all(parameter.grad is not None for parameter in backbone.module.parameters())


def test_its_parameters_have_the_models_own_names(registry) -> None:
    from zoo.models import build_model

    model = build_model("tiny", in_channels=3, registry=registry)
    backbone = build_backbone("tiny", registry=registry)

    names = [name for name in model.state_dict() if not name.startswith("head.")]

    assert list(backbone.module.state_dict()) == names


def test_frozen_norms_have_no_parameters_and_do_not_move(registry) -> None:
    backbone = build_backbone("tiny", norm="frozen", registry=registry)
    before = {k: v.clone() for k, v in backbone.module.state_dict().items()}

    backbone.module.train()
    backbone(torch.rand(4, 3, 16, 16))

    names = [name for name, _ in backbone.module.named_parameters()]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in backbone.module.modules())
    assert not any(name.startswith(("stem.1", "fine.1")) for name in names)
    assert all(torch.equal(v, before[k]) for k, v in backbone.module.state_dict().items())


@pytest.mark.parametrize(("norm_eps", "expected"), [(None, [1e-5, 0.1]), (0.0, [0.0, 0.0])])
def test_frozen_norms_keep_their_eps_or_take_the_one_given(norm_eps, expected, registry) -> None:
    backbone = build_backbone("tiny", norm="frozen", norm_eps=norm_eps, registry=registry)

    norms = [m for m in backbone.module.modules() if isinstance(m, FrozenBatchNorm2d)]

    assert [norm.eps for norm in norms] == expected


def test_a_deep_copy_runs_its_own_parameters(registry) -> None:
    backbone = build_backbone("tiny", registry=registry)
    twin = copy.deepcopy(backbone.module)
    nn.init.zeros_(twin.middle.weight)
    nn.init.zeros_(twin.middle.bias)

    images = torch.rand(2, 3, 16, 16)

    assert twin(images)["middle"].eq(0).all()
    assert backbone(images)["middle"].ne(0).any()


def test_a_stage_that_does_not_exist_is_refused(registry) -> None:
    with pytest.raises(ConfigError, match=r"no stage 'midle'\nDid you mean middle\?"):
        build_backbone("tiny", out=["midle"], registry=registry)


def test_no_stage_at_all_is_refused(registry) -> None:
    with pytest.raises(ConfigError, match="at least one stage"):
        build_backbone("tiny", out=[], registry=registry)


def test_an_eps_without_frozen_norms_is_refused(registry) -> None:
    with pytest.raises(ConfigError, match="frozen"):
        build_backbone("tiny", norm_eps=0.0, registry=registry)


def test_a_model_without_stage_maps_is_refused(registry) -> None:
    with pytest.raises(UsageError, match="flat gives no stage maps"):
        build_backbone("flat", registry=registry)
