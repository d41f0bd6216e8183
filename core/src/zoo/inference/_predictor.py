"""A model with its preprocessing and class names, ready to call on images."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from zoo.data.decoding import decode_image
from zoo.devices import autocast
from zoo.errors import DataError
from zoo.inference._rounding import KeptRoundings
from zoo.memory import MicroBatchSize
from zoo.models import FOLDING_PAYS_FROM, fold_batch_norms
from zoo.proposals import propose, rgb_of, with_proposals
from zoo.structures import Batch, Sample, SampleKey, SampleKeys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zoo.inference._record import ModelRecord
    from zoo.proposals import Method, Proposer
    from zoo.tasks import Task

Question = Callable[[nn.Module, Batch], list[Any]]
"""Asks a model about each image of a batch: a task's ``predict``."""
ImageLike = str | Path | Image.Image | Tensor
"""A file, a Pillow image, or a tensor (c, h, w) of uint8 or of floats from 0 to 1."""

_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})


class Predictor:
    """Answers for images of any size, exactly as the model was evaluated.

    Args:
        model: with its weights, on ``device``; put in eval mode here.
        task: says what an answer is.
        record: what is known about the weights.
        device: where the model is.
        precision: "fp32", "bf16" or "fp16".
        open_proposer: what gives the proposals that the model wants, opened when the first image
            comes; None for a model that wants none.

    Attributes:
        model: for many images a copy of it answers, which does not follow later changes.  Below
            fp32, changes made through a weight's ``data`` are not followed either.
        transforms: the evaluation preprocessing of the weights, in both stages.
        micro_batch: how many images go through the model at once; fewer once memory ran out.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        record: ModelRecord,
        *,
        device: torch.device,
        precision: str = "fp32",
        open_proposer: Callable[[], Proposer] | None = None,
    ) -> None:
        self._open_proposer = open_proposer
        self.model = model.eval().requires_grad_(requires_grad=False)
        self._folded: nn.Module | None = None
        self._roundings = nullcontext() if precision == "fp32" else KeptRoundings(device)
        self.task = task
        self.record = record
        self.device = device
        self.precision = precision
        self.micro_batch = MicroBatchSize(device)
        self.transforms = task.transforms("val", record.input, seed=0, **record.transforms)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of the labels."""
        return self.record.classes

    def renamed(self, classes: tuple[str, ...]) -> Predictor:
        """The same with other names for its classes."""
        build: Callable[..., Task] = type(self.task)
        task = build(classes=classes, **self.task.options())
        record = replace(self.record, classes=classes)
        return self._again(task, record, self._open_proposer)

    def proposing(self, method: Method, open_proposer: Callable[[], Proposer]) -> Predictor:
        """The same with proposals by another method."""
        proposals = {**self.record.proposals, "method": method.to_json()}
        return self._again(self.task, replace(self.record, proposals=proposals), open_proposer)

    def _again(
        self, task: Task, record: ModelRecord, open_proposer: Callable[[], Proposer] | None
    ) -> Predictor:
        """The same model on the same device."""
        return Predictor(
            self.model,
            task,
            record,
            device=self.device,
            precision=self.precision,
            open_proposer=open_proposer,
        )

    @overload
    def __call__(self, images: ImageLike, *, batch_size: int = 32) -> Any: ...

    @overload
    def __call__(self, images: Sequence[ImageLike], *, batch_size: int = 32) -> list[Any]: ...

    def __call__(
        self, images: ImageLike | Sequence[ImageLike], *, batch_size: int = 32
    ) -> Any | list[Any]:
        """The task's answer for an image, or a list of them for several.

        Args:
            images: files, Pillow images or tensors; a tensor (b, c, h, w) is several.
            batch_size: images of a forward pass.

        Raises:
            DataError: naming the image that cannot be read.
        """
        if isinstance(images, Tensor) and images.ndim == 4:
            images = list(images)
        if isinstance(images, str | Path | Image.Image | Tensor):
            return self.answers([self.prepare(images)])[0]
        answers = []
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            prepared = [self.prepare(image) for image in batch]
            answers += self.answers(prepared, of=len(images))
        return answers

    def prepare(self, image: ImageLike) -> Sample:
        """Decode, resize and crop one image, for ``answers``."""
        sample = Sample(_to_tensor(image, self.record.input.channels), {})
        if self._proposer is not None:
            boxes, _ = propose(self._proposer, rgb_of(sample.image))
            sample = with_proposals(sample, boxes, self.record.proposals.get("limit"))
        if self.transforms.sample is not None:
            sample = self.transforms.sample(sample, SampleKey(0, 0))
        return sample

    @cached_property
    def _proposer(self) -> Proposer | None:
        return None if self._open_proposer is None else self._open_proposer()

    def answers(self, prepared: Sequence[Sample], *, of: int = 1) -> list[Any]:
        """The task's answers for images from ``prepare``; those of one size in one forward pass.

        Args:
            prepared: in order.
            of: how many images there are in all; for many a copy of the model answers whose batch
                norms are in its convolutions, and whose answers differ by roundings.

        Raises:
            DeviceMemoryError: there is no memory for a single image.
        """
        return self._ask(self.task.predict, prepared, fold=of >= FOLDING_PAYS_FROM)

    def ask(self, question: Question, prepared: Sequence[Sample]) -> list[Any]:
        """What a function of the model and a batch says of images from ``prepare``.

        Raises:
            DeviceMemoryError: there is no memory for a single image.
        """
        return self._ask(question, prepared, fold=False)

    def _ask(self, question: Question, prepared: Sequence[Sample], *, fold: bool) -> list[Any]:
        parts = self.micro_batch.run(
            lambda start, stop: self._ask_part(question, prepared[start:stop], fold=fold),
            len(prepared),
        )
        return [answer for part in parts for answer in part]

    def _ask_part(self, question: Question, prepared: Sequence[Sample], *, fold: bool) -> list[Any]:
        # Not inference_mode: the folded copy, made in here, is an ordinary model like the other.
        with torch.no_grad(), autocast(self.device, self.precision), self._roundings:
            # Images of several sizes come to one size only in the batch stage, if at all.
            parts = [self.transforms.batch(part.to(self.device)) for part in _batches(prepared)]
            batches = [_joined(list(group)) for _, group in groupby(parts, key=_shapes)]
            model = self._folded_by(batches[0]) if fold else self.model
            return [answer for batch in batches for answer in question(model, batch)]

    def _folded_by(self, batch: Batch) -> nn.Module:
        """The copy for many images, made on the first of them."""
        if self._folded is None:
            single = batch.rows(0, 1)
            self._folded = fold_batch_norms(
                self.model, lambda model: self.task.predict(model, single)
            )
        return self._folded


def _to_tensor(image: ImageLike, channels: int) -> Tensor:
    if isinstance(image, Tensor):
        return _check_tensor(image)
    if isinstance(image, Image.Image):
        return decode_image(_as_file(image), channels=channels)
    return decode_image(Path(image), channels=channels)


def _as_file(image: Image.Image) -> bytes:
    """The image as a lossless file, so that one decoder decides what every mode becomes."""
    upright = ImageOps.exif_transpose(image)
    buffer = io.BytesIO()
    if upright.mode in _PNG_MODES:
        upright.save(buffer, "PNG", compress_level=1)
    else:
        upright.save(buffer, "TIFF")
    return buffer.getvalue()


def _check_tensor(image: Tensor) -> Tensor:
    """uint8 as it is; floats from 0 to 1 on the scale of uint8, unrounded."""
    if image.ndim != 3 or image.shape[0] not in (1, 3, 4) or 0 in image.shape:
        raise DataError(
            f"a tensor of shape {tuple(image.shape)} is no image",
            "Give (channels, height, width) with 1, 3 or 4 channels.",
        )
    if image.dtype == torch.uint8:
        return image.cpu()
    if not image.is_floating_point():
        raise DataError(f"an image tensor of {image.dtype}", "Use uint8, or floats from 0 to 1.")
    image = image.float().cpu()
    if not bool(((image >= 0) & (image <= 1)).all()):
        raise DataError(
            f"an image tensor with values from {image.min():g} to {image.max():g}",
            "Use uint8, or floats from 0 to 1; normalisation is done here.",
        )
    return image * 255


def _batches(samples: Sequence[Sample]) -> Iterator[Batch]:
    """Neighbours of one dtype and of the same shapes as batches."""

    def alike_by(sample: Sample) -> tuple[Any, ...]:
        shapes = [torch.as_tensor(target).shape for target in sample.targets.values()]
        return sample.image.dtype, sample.image.shape, *shapes

    start = 0
    for _, group in groupby(samples, key=alike_by):
        alike = list(group)
        stack = torch.stack([sample.image for sample in alike])
        ids = torch.arange(start, start + len(stack))
        sizes = torch.tensor(stack.shape[-2:]).expand(len(stack), 2)
        targets = {
            name: torch.stack([torch.as_tensor(sample.targets[name]) for sample in alike])
            for name in alike[0].targets
        }
        keys = SampleKeys.of(SampleKey(0, int(index)) for index in ids)
        yield Batch(stack, sizes, ids, targets, keys)
        start += len(stack)


def _shapes(batch: Batch) -> list[torch.Size]:
    return [part.shape[1:] for part in (batch.images, *batch.targets.values())]


def _joined(parts: Sequence[Batch]) -> Batch:
    """One batch of several; what the transforms noted of each image comes along."""
    return Batch(
        images=torch.cat([part.images for part in parts]),
        sizes=torch.cat([part.sizes for part in parts]),
        ids=torch.cat([part.ids for part in parts]),
        targets={
            name: torch.cat([part.targets[name] for part in parts]) for name in parts[0].targets
        },
        keys=SampleKeys.of(key for part in parts for key in part.keys),
    )
