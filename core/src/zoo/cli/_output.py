"""What the verbs print: answers on stdout, as a table or as JSON alone; all else on stderr."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import IO, Any

import click

_kept_for_json: list[IO[str]] = []
"""The stream that ``stdout_for_json`` keeps, while it does."""
_ends_with_document = False
"""Whether nothing that is printed after a JSON document may reach stdout."""
_NUMBER = re.compile(r"([0-9.,]+( [kMG%])?)?")


def printable(text: str) -> str:
    """Text without control characters, which could rewrite a terminal; lines stay lines."""
    return "".join(c for c in text if c.isprintable() or c == "\n")


def print_answer(text: str) -> None:
    """Print for people, on stdout."""
    click.echo(printable(text))


def print_message(text: str) -> None:
    """Print what is no answer (progress, a choice made, a warning) on stderr."""
    click.echo(printable(text), err=True)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout.

    Args:
        value: mappings, sequences, dataclasses, text and numbers; NaN and infinity become null.
    """
    click.echo(json.dumps(as_json(value), indent=2, allow_nan=False), file=json_stream())


def end_with_document() -> None:
    """This process is one command: after a JSON document, stdout says no more.

    Threads and exit hooks of plugins still print then.
    """
    global _ends_with_document  # noqa: PLW0603 - of the process, as its stdout is
    _ends_with_document = True


def json_stream() -> IO[str]:
    """Where a JSON document goes, in this process or one that it starts."""
    return _kept_for_json[-1] if _kept_for_json else sys.stdout


@contextmanager
def stdout_for_json() -> Iterator[None]:
    """Keep stdout for ``print_json``; what anything else prints there goes to stderr.

    The code of plugins prints while it is imported, built and run, from Python and from C; so the
    descriptor itself is turned, where stdout has one.
    """
    stream, own = sys.stdout, sys.stdout is sys.__stdout__
    if stream is None or sys.stderr is None:  # closed: nothing to keep, or nowhere to turn it to
        yield
        return
    if not own:  # a test's or a notebook's
        _kept_for_json.append(stream)
        try:
            with redirect_stdout(sys.stderr):
                yield
        finally:
            _kept_for_json.pop()
        return
    stream.flush()
    number = stream.fileno()
    kept = os.dup(number)
    apart = open(  # noqa: SIM115 - closed below, before what it writes to is given back
        kept, "w", encoding=stream.encoding, errors=stream.errors, closefd=False
    )
    os.dup2(sys.stderr.fileno(), number)
    _kept_for_json.append(apart)
    try:
        with apart, redirect_stdout(sys.stderr):
            yield
    finally:
        _kept_for_json.pop()
        _flush_c()
        if not _ends_with_document:
            os.dup2(kept, number)
        os.close(kept)


def _flush_c() -> None:
    """Write out what C code has printed and C still holds; it would follow at the exit."""
    if os.name == "posix":
        import ctypes

        ctypes.CDLL(None).fflush(None)


def as_json(value: Any) -> Any:
    """A value in JSON's types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {item.name: as_json(getattr(value, item.name)) for item in fields}
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)


def print_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    bold: Collection[tuple[int, int]] = (),
) -> None:
    """Print rows in columns as wide as they need to be; numbers stand to the right.

    Args:
        bold: row and column, from 0, of cells that stand out on a terminal.
    """
    table = [[printable(cell).replace("\n", " ") for cell in row] for row in (headers, *rows)]
    columns = list(zip(*table, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [all(_NUMBER.fullmatch(cell) for cell in column[1:]) for column in columns]
    for number, row in enumerate(table, start=-1):
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        cells[-1] = cells[-1].rstrip()
        styled = [
            click.style(cell, bold=True) if (number, column) in bold else cell
            for column, cell in enumerate(cells)
        ]
        click.echo("  ".join(styled).rstrip())


def count_text(number: float) -> str:
    """A count in three digits: ``21.8 M``.

    >>> count_text(21_797_672), count_text(269_722), count_text(10)
    ('21.8 M', '270 k', '10')
    """
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"
