"""Train a few steps with the real trainer: in one go, and killed and resumed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.checkpoint import latest_checkpoint, load_checkpoint
from zoo.config import Layer, resolve
from zoo.data.loading import epoch_batches
from zoo.errors import StoppedError
from zoo.runs import RunFolder
from zoo.training import Callback, Destination, Trainer, TrainingData
from zoo_testkit._material import seeded

if TYPE_CHECKING:
    from zoo_testkit._model_case import ModelCase

STEPS, KILLED_AFTER = 4, 3
"""Of epochs of two steps: the kill comes within the second."""


def final_states(case: ModelCase, folder: Path) -> tuple[Mapping[str, Tensor], ...]:
    """The whole state after the last step of an unbroken run, and of one that was killed."""
    unbroken, broken = folder / "unbroken", folder / "broken"
    _train(case, case.fresh(), unbroken)
    with suppress(StoppedError):
        _train(case, case.fresh(), broken, Kill())
    _train(case, case.fresh(), broken)
    return tuple(
        load_checkpoint(run / "checkpoints" / f"step-{STEPS}").tensors for run in (unbroken, broken)
    )


class Kill(Callback):
    """Ends the run when it has saved its third step."""

    def on_checkpoint_saved(self, trainer: Trainer, path: Path) -> None:
        """Leave as if the process were gone."""
        if path.name == f"step-{KILLED_AFTER}":
            raise StoppedError("killed")


def _train(case: ModelCase, model: nn.Module, folder: Path, *callbacks: Callback) -> None:
    """Train to the last step; on from the newest checkpoint of the folder, if it has one."""
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    newest = latest_checkpoint(folder / "checkpoints", warn=lambda _: None)
    # A process that resumes begins with random generators of its own.
    with seeded(0 if newest is None else 1):
        trainer = _trainer(case, model, folder, *callbacks)
        if newest is not None:
            trainer.restore(newest)
        trainer.fit()


def _trainer(case: ModelCase, model: nn.Module, folder: Path, *callbacks: Callback) -> Trainer:
    batch_size, material = len(case.batch), case.trained_by
    images = min(2 * batch_size, len(material.source.splits["train"]))
    config = resolve(
        [
            Layer(
                "contract",
                {
                    "model": {"name": case.name},
                    "optimizer": {"learning_rate": 0.01, "momentum": 0.9},
                    "training": {"batch_size": batch_size, "max_steps": STEPS, "save_every": 1},
                    "machine": {"channels_last": False},
                },
            )
        ]
    ).config
    return Trainer(
        model,
        material.task,
        config=config,
        data=TrainingData(
            images=images,
            loader=material.loader("train"),
            plan=lambda epoch: epoch_batches(images, seed=0, epoch=epoch, batch_size=batch_size),
            transform=material.transforms("train").batch,
        ),
        device=torch.device("cpu"),
        destination=Destination(RunFolder(folder), lambda state, metrics: {}),  # noqa: ARG005
        callbacks=callbacks,
    )
