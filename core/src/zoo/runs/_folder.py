"""The run folder: everything that a run leaves, in one place that needs nothing else.

::

    runs/resnet34-digits-20260131-142501/
        config.toml         the resolved description of the run, and where each value came from
        environment.json    versions, machine, command
        metrics.jsonl       a line for each logged step and each epoch
        checkpoints/        step-N/: the whole state, to resume from
        best/               the weights that scored best, for eval, predict and export
        result.json         how it ended
        run.lock            held while a process works here
"""

from __future__ import annotations

import itertools
import os
import shlex
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from zoo.errors import RunFolderError
from zoo.runs._json import JSON, dump_json, parse_json
from zoo.runs._lock import folder_lock
from zoo.runs._names import check_name, safe_name
from zoo.runs._storage import storage_errors, sync_folder, write_atomically

_LOCK = "run.lock"


class RunFolder:
    """The files of one run.  Use ``create`` for a new run and ``open`` for one that exists."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path | None, *, model: str, dataset: str) -> RunFolder:
        """Make a new run folder that belongs to this call alone.

        Args:
            path: where; it may exist if it is empty.  None: ``runs/<model>-<dataset>-<time>``.
            model: name of the model, for the default path.
            dataset: name of the data, for the default path.

        Raises:
            RunFolderError: the path is a file or not empty; nothing in it was touched.
            StorageError: the folder cannot be made.
        """
        folder = _make_default(model, dataset) if path is None else _make_given(Path(path))
        run = cls(folder)
        try:
            with storage_errors(folder):
                run.checkpoints.mkdir()
                sync_folder(folder)
                sync_folder(folder.absolute().parent)
        except BaseException:
            _unmake(run)
            raise
        return run

    @staticmethod
    def check_free(path: Path) -> None:
        """Refuse a path that ``create`` would refuse, before work is spent on it.

        Raises:
            RunFolderError: the path is a file or not empty.
        """
        with storage_errors(path):
            for part in (path, *path.parents):
                if part.exists() and not part.is_dir():
                    raise RunFolderError(
                        f"{part} is a file", "Choose another folder with --output."
                    )
            if path.is_dir() and any(path.iterdir()):
                raise _not_empty(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run in a folder.

        Raises:
            RunFolderError: there is no folder, or it is no run; says what is missing.
        """
        run = cls(Path(path))
        try:
            fault = _fault(run)
        except OSError as error:
            fault = f"{run.path} cannot be read: {error.strerror}"
        if fault:
            raise RunFolderError(
                fault, "A run is a folder that `zoo train` made; the default place is runs/."
            )
        return run

    @property
    def config(self) -> Path:
        """``config.toml``, the resolved description of the run; its presence makes it a run."""
        return self.path / "config.toml"

    @property
    def environment(self) -> Path:
        """``environment.json``, what the run ran on."""
        return self.path / "environment.json"

    @property
    def metrics(self) -> Path:
        """``metrics.jsonl``, a line for each logged step and each epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """``checkpoints/``, the whole state by step."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """``best/``, the weights that scored best."""
        return self.path / "best"

    @property
    def result(self) -> Path:
        """``result.json``, how the run ended."""
        return self.path / "result.json"

    @property
    def resume_command(self) -> str:
        """What continues this run, ready for a shell."""
        return f"zoo train --resume {shlex.quote(str(self.path))}"

    def discard(self) -> None:
        """Remove what was written of a run that could not be begun, and nothing else."""
        with suppress(OSError):
            for path in self.path.glob("*.json"):
                path.unlink()
        _unmake(self)

    def lock(self) -> AbstractContextManager[None]:
        """Keep every other process out for the length of a ``with`` block.

        Raises:
            RunFolderError: another process works here; names its id and host.
        """
        return folder_lock(self.path / _LOCK)

    def write_text(self, name: str, text: str) -> None:
        """Write or replace a file of the run, atomically and durably.

        Raises:
            RunFolderError: the name could leave the folder.
            StorageError: the disk is full, read-only or failing.
        """
        write_atomically(self.path / check_name(name), text)

    def write_json(self, name: str, value: JSON) -> None:
        """Write or replace a JSON file of the run; the errors are those of ``write_text``."""
        self.write_text(name, dump_json(value))

    def read_json(self, name: str) -> Any:
        """The value in a JSON file of the run.

        Raises:
            RunFolderError: there is no such file, or it is damaged.
        """
        path = self.path / check_name(name)
        try:
            return parse_json(path.read_bytes())
        except FileNotFoundError:
            raise RunFolderError(f"{self.path} has no {name}") from None
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{path} cannot be read: {error}") from error


def _fault(run: RunFolder) -> str | None:
    """Why a path is no run."""
    if not run.path.exists():
        return f"there is no folder {run.path}"
    if not run.path.is_dir():
        return f"{run.path} is a file, not a run folder"
    if not run.config.is_file():
        return f"{run.path} is not a run: it has no {run.config.name}"
    return None


def _make_default(model: str, dataset: str) -> Path:
    """A folder that did not exist; runs that start in the same second get a suffix."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = f"{safe_name(model, default='model')}-{safe_name(dataset, default='data')}-{stamp}"
    for number in itertools.count(1):
        path = Path("runs") / (name if number == 1 else f"{name}-{number}")
        with storage_errors(path), suppress(FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
            _claim(path)
            return path
    raise AssertionError  # count() does not end


def _make_given(path: Path) -> Path:
    """A folder that did not exist or was empty; of two that want it, one gets it."""
    RunFolder.check_free(path)
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        try:
            _claim(path)
        except FileExistsError:
            raise _not_empty(path) from None
    return path


def _claim(path: Path) -> None:
    """Take an empty folder; of several processes that try, one gets through."""
    os.close(os.open(path / _LOCK, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666))


def _unmake(run: RunFolder) -> None:
    """Leave nothing half-made, so that the same command can be given again."""
    with suppress(OSError):
        (run.path / _LOCK).unlink(missing_ok=True)
        run.checkpoints.rmdir()
    with suppress(OSError):
        run.path.rmdir()


def _not_empty(path: Path) -> RunFolderError:
    run = RunFolder(path)
    if run.config.is_file():
        return RunFolderError(
            f"{path} already holds a run",
            f"Continue it with `{run.resume_command}`, or choose another folder with --output.",
        )
    return RunFolderError(f"{path} is not empty", "Choose another folder with --output.")
