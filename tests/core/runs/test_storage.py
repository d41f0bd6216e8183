"""Files that are whole or absent, and what the errors of a disk say."""

import errno
import os
import stat
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import StorageError
from zoo.runs import (
    check_free_space,
    dump_json,
    format_bytes,
    is_safe_name,
    parse_json,
    printable,
    storage_errors,
    write_atomically,
)
from zoo.runs._names import safe_name


def test_a_file_is_replaced(tmp_path):
    write_atomically(tmp_path / "a.txt", "old")

    write_atomically(tmp_path / "a.txt", "new")

    assert (tmp_path / "a.txt").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("operation", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(
    tmp_path, monkeypatch, operation, number
):
    write_atomically(tmp_path / "a.txt", "old")

    def fail(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, operation, fail)

    with pytest.raises(StorageError, match=r"a\.txt"):
        write_atomically(tmp_path / "a.txt", "new")

    monkeypatch.undo()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_keyboard_interrupt_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.txt", "new")

    assert list(tmp_path.iterdir()) == []


def test_the_mode_of_a_file_is_what_the_umask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "a.txt", "")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_flush_folders_is_accepted(tmp_path, monkeypatch, number):
    real = os.fsync

    def refuse_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)

    write_atomically(tmp_path / "a.txt", "new")

    assert (tmp_path / "a.txt").read_text() == "new"


def test_an_unknown_error_of_the_system_is_passed_on_in_its_words(tmp_path):
    with pytest.raises(StorageError, match="Stale file handle"), storage_errors(tmp_path):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def test_a_storage_error_says_what_to_do(tmp_path):
    with pytest.raises(StorageError) as error:
        check_free_space(tmp_path, 10**18)

    assert "1000000.0 TB needed" in error.value.cause
    assert error.value.cure.startswith("Make room there, then run the command again")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (87_300_000, "87.3 MB")],
)
def test_sizes_are_for_people(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    "text",
    ["NaN", "Infinity", pytest.param("[" * 100_000, id="deep"), "{", pytest.param("", id="empty")],
)
def test_text_that_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_json(text)


def test_json_of_ours_is_json_for_everybody():
    assert dump_json({"a": float("nan")}, indent=None) == '{"a": {"$float": "nan"}}\n'


@pytest.mark.parametrize("text", ["\x1b[31m", "\u202e", "\x07", "\x9b", "a\rb"])
def test_what_moves_the_cursor_is_never_printed(text):
    assert not set(printable(text)) & set("\x1b\u202e\x07\x9b\r")


def test_ordinary_text_is_printed_as_it_is():
    assert printable("Zürich, 数据\nnext") == "Zürich, 数据\nnext"


@given(st.text(max_size=200))
def test_any_text_has_a_safe_name_that_is_a_file_here(text):
    name = safe_name(text)

    assert is_safe_name(name)
    assert PurePosixPath("runs", name).parent == PurePosixPath("runs")
    assert PureWindowsPath("runs", name).name == name


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_any_json_value_comes_back_as_it_was(value):
    assert repr(parse_json(dump_json(value))) == repr(value)


@pytest.mark.parametrize("name", ["step-1", "best.json", "A", "9"])
def test_ordinary_names_are_safe(name):
    assert is_safe_name(name)
