"""What a task asks of a model's answer: an author hears what is wrong with it, not where it broke.

Shapes: b images, k classes.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from zoo.errors import PluginCodeError
from zoo.structures import DetectorOutput


def checked_logits(answer: object, images: Tensor, num_classes: int) -> Tensor:
    """The answer of a classifier, if it is logits (b, k).

    Raises:
        PluginCodeError: it is something else.
    """
    wanted = (len(images), num_classes)
    if not isinstance(answer, Tensor):
        raise _wrong(f"a {type(answer).__name__}", wanted)
    if answer.shape != wanted or not answer.is_floating_point():
        raise _wrong(
            f"{answer.dtype} of shape {tuple(answer.shape)}".removeprefix("torch."), wanted
        )
    return answer


def checked_output(answer: object, count: int, *, detect: bool) -> DetectorOutput:
    """The answer of a detector, if it is what ``zoo.structures.DetectorOutput`` describes.

    Args:
        answer: of the model.
        count: b, the images that it saw.
        detect: whether detections were asked for.

    Raises:
        PluginCodeError: it is something else.
    """
    cure = "See zoo.structures.DetectorOutput, and test the model by the kit's DetectorContract."
    if not isinstance(answer, DetectorOutput):
        raise PluginCodeError(
            f"the model answers with a {type(answer).__name__}, not a DetectorOutput", cure
        )
    found = answer.detections
    if not isinstance(found, Sequence) or (detect and len(found) != count):
        said = f"{len(found)}" if isinstance(found, Sequence) else repr(found)
        raise PluginCodeError(
            f"the detections of the model are {said}, and should be a list of one for each of"
            f" {count} images (empty where none are asked for)",
            cure,
        )
    return answer


def _wrong(what: str, wanted: tuple[int, ...]) -> PluginCodeError:
    return PluginCodeError(
        f"the model answers with {what}, not with floating-point logits of shape {wanted}",
        "Its forward(images) must return a tensor with a row for each image, and in it a number"
        " for each of its num_classes.",
    )
