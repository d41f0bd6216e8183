"""What can go wrong, as a tree; the exit code of each branch is what the command line returns.

    ZooError                      exit 1  the run failed
    ├── UsageError                exit 2  what the user asked for cannot be done
    │   ├── ConfigError                   a key, value or option of the run's description
    │   ├── UnknownNameError              a name that nobody registered, with near misses
    │   ├── PluginError                   a plugin that cannot be used
    │   ├── DataError                     a source, split, image or label that cannot be read
    │   ├── WeightsError                  weights that are missing, altered or do not fit
    │   └── RunFolderError                a run folder that is in use, not empty or not a run
    ├── PluginCodeError           exit 1  a plugin's code raised; names its distribution
    ├── ExportError               exit 1  a model that cannot be exported, or answers otherwise
    ├── CheckpointError           exit 1  no checkpoint that verifies
    ├── NonFiniteError            exit 1  a loss or gradient became NaN or infinite
    ├── DeviceMemoryError         exit 1  one image is too much for the memory of the device
    ├── StorageError              exit 74 a disk that is full, read-only or failing
    └── StoppedError              exit 75 stopped by a signal; the run can be resumed

Every message says the cause and the cure in a line or two.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class ZooError(Exception):
    """Root of everything that zoo raises on purpose.

    Args:
        cause: what is wrong, in a sentence that names the thing (path, option, value).
        cure: what to do about it, or nothing where the cause says it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, cause: str, cure: str = "") -> None:
        super().__init__(cause, cure)
        self.cause = cause
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.cause}\n{self.cure}" if self.cure else self.cause


class UsageError(ZooError):
    """What was asked for cannot be done as asked."""

    exit_code = 2


class ConfigError(UsageError):
    """A key or value of the run's description is unknown, ill-typed or contradictory."""


class UnknownNameError(UsageError):
    """A name that nobody registered.

    Args:
        kind: what was looked up, in the singular ("model", "dataset").
        name: what the user typed.
        known: the names that exist, for the did-you-mean.
        cure: replaces the default cure.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], cure: str = "") -> None:
        self.suggestions = did_you_mean(name, known)
        hint = f"Did you mean {' or '.join(self.suggestions)}? " if self.suggestions else ""
        super().__init__(f"unknown {kind} {name!r}", hint + cure)


class PluginError(UsageError):
    """A plugin that is not there, disabled, failed to load, or is asked for what it has not."""


class DataError(UsageError):
    """A data source, split, image or label that cannot be used; names the file."""


class WeightsError(UsageError):
    """Weights that are missing, altered, or do not fit the model."""


class RunFolderError(UsageError):
    """A run folder that is in use, not empty, or not a run."""


class PluginCodeError(ZooError):
    """The code of a plugin raised; names the plugin, its distribution and the line."""


class ExportError(ZooError):
    """A model that cannot be exported, or whose exported file does not answer as it does."""


class CheckpointError(ZooError):
    """No checkpoint in the run folder verifies."""


class NonFiniteError(ZooError):
    """A loss or gradient became NaN or infinite; names the step and its samples."""


class DeviceMemoryError(ZooError):
    """The memory of the device has run out, and smaller micro-batches cannot help."""


class StorageError(ZooError):
    """The disk is full, read-only or failing; names the path and the space needed."""

    exit_code = 74


class StoppedError(ZooError):
    """Stopped by a signal after saving; the run can be resumed."""

    exit_code = 75


def did_you_mean(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names nearest to a mistyped one, best first, case and ``-``/``_`` ignored.

    >>> did_you_mean("resent34", ["resnet18", "resnet34", "unet"])[0]
    'resnet34'
    """

    def plain(text: str) -> str:
        return text.lower().replace("_", "-")

    by_plain = {plain(candidate): candidate for candidate in known}
    near = difflib.get_close_matches(plain(name), by_plain, n=limit, cutoff=0.6)
    return [by_plain[match] for match in near]
