"""Every number on a card is counted again here; listing them loads no torch."""

import pytest
import torch

from zoo.models import build_model, describe_structure
from zoo_resnet.plugin import zoo_models

CARDS = zoo_models()
BY_NAME = {card.name: card for card in CARDS}


@pytest.mark.parametrize(
    ("name", "num_params", "gmacs"),
    [
        ("resnet18", 11_689_512, 1.814073344),
        ("resnet34", 21_797_672, 3.663761408),
        ("resnet50", 25_557_032, 4.089184256),
        ("resnet101", 44_549_160, 7.801405440),
        ("resnet152", 60_192_808, 11.513626624),
    ],
)
def test_the_cards_have_the_numbers_known_from_torchvision(
    name: str, num_params: int, gmacs: float
) -> None:
    assert (BY_NAME[name].num_params, BY_NAME[name].gmacs) == (num_params, gmacs)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet20", 0.27),
        ("resnet32", 0.46),
        ("resnet44", 0.66),
        ("resnet56", 0.85),
        ("resnet110", 1.7),
    ],
)
def test_the_cifar_nets_have_the_sizes_of_table_6(name: str, millions: float) -> None:
    assert BY_NAME[name].num_params / 1e6 == pytest.approx(millions, abs=0.05 * millions)


@pytest.mark.parametrize(
    ("name", "num_params", "gmacs"),
    [
        ("resnet18", 11_173_962, 0.5554),
        ("resnet34", 21_282_122, 1.1594),
        ("resnet50", 23_520_842, 1.2978),
    ],
)
def test_the_cifar_stem_costs_what_is_known(name: str, num_params: int, gmacs: float) -> None:
    with torch.device("meta"):
        network = build_model(name, num_classes=10, stem="cifar")

    total = describe_structure(network, BY_NAME["resnet20"].input)[-1]

    assert total.num_params == num_params
    assert total.gmacs == pytest.approx(gmacs, abs=1e-4)


def test_a_thousand_classes_have_a_thousand_names() -> None:
    from zoo.checkpoint import class_names

    names = class_names(BY_NAME["resnet50"].weights[0])

    assert len(names) == 1000
    assert (names[0], names[207], names[999]) == ("tench", "golden retriever", "toilet tissue")
