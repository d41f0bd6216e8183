"""A model by its name: what the card gives, what the caller gives, and what is refused."""

import pytest
import torch

from zoo.errors import ConfigError, PluginCodeError, UnknownNameError
from zoo.models import build_model


def test_classes_and_channels_are_the_cards_unless_given(registry) -> None:
    by_card = build_model("tiny", registry=registry)
    given = build_model("tiny", num_classes=3, in_channels=5, registry=registry)

    assert by_card(torch.zeros(2, 1, 16, 16)).shape == (2, 7)
    assert given(torch.zeros(2, 5, 16, 16)).shape == (2, 3)


def test_the_cards_options_and_the_callers_reach_the_factory(registry) -> None:
    model = build_model("tiny", width=8, registry=registry)

    assert model.middle.in_channels == 8 + 2


def test_a_misspelt_option_is_refused_with_a_suggestion(registry) -> None:
    with pytest.raises(ConfigError, match=r"wdith.*did you mean.*width"):
        build_model("tiny", wdith=8, registry=registry)


def test_an_option_of_another_type_is_refused(registry) -> None:
    with pytest.raises(ConfigError, match="width"):
        build_model("tiny", width="wide", registry=registry)


def test_what_the_card_binds_is_nobodys_option(registry) -> None:
    with pytest.raises(ConfigError, match="base"):
        build_model("tiny", base=3, registry=registry)


def test_an_unknown_name_is_refused(registry) -> None:
    with pytest.raises(UnknownNameError, match="tinny"):
        build_model("tinny", registry=registry)


def test_a_factory_that_fails_is_named_with_its_distribution(registry) -> None:
    with pytest.raises(PluginCodeError, match=r"zoo-tests 1\.2\.3 .* RuntimeError: too wide"):
        build_model("tiny", width=100, registry=registry)


@pytest.mark.parametrize(
    ("width", "fault"),
    [
        (95, "encoder is a Backbone, whose weights do not learn; keep its .module"),
        (96, "its factory gave a NoneType, not an nn.Module"),
        (97, "its factory gave Tiny, not an nn.Module"),
        (98, "head.weight has no shape before the first image"),
    ],
)
def test_what_is_no_model_is_said_of_its_factory(registry, width: int, fault: str) -> None:
    with pytest.raises(PluginCodeError, match=f"zoo-tests 1.2.3 cannot be built.*{fault}"):
        build_model("tiny", width=width, registry=registry)


def test_the_installed_plugins_are_the_default() -> None:
    pytest.importorskip("zoo_resnet")

    model = build_model("resnet:resnet20", num_classes=4)

    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 4)
