"""Each test of the contract of metrics catches the one that breaks it, and no other does."""

from collections.abc import Callable

import pytest
from torch import nn

from zoo.cards import MetricCard
from zoo_testkit import MetricContract


def network(*, num_classes: int, in_channels: int) -> nn.Module:
    """Answers that differ from image to image."""
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * 32 * 32, num_classes))


def metric_card(factory: str) -> MetricCard:
    return MetricCard(
        name=factory.lower(),
        summary="planted",
        factory=f"planted_metrics:{factory}",
        task="classification",
        keys=("right",),
    )


def test_an_honest_metric_keeps_the_contract(failures: Callable) -> None:
    assert failures(MetricContract, metric_card("Honest"), model=network) == {}


@pytest.mark.parametrize(
    ("factory", "test"),
    [
        ("WrongKey", "card_says_what_is_computed"),
        ("FallsElsewhere", "card_says_what_is_computed"),
        ("TensorValue", "card_says_what_is_computed"),
        ("MeanOfMeans", "batch_size_does_not_matter"),
        ("InOrder", "order_does_not_matter"),
        ("Forgetful", "merging_any_split_gives_the_same"),
        ("BesideStates", "states_can_be_summed_over_ranks"),
        ("Rounded", "states_can_be_summed_over_ranks"),
        ("Unforgetting", "reset_forgets_everything"),
        ("Wearing", "computing_changes_nothing"),
    ],
)
def test_an_offender_is_caught_by_the_test_that_is_meant_for_it(
    factory: str, test: str, failures: Callable
) -> None:
    assert set(failures(MetricContract, metric_card(factory), model=network)) == {test}
