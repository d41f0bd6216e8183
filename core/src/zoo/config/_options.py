"""Check the options of a named thing against the signature of its factory."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, create_model

from zoo.config._problems import bad_value, expected, plain, unknown_key
from zoo.config._resolve import NONE, section_of
from zoo.errors import ConfigError

_KEYWORD = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def check_options(
    section: str,
    function: Callable[..., Any],
    options: Mapping[str, Any],
    *,
    provided: Collection[str] = (),
    defaulted: Collection[str] = (),
    origins: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The options that a factory will be called with, in the types that its signature asks for.

    Types are as strict as in TOML: ``1`` does for a float, ``"1"`` and ``true`` do for no number,
    a list does for a tuple, text for a path or an enum, ``"none"`` for an optional value.  A
    parameter without annotation takes anything, a factory with ``**options`` any key.  A Python
    object that no config could hold passes as it is.

    Args:
        section: of the config, for the messages: "optimizer", "callbacks.tensorboard".
        function: the factory; a class and a partial function serve too.
        options: as the config has them.
        provided: parameters that the caller gives itself, which are nobody's option.
        defaulted: options that the caller gives where they are left out.
        origins: by dotted key, for the messages.

    Raises:
        ConfigError: with a line for each unknown, missing or ill-typed option.
    """
    parameters = _parameters(function)
    takes_any = any(
        p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values()
    )
    known = parameters.keys() - set(provided)
    origins = origins or {}
    problems, checkable = [], {}
    for key, value in options.items():
        name = f"{section}.{key}"
        if key in provided:
            by = "zoo itself or the model's card" if section == "model" else "zoo itself"
            problems.append(f"{name} is set by {by}; leave it out")
        elif key in known:
            checkable[key] = value
        elif not takes_any:
            table = section_of(section)
            offered = known | (table.model_fields.keys() if table else set())
            problems.append(unknown_key(name, key, section, offered, origins.get(name, "")))
    needed = (key for key in known if parameters[key].default is inspect.Parameter.empty)
    missing = sorted(set(needed) - options.keys() - set(defaulted))
    problems += [f"{section}.{key} is missing" for key in missing]
    checked, wrong = _coerce(function, parameters, checkable)
    for key, (value, wanted) in wrong.items():
        name = f"{section}.{key}"
        problems.append(bad_value(name, value, origins.get(name, ""), wanted))
    if problems:
        raise ConfigError("\n".join(problems))
    return {key: checked.get(key, value) for key, value in options.items()}


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters that a keyword can give."""
    parameters = inspect.signature(function).parameters
    return {name: p for name, p in parameters.items() if p.kind in _KEYWORD}


def _coerce(
    function: Callable[..., Any],
    parameters: Mapping[str, inspect.Parameter],
    options: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, tuple[Any, str]]]:
    """The options in their annotated types, and those that do not fit with what was expected."""
    values, wrong = {}, {}
    for key, value in options.items():
        try:
            values[key] = plain(value)
        except ValueError as error:
            if isinstance(value, float | int):
                wrong[key] = (value, str(error))
    fields = {}
    for index, key in enumerate(values):
        annotation = _annotation(function, parameters[key])
        if values[key] == NONE and type(None) in typing.get_args(annotation):
            values[key] = None
        fields[f"option_{index}"] = (annotation, Field(alias=key))
    model = _model(fields)
    try:
        result = model.model_validate_json(json.dumps(values))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            key = str(detail["loc"][0])
            before = wrong[key][1] + ", or " if key in wrong else ""
            wrong[key] = (options[key], before + expected(detail))
        return {}, wrong
    return {key: getattr(result, f"option_{i}") for i, key in enumerate(values)}, wrong


def _model(fields: dict[str, Any]) -> Any:
    """A pydantic model of the fields, strict."""
    config = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)
    return create_model("Options", __config__=config, **fields)


def _annotation(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The type of a parameter; Any where it says none, or one that cannot be resolved.

    Names imported under ``TYPE_CHECKING`` alone do not exist when the program runs.
    """
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return Any
    if not isinstance(annotation, str):
        return annotation
    while isinstance(function, partial):
        function = function.func
    source = function.__init__ if inspect.isclass(function) else function
    try:
        return eval(annotation, getattr(inspect.unwrap(source), "__globals__", {}))  # noqa: S307
    except Exception:  # noqa: BLE001 - whatever it is, it says no type
        return Any
