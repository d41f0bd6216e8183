"""Whether a file answers as the model does: on real images and random ones, in several batches.

The model's side is what an evaluation computes: the task's own transforms, and the model as it was
trained, with its batch norms.  The file gets the uint8 images alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from zoo.errors import ExportError
from zoo.structures import Batch, SampleKey, SampleKeys

if TYPE_CHECKING:
    from torch import nn

    from zoo.data.transforms import Transforms
    from zoo.exporting._formats import Graph
    from zoo.exporting._shape import InputShape
    from zoo.structures import Sample
    from zoo.tasks import Task

TOLERANCE = 1e-4
"""How far a file's answers may be from the model's, as a fraction of the largest answer.  Another
order of the same float32 sums is within 1e-5; a wrong preprocessing is beyond 1e-2."""
_RANDOM = 4
"""Random images at least, next to the real ones."""
_LARGE_PX, _FEW = 1 << 18, 3
"""Height times width above which fewer images are compared, so that their maps fit in memory."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How a file was compared with its model.

    Attributes:
        difference: the largest, as a fraction of the largest answer.
        tolerance: that was allowed.
        spread: how far the answers for two images are apart, in the same unit; where that is
            next to nothing, a small difference proves nothing.
        real_images, random_images: that were compared.
        shapes: of the batches.
    """

    difference: float
    tolerance: float
    spread: float
    real_images: int
    random_images: int
    shapes: Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Example:
    """Images, and what the model says of them.

    Attributes:
        images: (b, c, h, w) uint8.
        answers: (b, ...).
    """

    images: Tensor
    answers: Tensor


def answer_examples(
    model: nn.Module,
    task: Task,
    transforms: Transforms,
    shape: InputShape,
    samples: Sequence[Sample],
) -> list[Example]:
    """Batches of every kind that the graph will take, answered by the model itself."""
    with torch.no_grad():
        return [
            Example(images, task.deployed(model, _normalised(images, transforms)))
            for images in _batches(transforms, shape, samples)
        ]


def measure_parity(graph: Graph, examples: Sequence[Example], real_images: int) -> Parity:
    """Compare a file with the model.

    Raises:
        ExportError: it answers otherwise; says by how much.
    """
    with torch.no_grad():
        apart = [_apart(graph(each.images), each.answers) for each in examples]
    difference = float(torch.tensor(apart).max())  # NaN where one is, unlike Python's own
    if not difference <= TOLERANCE:  # NaN is no agreement
        raise ExportError(
            f"the exported graph does not answer as the model does: they differ by {difference:.2g}"
            f" of the largest answer, and {TOLERANCE:g} is allowed",
            "Nothing was written. Try the other --format; `zoo predict` is right.",
        )
    total = sum(len(each.images) for each in examples)
    return Parity(
        difference=difference,
        tolerance=TOLERANCE,
        spread=_spread([each.answers for each in examples]),
        real_images=min(real_images, total),
        random_images=total - min(real_images, total),
        shapes=[tuple(each.images.shape) for each in examples],
    )


def _apart(found: Tensor, wanted: Tensor) -> float:
    if found.shape != wanted.shape:
        return float("inf")
    if not bool(wanted.isfinite().all()):
        return float("nan")
    return float((found - wanted).abs().max() / _largest(wanted))


def _spread(answers: Sequence[Tensor]) -> float:
    """The largest difference between images whose answers have one shape."""
    like = [each for each in answers if each.shape[1:] == answers[0].shape[1:]]
    rows = torch.cat(like)
    return float((rows - rows[:1]).abs().max() / _largest(rows))


def _largest(answers: Tensor) -> Tensor:
    return answers.abs().max().clamp(min=torch.finfo(torch.float32).tiny)


def _batches(transforms: Transforms, shape: InputShape, samples: Sequence[Sample]) -> list[Tensor]:
    """Real images first, each size and batch size in turn; random ones fill up."""
    real = [_deployable(sample, index, transforms, shape) for index, sample in enumerate(samples)]
    sizes = shape.sizes()
    large = max(height * width for height, width in sizes) > _LARGE_PX
    counts = shape.batch_sizes(_FEW if large else len(real) + _RANDOM)
    counts = [counts[at % len(counts)] for at in range(max(len(counts), len(sizes)))]
    generator = torch.Generator().manual_seed(0)
    batches = []
    for at, count in enumerate(counts):
        size = sizes[at % len(sizes)]
        shown, real = real[:count], real[count:]
        noise = torch.randint(
            0, 256, (count - len(shown), shape.channels, *size), generator=generator
        )
        batches.append(torch.cat([*(_fitted(image, size) for image in shown), noise.byte()]))
    return batches


def _deployable(sample: Sample, index: int, transforms: Transforms, shape: InputShape) -> Tensor:
    """One image as whoever deploys the file prepares it, (1, c, h, w) uint8."""
    if transforms.sample is not None:
        sample = transforms.sample(sample, SampleKey(0, index))
    image = sample.image[None]
    if image.shape[1] != shape.channels:
        image = image[:, :1].expand(-1, shape.channels, -1, -1)
    return image


def _fitted(image: Tensor, size: tuple[int, int]) -> Tensor:
    if image.shape[-2:] == size:
        return image
    image = functional.interpolate(image.float(), size, mode="bilinear", antialias=True)
    return image.round().byte()


def _normalised(images: Tensor, transforms: Transforms) -> Tensor:
    """As an evaluation does it."""
    count = len(images)
    batch = Batch(
        images=images,
        sizes=torch.tensor(images.shape[-2:]).expand(count, 2),
        ids=torch.arange(count),
        targets={},
        keys=SampleKeys.of(SampleKey(0, index) for index in range(count)),
    )
    return transforms.batch(batch).images
