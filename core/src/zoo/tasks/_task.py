"""The interface of a task: what a batch, a loss, a prediction, a score and a picture are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from zoo.cards import InputSpec
from zoo.data.datasets import Dataset
from zoo.data.transforms import Transforms
from zoo.errors import DataError
from zoo.metrics import Metric
from zoo.structures import Batch, Step

if TYPE_CHECKING:
    from PIL.Image import Image


class Task(ABC):
    """One purpose of a model.  The trainer knows tasks by this interface alone.

    A subclass's ``__init__(self, *, classes, **options)`` is the schema of the config section
    ``[task]``, and its ``transforms`` keywords are the schema of ``[transforms]``.
    """

    name: ClassVar[str]
    headline: ClassVar[str]
    """The metric that decides which weights are best, "val/top1"."""

    beside_headline: ClassVar[tuple[str, ...]] = ()
    """Metrics that a comparison of runs shows with the headline, without the split: "ap50"."""

    targets: ClassVar[tuple[str, ...]] = ()
    """The targets that it reads, by name: data without them are refused."""

    least_images: ClassVar[int] = 2
    """Images that each process needs in a training batch; mixing and the batch norm of single
    values need two."""

    deployed_output: ClassVar[str] = "output"
    """What the tensor of ``deployed`` is called in an exported file."""

    classes: tuple[str, ...]
    """Names, in the order of the labels; none where the targets are no classes."""

    @property
    def num_classes(self) -> int:
        """What the model's builder is told; default: the number of classes that users name."""
        return len(self.classes)

    @abstractmethod
    def step(self, model: nn.Module, batch: Batch) -> Step:
        """One forward pass: losses and predictions.  Works alike in train and eval mode.

        Args:
            model: called on ``batch.images``, already normalised floats of ``(b, c, h, w)``.
        """

    @abstractmethod
    def loss_counts(self, batch: Batch) -> dict[str, Tensor | float]:
        """The counts that ``step`` will give, from the targets alone, before any forward pass.

        A task whose losses depend on the model has one count for all of them, ``EVERY_LOSS``.
        """

    @abstractmethod
    def predict(self, model: nn.Module, batch: Batch) -> list[Any]:
        """One answer for each image, in the image's own pixels.

        An answer is what a script gets.  Where it is not what JSON, a line of text or a picture
        can hold as it is, ``as_json``, ``describe`` and ``pictures`` say what they show of it.
        """

    def deployed(self, model: nn.Module, images: Tensor) -> Tensor:
        """What an exported model answers, in one tensor: default, what the model itself says.

        It is traced by ``torch.export``, which takes functions of tensors alone.

        Args:
            images: (b, c, h, w), normalised.

        Returns:
            (b, ...), a row for each image that depends on no other image.

        Raises:
            UsageError: no one tensor can hold an answer of this task.
        """
        answer: Tensor = model(images)
        return answer

    @abstractmethod
    def transforms(self, split: str, spec: InputSpec, *, seed: int, **options: Any) -> Transforms:
        """What is done to a sample and to a batch of ``split`` ("train" or another).

        Args:
            spec: the input at the size and with the channels of this run.
            seed: of the run; with a sample's key it decides everything random.
            options: the config section ``[transforms]``.
        """

    @classmethod
    def transforms_schema(cls) -> Callable[..., Any]:
        """The function whose keywords are the options of ``transforms``."""
        return cls.transforms

    def options(self) -> Mapping[str, Any]:
        """The options that build this task again, for whoever uses the weights later."""
        return {}

    @abstractmethod
    def metrics(self, split: str) -> Mapping[str, Metric]:
        """Fresh metrics for a split: a few sums for "train", everything for the others."""

    @abstractmethod
    def draw(self, image: Image, prediction: Any) -> Image:
        """A picture of one answer of ``predict`` on its image."""

    def pictures(self, image: Image, prediction: Any) -> Mapping[str, Image]:
        """What is saved of one answer, by name; "picture" is what ``draw`` gives.

        The file of "picture" is named as the image is, any other has its name behind that:
        ``cat.png`` and ``cat-mask.png``.
        """
        return {"picture": self.draw(image, prediction)}

    def describe(self, prediction: Any) -> str:
        """One answer in a line of text, as the console prints it after the image's path."""
        return str(prediction)

    def as_json(self, prediction: Any) -> Mapping[str, Any]:
        """One answer in values that JSON can hold; default: the answer itself."""
        return prediction if isinstance(prediction, Mapping) else {"answer": prediction}

    def confusion_metric(self) -> Metric | None:
        """What counts the confusion matrix (``details``), where it is asked for and there is one.

        Default: there is none, or ``metrics`` count it anyway.
        """
        return None

    def check_targets(self, splits: Mapping[str, Dataset]) -> None:
        """See by the first image of each split that the data are for this task.

        Raises:
            DataError: they lack one of ``targets``.
        """
        for dataset in splits.values():
            missing = sorted(set(self.targets) - dataset.load(0).targets.keys())
            if missing:
                raise DataError(
                    f"{dataset.describe(0)} has no {' and no '.join(missing)}, which {self.name} is"
                    " learned from",
                    f"Use other data (`zoo list datasets --task {self.name}`), or name the"
                    " task of these data: --set task.name=NAME.",
                )

    def check_data(self, splits: Mapping[str, Dataset]) -> Sequence[str]:
        """What a user should know of the data before training (class counts, imbalance).

        Raises:
            DataError: where the data cannot serve this task.
        """
        return ()
