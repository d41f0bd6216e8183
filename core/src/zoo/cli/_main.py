"""Run a command line and turn whatever goes wrong into a message and an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from zoo.cli._blame import blame
from zoo.cli._group import zoo
from zoo.cli._output import end_with_document, print_message
from zoo.errors import StorageError, ZooError

FAILED, INTERRUPTED = 1, 130
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_LESS_MEMORY = "Use a smaller --batch-size or --image-size, or --precision bf16."
_DEVICE_FAILED = (
    "The device cannot go on, and where it failed is not known: it works behind the program."
    " A run goes on with `zoo train --resume RUN`; with --device cpu a fault of model or data is"
    " named, and `dmesg` shows one of the hardware."
)
_BUG = "This looks like a bug. Run again with --debug to see where it happened."


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The command ``zoo``: exits with the code that ``run`` gives."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name that the terminal cannot show ends nothing
            stream.reconfigure(errors="backslashreplace")
    end_with_document()
    _leave(run(sys.argv[1:] if arguments is None else arguments))


def _leave(code: int) -> NoReturn:
    """End the process: at once where it is still a member of a group, which it has failed alone in.

    NCCL's clean-up at exit would wait for the others, who wait for this process
    (https://github.com/NVIDIA/nccl/issues/1777).
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run a command line.

    Args:
        arguments: the words after ``zoo``.

    Returns:
        0 done, 1 failed, 2 usage, 74 storage, 75 stopped and resumable, 130 interrupted.
    """
    settings: dict[str, Any] = {}
    try:
        answer = zoo.main(list(arguments), prog_name="zoo", obj=settings, standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()  # here, where a full disk or closed pipe can still be told
    except BaseException as error:  # noqa: BLE001 - every exit of the program passes here
        if settings.get("debug"):
            traceback.print_exc()
        return _explain(error)
    return answer if isinstance(answer, int) else 0


def _explain(error: BaseException) -> int:
    """Print what went wrong, in a line or two, and give its exit code."""
    match error:
        case ZooError():
            cause, cure, code = error.cause, error.cure, error.exit_code
        case click.ClickException():
            return _explain_usage(error)
        case click.Abort() | KeyboardInterrupt():
            print_message("Interrupted.")
            return INTERRUPTED
        case BrokenPipeError():
            _silence_stdout()
            return FAILED
        case OSError() if error.errno in _DISK:
            _silence_stdout()
            place = f"{error.filename}: " if error.filename else ""
            cause, cure, code = f"{place}{error.strerror}", "", StorageError.exit_code
        case _ if fault := blame(error):
            return _explain(fault)
        case SystemExit():
            if isinstance(error.code, str):
                print_message(error.code)
            return error.code if isinstance(error.code, int) else FAILED
        case _:
            (cause, cure), code = _explain_unknown(error), FAILED
    print_message(f"Error: {cause}")
    if cure:
        print_message(cure)
    return code


def _explain_unknown(error: BaseException) -> tuple[str, str]:
    """Cause and cure of what nobody has foreseen; memory may run out anywhere."""
    name, line = type(error).__name__, (str(error).strip().splitlines() or [""])[0]
    # By the names of torch's classes, which may not be loaded here.
    if name == "OutOfMemoryError" or (name == "AcceleratorError" and "out of memory" in line):
        return line, _LESS_MEMORY
    if name == "AcceleratorError":
        return line, _DEVICE_FAILED
    return f"{name}: {line}".strip(": "), _BUG


def _explain_usage(error: click.ClickException) -> int:
    """A usage error in two lines, where click prints the usage first."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        print_message(error.format_message())
        return error.exit_code
    print_message(f"Error: {error.format_message()}")
    context = getattr(error, "ctx", None)
    if context is not None:
        print_message(f"See `{context.command_path} --help`.")
    return error.exit_code


def _silence_stdout() -> None:
    """Nobody can be written to: keep Python from trying once more when it exits."""
    with contextlib.suppress(OSError):  # a stream without a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
