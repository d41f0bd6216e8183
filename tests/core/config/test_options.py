"""Options of a named thing, against the signature of its factory."""

import functools
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.config import check_options
from zoo.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


class Colour(Enum):
    RED = "red"


def factory(
    groups: list,
    *,
    momentum: float = 0.9,
    betas: tuple[float, float] = (0.9, 0.999),
    steps: int = 1,
    nesterov: bool = False,
    loss: Literal["a", "b"] = "a",
    limit: float | None = None,
    weights: Literal["balanced"] | list[float] | None = None,
    place: Path = Path(),
    colour: Colour = Colour.RED,
    anything=None,
    sizes: Sequence[int] = (),
    tensor: "Tensor | None" = None,
) -> None: ...


class Thing:
    def __init__(self, *, width: int, depth: int = 3) -> None: ...


def check(function=factory, **options):
    return check_options("optimizer", function, options, provided=("groups",))


@pytest.mark.parametrize(
    ("key", "given_value", "value"),
    [
        ("momentum", 1, 1.0),
        ("betas", [0.9, 1], (0.9, 1.0)),
        ("steps", 3, 3),
        ("nesterov", True, True),
        ("loss", "b", "b"),
        ("limit", 0.5, 0.5),
        ("limit", "none", None),
        ("limit", None, None),
        ("weights", "balanced", "balanced"),
        ("weights", [1, 2], [1.0, 2.0]),
        ("place", "/data", Path("/data")),
        ("colour", "red", Colour.RED),
        ("anything", {"a": [1, "b"]}, {"a": [1, "b"]}),
        ("sizes", [1, 2], [1, 2]),
        ("tensor", "none", "none"),
    ],
)
def test_an_option_comes_in_the_type_of_its_annotation(key, given_value, value):
    checked = check(**{key: given_value})

    assert checked == {key: value}
    assert type(checked[key]) is type(value)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("momentum", "0.9", "a valid number"),
        ("momentum", True, "a valid number"),
        ("momentum", float("nan"), "a finite number"),
        ("betas", [0.9], "more values"),
        ("betas", [0.9, 0.9, 0.9], "at most 2"),
        ("betas", 0.9, "a valid array"),
        ("steps", 1.5, "a valid integer"),
        ("steps", 2**70, "64 bits"),
        ("nesterov", 1, "true or false"),
        ("loss", "c", "'a' or 'b'"),
        ("weights", "equal", "'balanced', or a valid array"),
        ("colour", "blue", "'red'"),
        ("sizes", ["a"], "a valid integer"),
    ],
)
def test_an_option_of_the_wrong_type_is_refused(key, value, expected):
    with pytest.raises(ConfigError) as caught:
        check(**{key: value})

    assert caught.value.cause.startswith(f"optimizer.{key} = ")
    assert expected in caught.value.cause


def test_an_unknown_option_gets_a_near_name():
    with pytest.raises(ConfigError, match=r"optimizer\.momentom .* did you mean momentum\?"):
        check(momentom=0.9)


def test_a_misspelt_key_of_the_section_itself_gets_a_near_name():
    with pytest.raises(ConfigError, match=r"did you mean learning_rate"):
        check(learnig_rate=0.9)


def test_an_unknown_option_without_a_near_name_gets_the_list():
    with pytest.raises(ConfigError, match=r"known: anything, betas, colour"):
        check(xxxxxxxx=0.9)


def test_what_zoo_itself_provides_is_nobodys_option():
    with pytest.raises(ConfigError, match=r"optimizer\.groups is set by zoo itself"):
        check(groups=[])


def test_what_the_caller_gives_where_it_is_left_out_is_not_missing():
    def build(*, width: int, in_channels: int) -> None: ...

    options = {"width": 8}

    assert check_options("model", build, options, defaulted=("in_channels",)) == options
    with pytest.raises(ConfigError, match=r"^model\.in_channels is missing$"):
        check_options("model", build, options)


def test_all_problems_are_told_at_once_with_their_origins():
    options = {"momentom": 1, "steps": "a", "betas": 3}
    origins = {"optimizer.steps": "recipe", "optimizer.momentom": "command line"}

    with pytest.raises(ConfigError) as caught:
        check_options("optimizer", factory, options, provided=("groups",), origins=origins)

    lines = caught.value.cause.splitlines()
    assert len(lines) == 3
    assert "optimizer.momentom (command line)" in lines[0]
    assert "optimizer.steps = 'a' (recipe): expected a valid integer" in lines[1:]


def test_a_needed_option_that_is_missing_is_told():
    with pytest.raises(ConfigError, match=r"optimizer\.width is missing"):
        check(Thing, depth=3)


def test_a_class_has_the_signature_of_its_init():
    assert check(Thing, width=3) == {"width": 3}


def test_what_a_partial_function_binds_has_its_value_already():
    assert check(functools.partial(Thing, width=3), depth=2) == {"depth": 2}


def test_a_factory_with_open_options_takes_any():
    def open_factory(groups: list, *, steps: int = 1, **rest: object) -> None: ...

    assert check(open_factory, steps=2, anything=[1]) == {"steps": 2, "anything": [1]}


def test_the_types_of_a_factory_with_open_options_are_checked_all_the_same():
    def open_factory(groups: list, *, steps: int = 1, **rest: object) -> None: ...

    with pytest.raises(ConfigError, match="a valid integer"):
        check(open_factory, steps="2", anything=[1])


def test_names_that_pydantic_uses_itself_are_ordinary_options():
    def odd(*, model_dump: int, copy: int, schema: int, _private: int) -> None: ...

    options = {"model_dump": 1, "copy": 2, "schema": 3, "_private": 4}

    assert check(odd, **options) == options


def test_a_python_object_passes_as_it_is():
    thing = Thing(width=3)

    assert check(anything=thing, tensor=thing) == {"anything": thing, "tensor": thing}


@given(
    options=st.dictionaries(
        st.sampled_from(["momentum", "betas", "steps", "nesterov", "loss", "limit", "momentom"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.floats()),
    )
)
def test_options_are_returned_one_by_one_or_refused(options):
    with suppress(ConfigError):  # and no other
        checked = check(**options)
        assert checked.keys() == options.keys()
