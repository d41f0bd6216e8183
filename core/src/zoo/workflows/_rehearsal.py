"""One forward pass before anything is written: what cannot work fails there, and leaves nothing."""

from __future__ import annotations

from contextlib import closing, nullcontext

import torch
from torch import nn

from zoo.data import Loader, Source, epoch_batches
from zoo.errors import ConfigError, ZooError
from zoo.tasks import Task
from zoo.workflows._plan import RunPlan

_IMAGES = 2


def rehearse(
    plan: RunPlan, source: Source, task: Task, model: nn.Module, device: torch.device
) -> None:
    """Give the model the first images of the training split; no weight or statistic changes.

    Raises:
        DataError: an image cannot be read, or has not the channels that the model wants.
        ConfigError: the model cannot take such images: they are too small, say.
    """
    split, seed = source.splits["train"], plan.config.training.seed
    transforms = task.transforms("train", plan.input, seed=seed, **plan.transforms)
    loader = Loader(split, transforms.sample, workers=0, cache="none", fill=transforms.fill)
    keys = epoch_batches(len(split), seed=seed, epoch=0, batch_size=_IMAGES)
    eager = torch.compiler.set_stance("force_eager") if plan.config.machine.compile else None
    learns = model.training
    model.eval()
    try:
        with closing(loader), torch.no_grad(), eager or nullcontext():
            for batch in loader.batches(keys[:1]):
                task.step(model, transforms.batch(batch.to(device)))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        if isinstance(error, ZooError):
            raise
        size, channels = plan.input.size_px, plan.in_channels
        raise ConfigError(
            f"{plan.model.card.name} cannot learn from images of {size} px and {channels}"
            f" channels: {str(error).splitlines()[0]}",
            "Try another --image-size.",
        ) from error
    finally:
        model.train(learns)
