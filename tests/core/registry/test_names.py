"""Who owns a name, and what is said of one that nobody has."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.cards import ModelCard, RecipeCard, TaskCard
from zoo.errors import PluginCodeError, PluginError, UnknownNameError, UsageError
from zoo.plugins import Plugin
from zoo.registry import KINDS, Entry, Registry, list_models


def model(name: str, **facts) -> ModelCard:
    required = {"task": "classification", "summary": "s", "num_params": 1, "gmacs": 1.0}
    return ModelCard(name=name, **{"factory": "builtins:dict", **required, **facts})


def plugin(name: str, *models: str, distribution: str = "", **fields) -> Plugin:
    cards = {"model": tuple(model(each) for each in models)}
    return Plugin(
        name=name,
        distribution=distribution or f"dist-{name}",
        version="1.2",
        target="",
        **{"cards": cards, **fields},
    )


def registry(*plugins: Plugin, notify=None) -> Registry:
    return Registry(plugins, notify=notify or (lambda message: None))


RESNET = plugin("resnet", "resnet34", "resnet50", distribution="zoo-resnet")


@pytest.mark.parametrize("name", ["resnet34", "resnet:resnet34"])
def test_a_short_and_a_full_name_reach_the_card(name):
    entry = registry(RESNET).get("model", name)

    assert entry == Entry(RESNET.cards["model"][0], "resnet", "zoo-resnet", "1.2")
    assert entry.full_name == "resnet:resnet34"


def test_a_stranger_who_reuses_a_first_party_name_is_reached_by_the_full_name():
    both = registry(plugin("other", "resnet34"), RESNET)

    assert both.get("model", "resnet34").plugin == "resnet"
    assert both.get("model", "other:resnet34").plugin == "other"
    shown = {e.plugin: both.shown_name("model", e) for e in both.entries("model")[:2]}
    assert shown == {"other": "other:resnet34", "resnet": "resnet34"}


def test_strangers_with_one_short_name_are_an_error_for_that_name_only():
    both = registry(plugin("one", "net", "a"), plugin("two", "net", "b"))

    with pytest.raises(UsageError, match=r"one:net .*dist-one.* two:net .*dist-two") as caught:
        both.get("model", "net")

    assert caught.value.exit_code == 2
    assert both.get("model", "a").plugin == "one"
    assert both.get("model", "two:net").plugin == "two"


def test_a_bridge_gives_way_to_everybody():
    bridge = plugin("bridge", "net", short_names=False)

    assert registry(bridge, plugin("one", "net")).get("model", "net").plugin == "one"


def test_a_name_that_only_a_bridge_has_resolves_and_the_choice_is_told():
    told = []
    bridge = registry(plugin("bridge", "net", short_names=False), notify=told.append)

    entry = bridge.get("model", "net")

    assert entry.plugin == "bridge"
    assert told == ["model 'net' is taken from bridge:net"]
    assert bridge.shown_name("model", entry) == "bridge:net"


def test_a_choice_is_printed_once_and_on_stderr(capsys):
    bridge = Registry([plugin("bridge", "net", short_names=False)])

    bridge.get("model", "net")
    bridge.get("model", "net")

    assert capsys.readouterr() == ("", "model 'net' is taken from bridge:net\n")


def test_the_full_name_of_a_bridges_card_is_no_choice_to_tell():
    told = []
    bridge = registry(plugin("bridge", "net", short_names=False), notify=told.append)

    bridge.get("model", "bridge:net")

    assert told == []


def test_two_bridges_with_one_name_clash():
    bridges = [plugin(name, "net", short_names=False) for name in ("one", "two")]

    with pytest.raises(UsageError, match=r"one:net .* two:net"):
        registry(*bridges).get("model", "net")


def test_a_name_on_a_card_means_its_own_plugins_thing_first():
    def recipe(task: str) -> dict:
        return {"recipe": (RecipeCard(name="small", task=task, summary="s", factory="m:f"),)}

    owner = plugin("one", cards={**plugin("one", "net").cards, **recipe("a")})
    both = registry(owner, plugin("resnet", distribution="zoo-resnet", cards=recipe("b")))
    net = both.get("model", "net")

    assert both.get("recipe", "small").plugin == "resnet"
    assert both.get("recipe", "small", on_card_of=net).plugin == "one"


def test_an_unknown_name_gets_a_near_one():
    with pytest.raises(UnknownNameError, match="Did you mean resnet34") as caught:
        registry(RESNET).get("model", "resent34")

    assert caught.value.suggestions[0] == "resnet34"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet:resnet43", "resnet:resnet34"),
        ("resent:resnet34", "Did you mean resnet"),
    ],
)
def test_an_unknown_full_name_gets_a_near_one(name, hint):
    with pytest.raises(UnknownNameError, match=hint):
        registry(RESNET).get("model", name)


def test_a_name_of_another_kind_is_told():
    task = TaskCard(name="counting", summary="s", factory="m:f", default_dataset="d")
    known = registry(plugin("one", cards={"task": (task,)}))

    with pytest.raises(UnknownNameError, match="counting is a task"):
        known.get("model", "counting")


def test_a_failed_plugin_may_own_an_unknown_name():
    broken = plugin("broken", state="failed", reason="ImportError: x", cards={})

    with pytest.raises(UnknownNameError, match=r"failed to load \(broken\)"):
        registry(RESNET, broken).get("model", "convnext")


@pytest.mark.parametrize("state", ["failed", "disabled"])
def test_the_full_name_of_a_plugin_that_is_not_loaded_says_why(state):
    broken = plugin("broken", state=state, reason="the reason", cards={})

    with pytest.raises(PluginError, match=f"is {state}: the reason"):
        registry(broken).get("model", "broken:net")


def test_loading_binds_the_cards_options():
    card = model("net", options={"depth": 34})
    known = registry(plugin("one", cards={"model": (card,)}))

    factory = known.load(known.get("model", "net"))

    assert factory(width=2) == {"depth": 34, "width": 2}


def test_a_card_that_binds_what_its_factory_does_not_take_is_its_plugins_fault():
    card = model("net", factory="textwrap:dedent", options={"depth": 34})
    known = registry(plugin("one", cards={"model": (card,)}))

    with pytest.raises(PluginCodeError, match=r"dedent does not take .* 'depth'"):
        known.load(known.get("model", "net"))


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("zoo_no_such_module:f", "No module named"),
        ("builtins:no_such_function", "no_such_function"),
    ],
)
def test_a_factory_that_cannot_be_imported_names_the_distribution(factory, reason):
    known = registry(plugin("one", cards={"model": (model("net", factory=factory),)}))

    with pytest.raises(PluginCodeError, match=reason) as caught:
        known.load(known.get("model", "net"))

    assert "one:net of dist-one 1.2" in caught.value.cause


def test_a_factory_that_exits_at_import_ends_nobodys_program(site):
    site.install("quitter", "raise SystemExit(0)")
    known = registry(plugin("one", cards={"model": (model("net", factory="quitter:f"),)}))

    with pytest.raises(PluginCodeError, match="SystemExit: 0"):
        known.load(known.get("model", "net"))


def test_entries_stand_in_the_order_of_the_numbers_in_their_names():
    known = registry(plugin("one", "resnet110", "resnet20", "alexnet", "resnet20d"))

    names = [entry.card.name for entry in known.entries("model")]

    assert names == ["alexnet", "resnet20", "resnet20d", "resnet110"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        (None, ["net", "resnet34", "resnet50"]),
        ("34", ["resnet34"]),
        ("resnet:", ["resnet34", "resnet50"]),
        ("net*", ["net"]),
        ("resnet[35]?", ["resnet34", "resnet50"]),
        ("resnet:*50", ["resnet50"]),
        ("vgg", []),
    ],
)
def test_a_pattern_is_a_part_or_a_glob(pattern, names):
    known = registry(RESNET, plugin("one", "net"))

    assert list_models(pattern, registry=known) == names


def test_models_are_listed_by_task():
    segmenter = model("unet", task="segmentation")
    known = registry(RESNET, plugin("unet", cards={"model": (segmenter,)}))

    assert list_models(task="segmentation", registry=known) == ["unet"]


@given(
    kind=st.sampled_from(KINDS),
    name=st.one_of(st.text(max_size=300), st.from_regex(r"resne[a-z0-9:]{0,9}", fullmatch=True)),
)
def test_any_text_is_an_entry_or_a_usage_error(kind, name):
    known = registry(RESNET, plugin("broken", state="failed", reason="r", cards={}))

    with suppress(UsageError):  # and no other
        found = known.get(kind, name)
        assert name in (found.card.name, found.full_name)
