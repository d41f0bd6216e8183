"""One forward pass before anything is written: what cannot work fails there, and leaves nothing."""

from __future__ import annotations

from contextlib import closing, nullcontext

import torch
from torch import nn

from zoo.data.datasets import Source
from zoo.data.loading import Loader, epoch_batches
from zoo.errors import ConfigError, ZooError
from zoo.memory import is_out_of_memory, out_of_memory
from zoo.plugins import in_a_line, modules_of
from zoo.structures import Batch
from zoo.tasks import Task
from zoo.wording import counted
from zoo.workflows._plan import RunPlan

_IMAGES = 2


def rehearse(
    plan: RunPlan, source: Source, task: Task, model: nn.Module, device: torch.device
) -> Batch:
    """Give the model the first images of the training split; no weight or statistic changes.

    Returns:
        These images, as the model saw them.

    Raises:
        DataError: an image cannot be read, or has not the channels that the model wants.
        ConfigError: the model cannot take such images: they are too small, say.
        DeviceMemoryError: not even these fit.
        PluginCodeError: it fails on the images that its card says it takes.
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
            batch = transforms.batch(next(iter(loader.batches(keys[:1]))).to(device))
            task.step(model, batch)
            return batch
    except ZooError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        if isinstance(error, torch.AcceleratorError) and not is_out_of_memory(error):
            raise  # of the device, wherever the program happens to be
        if is_out_of_memory(error):
            raise out_of_memory(device, f"{_IMAGES} images", said=str(error)) from error
        raise _explain(plan, error) from error
    finally:
        model.train(learns)


def _explain(plan: RunPlan, error: Exception) -> ZooError:
    """Whether the images are at fault or the model.

    What torch refuses is about the images, as a rule (they are too small, say), unless they are
    just those that the card states; what the model itself raises is the model's.
    """
    size, channels, card = plan.input.size_px, plan.in_channels, plan.model_card
    images = f"images of {size} px and {counted(channels, 'channel')}"
    as_stated = (size, channels) == (card.input.size_px, card.input.channels)
    if as_stated or modules_of(error)[-1].partition(".")[0] == plan.model.package:
        return plan.model.failure(f"run on {images}", error)
    return ConfigError(
        f"{card.name} cannot learn from {images}: {in_a_line(error)}",
        f"Try another --image-size; its card states {card.input.size_px} px.",
    )
