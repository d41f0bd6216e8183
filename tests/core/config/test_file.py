"""A config as TOML with origins, and back."""

import tomllib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.config import Layer, dump_config, load_config, resolve

MODEL = Layer("command line", {"model": {"name": "resnet34"}})


def round_trip(path, *layers: Layer):
    resolved = resolve([MODEL, *layers])
    path.write_text(dump_config(resolved), encoding="utf-8")
    return resolved, load_config(path)


def test_every_value_has_its_origin_in_a_comment():
    layer = Layer("recipe he2015", {"optimizer": {"momentum": 0.9}, "model": {"freeze": ["a"]}})

    lines = dump_config(resolve([MODEL, layer])).splitlines()

    assert lines[0] == "[model]"
    assert 'name = "resnet34"  # command line' in lines
    assert 'freeze = ["a"]  # recipe he2015' in lines
    assert "momentum = 0.9  # recipe he2015" in lines
    assert 'undecayed = "norms_and_biases"  # default' in lines


def test_config_and_origins_come_back(tmp_path):
    layer = Layer(
        "a path/with #1 and\na line",
        {
            "recipe": "he2015",
            "optimizer": {"layer_rates": {"layer1.0": 0.1, "é": 1}, "betas": [0.9, 0.99]},
            "training": {"ema": {"decay": 0.99}},
            "task": {"loss": 'a "quoted"  # word', "table": {"deep": {"list": [{"a": [1]}, {}]}}},
            "callbacks": {"tensorboard": {}, "other": {"every": 3}},
        },
    )

    resolved, loaded = round_trip(tmp_path / "config.toml", layer)

    assert loaded.config == resolved.config
    assert loaded.origins.keys() == resolved.origins.keys()
    assert loaded.origins["training.ema.decay"] == "a path/with 1 and a line"
    assert loaded.origins["callbacks.tensorboard"] == "a path/with 1 and a line"
    assert loaded.origins["task.loss"] == "a path/with 1 and a line"
    assert loaded.origins["model.name"] == "command line"


def test_a_config_that_people_wrote_has_the_file_as_origin(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[model]\nname = "resnet34"\n[training]\nepochs = 3  # a few\n')

    loaded = load_config(path)

    assert loaded.config.training.epochs == 3
    assert loaded.origins == {"model.name": str(path), "training.epochs": "a few"}


VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8).filter(lambda text: text != "none"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(options=st.dictionaries(st.text(min_size=1, max_size=6).map("x".__add__), VALUES))
def test_any_options_come_back(tmp_path, options):
    path = tmp_path / "config.toml"

    resolved, loaded = round_trip(path, Layer("recipe", {"task": options}))

    assert resolved.config.task.options == options
    assert loaded.config == resolved.config
    assert loaded.origins == resolved.origins
    assert tomllib.loads(path.read_text(encoding="utf-8"))["task"] == options
