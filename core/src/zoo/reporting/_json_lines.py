"""``metrics.jsonl``: a line of JSON for each logged step and each epoch.

Everything that depends on the machine's speed stands under ``"timing"``; the rest of a run's log is
the same whether or not the run was interrupted, since a resume cuts the log back to its checkpoint.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.runs import storage_errors, sync_folder
from zoo.training import Callback, FitResult, Progress

if TYPE_CHECKING:
    from zoo.training import Trainer


class JsonLines(Callback):
    """Writes ``metrics.jsonl``.

    A line is an object with ``event`` ("step", "epoch" or "message"), ``step``, ``epoch``,
    ``images``, ``learning_rate``, the metrics by name (``"train/loss"``; null where one is not
    finite) or the ``message``, and ``timing``.  ``pandas.read_json(path, lines=True)`` reads it.

    Args:
        path: of the file; it is made when training starts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bytes = 0
        self._descriptor: int | None = None
        self._clock = _Clock()

    def on_fit_start(self, trainer: Trainer) -> None:
        """Cut the log back to the checkpoint, or to nothing in a new run, and open it."""
        with storage_errors(self.path):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self.path, flags, 0o666)
            self._bytes = _whole_lines(self._descriptor, limit=self._bytes)
            os.ftruncate(self._descriptor, self._bytes)
            sync_folder(self.path.absolute().parent)
        self._clock.start(trainer.progress)

    def on_log(self, trainer: Trainer, progress: Progress, metrics: Mapping[str, float]) -> None:
        """Write the line of a step."""
        self._write("step", progress, _finite(metrics))

    def on_epoch_end(
        self, trainer: Trainer, progress: Progress, metrics: Mapping[str, float]
    ) -> None:
        """Write the line of an epoch."""
        self._write("epoch", progress, _finite(metrics))

    def on_message(self, trainer: Trainer, message: str) -> None:
        """Write the line of what a person should know."""
        self._write("message", trainer.progress, {"message": message})

    def on_fit_end(self, trainer: Trainer, result: FitResult) -> None:
        """Flush the log to the disk and close it."""
        self.close()

    def state_dict(self) -> dict[str, Any]:
        """The length of the log, which is on the disk before the checkpoint that names it."""
        if self._descriptor is not None:
            with storage_errors(self.path):
                os.fsync(self._descriptor)
        return {"bytes": self._bytes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember the length to cut back to."""
        self._bytes = int(state["bytes"])

    def close(self) -> None:
        """Flush and close; harmless when it is closed."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            try:
                with storage_errors(self.path):
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _write(self, event: str, progress: Progress, values: Mapping[str, Any]) -> None:
        if self._descriptor is None:
            raise RuntimeError("the log is closed: on_fit_start opens it")
        line = {
            "event": event,
            "step": progress.step,
            "epoch": progress.epoch,
            "images": progress.images,
            "learning_rate": progress.learning_rate,
            **values,
            "timing": self._clock.read(progress),
        }
        content = (json.dumps(line, allow_nan=False) + "\n").encode()
        with storage_errors(self.path, needed_bytes=len(content)):
            self._append(self._descriptor, content)
        self._bytes += len(content)

    def _append(self, descriptor: int, content: bytes) -> None:
        """Write a whole line at the known end; a part of one is cut off again."""
        try:
            rest = memoryview(content)
            while rest:
                end = self._bytes + len(content) - len(rest)
                rest = rest[os.pwrite(descriptor, rest, end) :]
        except OSError:
            os.ftruncate(descriptor, self._bytes)
            raise


class _Clock:
    """Time of training, and images per second since the last line."""

    def __init__(self) -> None:
        self._images, self._elapsed_s = 0, 0.0

    def start(self, progress: Progress) -> None:
        self._images, self._elapsed_s = progress.images, progress.elapsed_s

    def read(self, progress: Progress) -> dict[str, float]:
        images, seconds = progress.images - self._images, progress.elapsed_s - self._elapsed_s
        self.start(progress)
        rate = {"images_per_s": round(images / seconds, 1)} if images and seconds > 0 else {}
        return {"elapsed_s": round(progress.elapsed_s, 3), **rate}


def _whole_lines(descriptor: int, *, limit: int) -> int:
    """The length of the whole lines in the first ``limit`` bytes of a file."""
    length = min(limit, os.fstat(descriptor).st_size)
    while length > 0:
        start = max(0, length - 4096)
        newline = os.pread(descriptor, length - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        length = start
    return 0


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: float(of) if math.isfinite(of) else None for name, of in metrics.items()}
