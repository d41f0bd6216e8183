"""TensorBoard event files, with the optional dependency ``zoo-core[tensorboard]``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UsageError
from zoo.extras import import_extra
from zoo.runs import storage_errors
from zoo.training import Callback, FitResult, Progress

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from zoo.training import Trainer


class TensorBoard(Callback):
    """Writes what ``metrics.jsonl`` has as curves; a resume hides what is trained again.

    Args:
        folder: where the event files go; default: ``tensorboard/`` in the run folder.  Show it
            with ``tensorboard --logdir FOLDER``.

    Raises:
        UsageError: tensorboard is not installed.
    """

    def __init__(self, *, folder: Path | None = None) -> None:
        import_extra(
            "tensorboard",
            library="TensorBoard",
            purpose="the callback tensorboard",
            install="zoo-core[tensorboard]",
        )
        self.folder = folder
        self._writer: SummaryWriter | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        """Open a new event file; of older ones, nothing after the restored step is shown."""
        from torch.utils.tensorboard import SummaryWriter

        if self.folder is None:
            if trainer.destination is None:
                raise UsageError("TensorBoard needs a folder", "Say TensorBoard(folder=...).")
            self.folder = trainer.destination.folder.path / "tensorboard"
        with storage_errors(self.folder):
            self._writer = SummaryWriter(
                str(self.folder), purge_step=trainer.progress.step + 1, flush_secs=10
            )

    def on_log(self, trainer: Trainer, progress: Progress, metrics: Mapping[str, float]) -> None:
        """Add a point to the curves of the training metrics within epochs."""
        curves = {f"step/{name}": value for name, value in metrics.items()}
        self._add({**curves, "learning_rate": progress.learning_rate}, progress)

    def on_epoch_end(
        self, trainer: Trainer, progress: Progress, metrics: Mapping[str, float]
    ) -> None:
        """Add a point to the curves by epoch."""
        self._add(metrics, progress)

    def on_fit_end(self, trainer: Trainer, result: FitResult) -> None:
        """Write what is pending and close."""
        self.close()

    def state_dict(self) -> dict[str, Any]:
        """Nothing to restore; what was logged so far goes to the disk with the checkpoint."""
        if self._writer is not None and self.folder is not None:
            with storage_errors(self.folder):
                self._writer.flush()
        return {}

    def close(self) -> None:
        """Write and close; harmless when it is closed."""
        writer, self._writer = self._writer, None
        if writer is not None and self.folder is not None:
            with storage_errors(self.folder):
                writer.close()

    def _add(self, metrics: Mapping[str, float], progress: Progress) -> None:
        if self._writer is None or self.folder is None:
            raise RuntimeError("the event file is closed: on_fit_start opens it")
        with storage_errors(self.folder):
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, progress.step)
