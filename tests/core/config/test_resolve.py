"""Which value wins, where it came from, and what is refused."""

import copy
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.config import Layer, RunConfig, assignments_layer, resolve
from zoo.errors import ConfigError

MODEL = Layer("command line", {"model": {"name": "resnet34"}})


def problems(*layers: Layer) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        resolve(layers)
    return caught.value.cause.splitlines()


def test_defaults_hold_where_nobody_says_otherwise():
    resolved = resolve([MODEL])

    assert resolved.config == RunConfig.model_validate({"model": {"name": "resnet34"}})
    assert resolved.origins == {"model.name": "command line"}


def test_later_layers_win_key_by_key():
    resolved = resolve(
        [
            Layer("recipe", {"optimizer": {"learning_rate": 0.1, "weight_decay": 0.5}}),
            MODEL,
            Layer("file", {"optimizer": {"learning_rate": 0.2}}),
        ]
    )

    assert resolved.config.optimizer.learning_rate == 0.2
    assert resolved.config.optimizer.weight_decay == 0.5
    assert resolved.origins["optimizer.learning_rate"] == "file"
    assert resolved.origins["optimizer.weight_decay"] == "recipe"


def test_nested_tables_merge_key_by_key():
    resolved = resolve(
        [
            MODEL,
            Layer("recipe", {"training": {"ema": {"decay": 0.9, "every_steps": 32}}}),
            assignments_layer(["training.ema.decay=0.99"], "command line"),
        ]
    )

    ema = resolved.config.training.ema
    assert (ema.decay, ema.every_steps) == (0.99, 32)
    assert resolved.origins["training.ema.decay"] == "command line"
    assert resolved.origins["training.ema.every_steps"] == "recipe"


@pytest.mark.parametrize("word", ["none", None])
@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("training", "clip_norm", 1.0),
        ("training", "ema", {"decay": 0.9}),
        ("model", "weights", "imagenet1k_v1"),
        ("task", "name", "segmentation"),
    ],
)
def test_none_takes_an_optional_value_back(section, key, value, word):
    resolved = resolve(
        [Layer("recipe", {section: {key: value}}), MODEL, Layer("file", {section: {key: word}})]
    )

    assert getattr(getattr(resolved.config, section), key) is None
    assert resolved.origins[f"{section}.{key}"] == "file"


def test_none_is_a_word_where_the_value_is_not_optional():
    resolved = resolve([MODEL, Layer("file", {"data": {"cache": "none"}})])

    assert resolved.config.data.cache == "none"


def test_an_empty_table_forgets_what_earlier_layers_put_into_it():
    resolved = resolve(
        [
            MODEL,
            Layer("recipe", {"optimizer": {"layer_rates": {"conv1": 0.1, "layer1": 0.2}}}),
            Layer("file", {"optimizer": {"layer_rates": {}}}),
            Layer("command line", {"optimizer": {"layer_rates": {"fc": 2.0}}}),
        ]
    )

    assert resolved.config.optimizer.layer_rates == {"fc": 2.0}
    assert "optimizer.layer_rates.conv1" not in resolved.origins


def test_an_empty_section_forgets_nothing():
    resolved = resolve(
        [MODEL, Layer("recipe", {"training": {"epochs": 3}}), Layer("file", {"training": {}})]
    )

    assert resolved.config.training.epochs == 3


@pytest.mark.parametrize(
    "recipe", [{"name": "sgd", "momentum": 0.9}, {"momentum": 0.9}], ids=["named", "the default"]
)
def test_the_options_of_another_optimizer_fall_and_that_is_told(recipe):
    resolved = resolve(
        [
            MODEL,
            Layer("recipe", {"optimizer": {**recipe, "undecayed": "nothing"}}),
            Layer("file", {"optimizer": {"name": "adamw", "eps": 1e-6}}),
        ]
    )

    assert resolved.config.optimizer.options == {"eps": 1e-6}
    assert resolved.config.optimizer.undecayed == "nothing"
    assert resolved.dropped == (
        "optimizer.momentum = 0.9 (recipe) was for sgd, not for adamw (file)",
    )
    assert "optimizer.momentum" not in resolved.origins


def test_the_rate_the_decay_and_the_scaling_are_for_one_optimizer():
    own = {"learning_rate": 0.1, "weight_decay": 1e-4, "scale_to_batch": 256}

    resolved = resolve(
        [
            MODEL,
            Layer("recipe", {"optimizer": own}),
            Layer("file", {"optimizer": {"name": "adamw", "weight_decay": 0.02}}),
        ]
    )

    optimizer = resolved.config.optimizer
    assert (optimizer.learning_rate, optimizer.weight_decay) == (None, 0.02)
    assert optimizer.scale_to_batch is None
    assert [message.split(" = ")[0] for message in resolved.dropped] == [
        "optimizer.learning_rate",
        "optimizer.weight_decay",
        "optimizer.scale_to_batch",
    ]


def test_what_the_same_place_says_of_the_new_optimizer_stays():
    resolved = resolve(
        [
            MODEL,
            Layer("command line", {"optimizer": {"learning_rate": 0.003}}),
            Layer("command line", {"optimizer": {"name": "adamw"}}),
        ]
    )

    assert resolved.config.optimizer.learning_rate == 0.003
    assert resolved.dropped == ()


def test_options_stay_where_the_name_is_said_again():
    resolved = resolve(
        [
            MODEL,
            Layer("recipe", {"optimizer": {"name": "sgd", "momentum": 0.9}}),
            Layer("file", {"optimizer": {"name": "sgd", "nesterov": True}}),
        ]
    )

    assert resolved.config.optimizer.options == {"momentum": 0.9, "nesterov": True}
    assert resolved.dropped == ()


def test_options_below_a_first_name_stay():
    resolved = resolve(
        [
            Layer("recipe", {"model": {"zero_init_residual": True}, "task": {"loss": "x"}}),
            Layer("command line", {"model": {"name": "resnet34"}, "task": {"name": "y"}}),
        ]
    )

    assert resolved.config.model.options == {"zero_init_residual": True}
    assert resolved.config.task.options == {"loss": "x"}


def test_callbacks_are_switched_on_and_off():
    resolved = resolve(
        [
            MODEL,
            Layer("recipe", {"callbacks": {"a": {"every": 3}, "b": {"every": 3}, "c": {"x": 1}}}),
            assignments_layer(["callbacks.a=false", "callbacks.d=true", "callbacks.c.y=2"], "line"),
        ]
    )

    assert resolved.config.callbacks == {"b": {"every": 3}, "c": {"x": 1, "y": 2}, "d": {}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainig": {}}, "unknown key trainig (file) of a run; did you mean training?"),
        (
            {"training": {"epocs": 3}},
            "unknown key training.epocs (file) of [training]; did you mean epochs?",
        ),
        (
            {"training": {"ema": {"decay": 0.9, "decy": 1}}},
            "unknown key training.ema.decy (file) of [training.ema]; did you mean decay?",
        ),
        ({"training": {"epochs": "3"}}, "training.epochs = '3' (file): expected a valid integer"),
        ({"training": {"epochs": True}}, "training.epochs = True (file): expected a valid integer"),
        ({"training": {"epochs": 2.5}}, "training.epochs = 2.5 (file): expected a valid integer"),
        ({"training": {"epochs": 0}}, "training.epochs = 0 (file): expected greater than 0"),
        ({"training": {"ema": {}}}, "training.ema.decay is missing"),
        ({"data": {"cache": "disk"}}, "data.cache = 'disk' (file): expected 'auto', "),
        ({"machine": {"compile": 1}}, "machine.compile = 1 (file): expected true or false"),
        ({"model": {"freeze": "fc"}}, "model.freeze = 'fc' (file): expected a valid array"),
        ({"optimizer": {"learning_rate": float("nan")}}, "learning_rate = nan (file): expected a"),
        ({"optimizer": {"momentum": float("inf")}}, "momentum = inf (file): expected a finite"),
        ({"optimizer": {"betas": [0.9, float("nan")]}}, "expected a finite number"),
        ({"training": {"seed": 2**64}}, "expected an integer of 64 bits"),
        ({"model": {"weights": b"x"}}, "or a list of these, not bytes"),
        ({"model": {"weights": "\ud800"}}, "expected text that UTF-8 can hold"),
        ({"optimizer": "adamw"}, "optimizer = 'adamw' (file): expected a table, [optimizer]"),
        ({"callbacks": {"tensorboard": 3}}, "callbacks.tensorboard = 3 (file): expected"),
        ({"recipe": 3}, "recipe = 3 (file): expected a valid string"),
        ({"optimizer": {"layer_rates": {"fc": -1}}}, "optimizer.layer_rates.fc = -1 (file)"),
    ],
)
def test_what_is_refused_says_key_value_origin_and_what_was_expected(values, message):
    (line,) = problems(MODEL, Layer("file", values))

    assert message in line


def test_a_run_needs_a_model():
    assert problems(Layer("file", {"training": {"epochs": 3}})) == ["model.name is missing"]


def test_all_problems_are_told_at_once():
    lines = problems(
        Layer("recipe", {"training": {"epochs": 0}}),
        Layer("file", {"optimiser": {}, "data": {"workers": -1}}),
        Layer("command line", {"optimizer": {"learning_rate": float("inf")}}),
    )

    assert len(lines) == 5
    assert sum("file" in line for line in lines) == 2


def test_a_bad_value_that_a_later_layer_mends_still_counts_where_it_can_be_no_value():
    (line,) = problems(
        MODEL,
        Layer("file", {"optimizer": {"learning_rate": float("nan")}}),
        Layer("command line", {"optimizer": {"learning_rate": 0.1}}),
    )

    assert "nan (file)" in line


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 300), st.floats(), st.text(max_size=5)
) | st.lists(st.integers(0, 3), max_size=2)
KEYS = {
    section: [*field.annotation.model_fields, "option", "epocs"]
    for section, field in RunConfig.model_fields.items()
    if hasattr(field.annotation, "model_fields")
}
SECTIONS = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.dictionaries(st.sampled_from(keys), VALUES) for name, keys in KEYS.items()},
        "optimzer": st.just({}),
    },
)


@settings(max_examples=150)
@given(layers=st.lists(SECTIONS, max_size=4))
def test_no_key_is_silent(layers):
    """Every key of every layer is in the result, was overruled or dropped, or was refused."""
    before = copy.deepcopy(layers)
    stack = [Layer(f"layer {i}", values) for i, values in enumerate(layers)]

    with suppress(ConfigError):  # which refuses a key aloud; and no other
        resolved = resolve([MODEL, *stack])
        dumped = resolved.config.model_dump(mode="json")
        dropped = {tuple(line.split(" = ")[0].split(".")) for line in resolved.dropped}
        said = {(s, k) for values in layers for s, table in values.items() for k in table}
        assert all(key in dumped[section] for section, key in said - dropped)
    assert layers == before


@settings(max_examples=50)
@given(
    rates=st.lists(
        st.one_of(st.none(), st.floats(1e-6, 10, allow_nan=False)), min_size=1, max_size=5
    )
)
def test_the_last_layer_that_says_a_value_is_its_origin(rates):
    layers = [
        Layer(str(i), {"optimizer": {"learning_rate": rate}} if rate else {})
        for i, rate in enumerate(rates)
    ]
    said = [(str(i), rate) for i, rate in enumerate(rates) if rate]

    resolved = resolve([MODEL, *layers])

    origin, rate = said[-1] if said else (None, None)
    assert resolved.config.optimizer.learning_rate == rate
    assert resolved.origins.get("optimizer.learning_rate") == origin
