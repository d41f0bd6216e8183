"""Each test of the contract of detectors catches the detector that breaks it, and no other does."""

from collections.abc import Callable

import pytest

from zoo.cards import InputSpec, ModelCard
from zoo.plugins import Plugin, load_plugins
from zoo.registry import Registry
from zoo_testkit import DetectorContract
from zoo_testkit._checking import contracts_of

TAGS = ("no-compile", "no-export")
OFFENDERS = [
    ("counts_batches", "losses_are_there_in_training_and_in_evaluation"),
    ("needs_objects", "images_without_objects_are_learned_from"),
    ("divides_by_objects", "images_without_objects_are_learned_from"),
    ("always_detects", "detections_are_given_where_they_are_asked_for"),
    ("clips_to_the_padding", "detections_are_in_order_and_on_the_image"),
    ("swaps_corners", "detections_are_in_order_and_on_the_image"),
    ("sorts_upwards", "detections_are_in_order_and_on_the_image"),
    ("scores_in_percent", "detections_are_in_order_and_on_the_image"),
    ("counts_the_background", "detections_are_in_order_and_on_the_image"),
    ("remembers_the_first_size", "an_image_alone_gets_the_answer_that_it_gets_in_a_batch"),
    ("draws_beside_the_keys", "random_choices_come_from_the_keys"),
    ("views_memory", "channels_last_agrees"),
    ("rounds_boxes", "bf16_autocast_agrees"),
]


@pytest.fixture
def detector_card(model_card: Callable) -> Callable[..., ModelCard]:
    """A card of a planted detector."""
    spec = InputSpec(size_px=96, resize_px=None)

    def make(factory: str, *tags: str) -> ModelCard:
        return model_card(
            factory,
            module="planted_detectors",
            task="detection",
            input=spec,
            tags=(*TAGS, *tags),
        )

    return make


def test_an_honest_detector_keeps_the_whole_contract(
    detector_card: Callable, failures: Callable
) -> None:
    assert failures(DetectorContract, detector_card("honest")) == {}


@pytest.mark.parametrize(("factory", "test"), OFFENDERS)
def test_an_offender_is_caught_by_the_test_that_is_meant_for_it(
    factory: str, test: str, detector_card: Callable, failures: Callable
) -> None:
    assert set(failures(DetectorContract, detector_card(factory))) == {test}


def test_losses_in_training_alone_are_caught_unless_the_card_says_so(
    detector_card: Callable, failures: Callable
) -> None:
    card = detector_card("learns_in_training_alone")
    says_so = detector_card("learns_in_training_alone", "no-evaluation-loss")

    assert set(failures(DetectorContract, card)) == {
        "losses_are_there_in_training_and_in_evaluation",
        "training_mode_differs_only_as_it_may",
    }
    assert failures(DetectorContract, says_so) == {}


def test_draws_from_torchs_generator_can_be_stated(
    detector_card: Callable, failures: Callable
) -> None:
    assert failures(DetectorContract, detector_card("draws_beside_the_keys", "torch-draws")) == {}


def test_the_check_of_a_plugin_asks_a_detector_what_detectors_promise(
    detector_card: Callable,
) -> None:
    plugin = Plugin(
        name="planted",
        distribution="zoo-planted",
        version="0.1",
        target="planted_plugin",
        cards={"model": (detector_card("honest"),)},
    )

    _, asked = contracts_of(plugin, Registry([*load_plugins(found=[]), plugin]))

    assert issubclass(asked, DetectorContract)
