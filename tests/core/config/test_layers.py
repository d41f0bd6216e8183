"""Values from files, the environment and the command line."""

import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.config import assignments_layer, environment_layer, file_layer
from zoo.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", 0.1),
        ("1e-3", 1e-3),
        (".5", 0.5),
        ("-.5", -0.5),
        ("3", 3),
        ("007", 7),
        ("-3", -3),
        ("true", True),
        ("adamw", "adamw"),
        ("True", "True"),
        ("", ""),
        ("1.2.3", "1.2.3"),
        ("rand-m7-mstd0.5-inc1", "rand-m7-mstd0.5-inc1"),
        ("a=b", "a=b"),
        ('"0.1"', "0.1"),
        ("'a b'", "a b"),
        ("[1, 2.5]", [1, 2.5]),
        ("[layer1, layer2]", ["layer1", "layer2"]),
        ("[a, 2, .5]", ["a", 2, 0.5]),
        ("[]", []),
        ("{a = 1}", {"a": 1}),
        ("\uff11\uff12", "\uff11\uff12"),
        ("1\nsneaky = 2", "1\nsneaky = 2"),
    ],
)
def test_a_value_is_toml_or_a_bare_word(text, value):
    layer = assignments_layer([f"task.key={text}"], "command line")

    assert layer.values == {"task": {"key": value}}
    assert type(layer.values["task"]["key"]) is type(value)


@pytest.mark.parametrize("text", ["[1, 2", '"abc', "{a = 1", "[[1], a]"])
def test_a_bracket_that_is_not_closed_is_an_error(text):
    with pytest.raises(ConfigError, match=r"task\.key"):
        assignments_layer([f"task.key={text}"], "command line")


@pytest.mark.parametrize("word", ["", "=", "=3", "epochs", "training.=3", ".epochs=3", "a b.c=1"])
def test_a_word_that_is_no_assignment_is_an_error(word):
    with pytest.raises(ConfigError, match=r"is not section\.key=value"):
        assignments_layer([word], "command line")


def test_nested_and_quoted_keys():
    layer = assignments_layer(
        ["training.ema.decay=0.9", 'optimizer.layer_rates."layer1.0"=0.1'], "command line"
    )

    assert layer.values == {
        "training": {"ema": {"decay": 0.9}},
        "optimizer": {"layer_rates": {"layer1.0": 0.1}},
    }


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["task.a=1", "task.a=2"], 2),
        (["task.a.b=1", "task.a=2"], 2),
        (["task.a=1", "task.a.b=2"], {"b": 2}),
    ],
)
def test_the_later_of_two_assignments_counts(words, value):
    assert assignments_layer(words, "command line").values == {"task": {"a": value}}


def test_the_environment_has_sections_and_keys():
    layer = environment_layer(
        {
            "ZOO_OPTIMIZER__LEARNING_RATE": "1e-3",
            "ZOO_TRAINING__EMA__DECAY": "0.99",
            "ZOO_OPTIMIZER__NAME": "adamw",
            "ZOO_PLUGINS": "resnet",
            "OPTIMIZER__LEARNING_RATE": "5",
            "HOME": "/root",
        }
    )

    assert layer.origin == "environment"
    assert layer.values == {
        "optimizer": {"learning_rate": 1e-3, "name": "adamw"},
        "training": {"ema": {"decay": 0.99}},
    }


def test_a_file_has_its_path_as_origin(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('[optimizer]\nname = "adamw"\n')

    layer = file_layer(path)

    assert (layer.origin, layer.values) == (str(path), {"optimizer": {"name": "adamw"}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[optimizer\n", "is not TOML.*line 1"),
        (b"a = 1\na = 2\n", "is not TOML"),
        (b"name = adamw\n", "is not TOML"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"a = " + b"9" * 5000, "is not TOML"),
        (b"a = " + b"[" * 5000, "is not TOML"),
    ],
    ids=["section", "twice", "bare word", "bytes", "number", "depth"],
)
def test_a_file_that_is_not_toml_is_an_error(tmp_path, content, message):
    path = tmp_path / "run.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=message):
        file_layer(path)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        file_layer(tmp_path / "none.toml")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="Is a directory"):
        file_layer(tmp_path)


@given(word=st.text(max_size=60))
def test_any_word_is_an_assignment_or_a_config_error(word):
    with suppress(ConfigError):  # and no other
        layer = assignments_layer([word], "command line")
        assert layer.values
        assert "=" in word


@given(key=st.text(string.ascii_lowercase, min_size=1), text=st.text(max_size=40).map(str.strip))
def test_no_value_brings_a_second_key_with_it(key, text):
    with suppress(ConfigError):  # and no other
        layer = assignments_layer([f"task.{key}={text}"], "command line")
        assert layer.values.keys() == {"task"}
        assert layer.values["task"].keys() == {key}
