"""The same work by torchvision, timm and Lightning, as their users write it by default.

That is: float32, no memory format asked for, ``torch.optim.SGD`` with momentum, and a loop that
does forward, backward and step.  torchvision's and timm's models come through their bridges, under
the name that the model has here; Lightning trains the model itself.  Losses are the task's.
"""

from __future__ import annotations

import importlib.util
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from zoo.errors import UsageError
from zoo.extras import import_extra
from zoo.models import build_model
from zoo.registry import Entry, Registry
from zoo.structures import Batch, loss_weights
from zoo.tasks import Task
from zoo.workflows._benchmark_model import INFERENCE, PLAIN, TRAINING, Bench
from zoo.workflows._benchmark_timing import Candidate, Steps, timed, wait_for

LIGHTNING = "lightning"
PEERS = {
    "torchvision": "zoo-torchvision",
    "timm": "'zoo-timm[timm]'",
    LIGHTNING: LIGHTNING,
}
"""What pip installs, by name of the peer."""


def check_peers(peers: Sequence[str], model: Entry, registry: Registry) -> None:
    """Refuse a peer that cannot do the work, before any is done.

    Raises:
        UsageError: nobody knows the peer, it is not installed, or it has no model of that name.
    """
    plugins = {plugin.name for plugin in registry.plugins if plugin.state == "loaded"}
    for peer in peers:
        if peer not in PEERS:
            raise UsageError(
                f"--against {peer}: there is no such peer", f"There are {', '.join(PEERS)}."
            )
        there = peer == LIGHTNING or peer in plugins
        if not there or importlib.util.find_spec(peer) is None:
            raise UsageError(f"--against {peer}: it is not installed", f"pip install {PEERS[peer]}")
        if peer != LIGHTNING:
            registry.get("model", f"{peer}:{model.card.name}")


def peer_candidates(
    peers: Sequence[str], bench: Bench, *, phase: str, registry: Registry
) -> list[Candidate]:
    """What each peer does of a phase; Lightning is a trainer, and only trains."""
    start: dict[str, Callable[[], Steps]] = {
        peer: partial(_bridged, f"{peer}:{bench.card.name}", phase, bench, registry)
        for peer in peers
        if peer != LIGHTNING
    }
    if LIGHTNING in peers and phase == TRAINING:
        start[LIGHTNING] = partial(_lightning, bench)
    return [
        Candidate(phase=phase, name=peer, start=begin, amount=len(bench.batch), precision="fp32")
        for peer, begin in start.items()
    ]


def _bridged(name: str, phase: str, bench: Bench, registry: Registry) -> Steps:
    """A peer's own model in the plainest of loops."""
    task, batch = bench.task, bench.batch
    model = build_model(
        name,
        num_classes=task.num_classes,
        in_channels=batch.images.shape[1],
        registry=registry,
    ).to(bench.device)
    if phase == INFERENCE:
        model.eval()

        def answer() -> None:
            with torch.inference_mode():
                task.step(model, batch)

        return timed(answer, bench.device)
    model.train()
    optimizer = _usual_optimizer(model)

    def learn() -> None:
        optimizer.zero_grad()
        _mean_loss(model, task, batch).backward()
        optimizer.step()

    return timed(learn, bench.device)


def _usual_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)


def _mean_loss(model: nn.Module, task: Task, batch: Batch) -> Tensor:
    losses = task.step(model, batch).losses
    weights = loss_weights(losses, task.loss_counts(batch))
    products = [loss.total * w for loss, w in zip(losses.values(), weights, strict=True)]
    return torch.stack(products).sum()


def _lightning(bench: Bench) -> Steps:
    """``Trainer.fit`` of the model, timed from its first batch to its end."""
    with _silenced():
        lightning = import_extra(
            LIGHTNING, library="Lightning", purpose="--against lightning", install=LIGHTNING
        )

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = bench.build(PLAIN, bench.device)

        def training_step(self, batch: Batch, _index: int) -> Tensor:
            return _mean_loss(self.model, bench.task, batch)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return _usual_optimizer(self.model)

        def transfer_batch_to_device(self, batch: Batch, *_: Any) -> Batch:
            return batch  # it is there

    class Clock(lightning.Callback):  # type: ignore[misc, name-defined]
        began = ended = 0.0

        def on_train_batch_start(self, *_: Any) -> None:
            self.began = self.began or time.perf_counter()

        def on_train_end(self, *_: Any) -> None:
            wait_for(bench.device)
            self.ended = time.perf_counter()

    module = Module()

    def steps(number: int) -> float:
        clock, batches = Clock(), cast(Dataset[Batch], [bench.batch] * number)
        with _silenced():
            trainer = lightning.Trainer(
                accelerator=bench.device.type,
                devices=[bench.device.index or 0] if bench.device.type == "cuda" else 1,
                max_epochs=1,
                callbacks=[clock],
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(module, train_dataloaders=DataLoader(batches, batch_size=None))
        return clock.ended - clock.began

    return steps


@contextmanager
def _silenced() -> Iterator[None]:
    """Without Lightning's advice."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
