"""A step for which memory runs out is taken again in smaller micro-batches, as if anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.distributed import rank, world_size
from zoo.memory import MicroBatchSize, is_out_of_memory, out_of_memory
from zoo.training._fused import FusedOptimizer, Optimizer
from zoo.training._guard import NonFiniteGuard
from zoo.training._snapshot import random_tensors, restore_generators

T = TypeVar("T")

_SAME = "; batch size, learning rate and random numbers stay the same"
_NORM = ", but batch norm sees fewer images"


class StepMemory:
    """Takes steps in as few micro-batches as memory allows, and remembers how large they are.

    What a failed try leaves behind is taken back: gradients, buffers, random numbers.  The
    optimizer allocates before it updates anything, and metrics come after the update.  So the step
    is the one that a run with these micro-batches would have taken.

    Several processes exchange gradients within the backward pass, where one that has failed
    cannot be waited for: there the run ends, and says what to resume it with.

    Attributes:
        training: size of the micro-batches of a step.
        evaluation: the same for evaluations, which keep no activations.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        guard: NonFiniteGuard,
        scaler: torch.amp.GradScaler,
        *,
        device: torch.device,
        micro_batch_size: int | None,
        message: Callable[[str], None],
    ) -> None:
        self._optimizer, self._guard, self._scaler = optimizer, guard, scaler
        self._device = device
        self._is_updating = False
        has_norm = any(isinstance(module, _BatchNorm) for module in model.modules())
        note = _SAME + (_NORM if has_norm else "")
        self.training = MicroBatchSize(device, micro_batch_size, note=note, message=message)
        self.evaluation = MicroBatchSize(device, note=" in evaluations", message=message)

    def take(self, gradients: Callable[[], T], update: Callable[[], None], images: int) -> T:
        """One step on so many images; what ``gradients`` gives.

        Args:
            gradients: forward and backward passes in micro-batches of ``training``.
            update: of the weights by the gradients; must end with the optimizer's step.

        Raises:
            DeviceMemoryError: smaller micro-batches cannot help, or are no way out.
        """

        def attempt() -> T:
            self._is_updating = False
            result = gradients()
            self._is_updating = True
            update()
            return result

        if world_size() > 1:
            return self._together(attempt)
        generators = random_tensors(self._device)
        return self.training.fit(attempt, images, undo=partial(self._undo, generators))

    def _together(self, attempt: Callable[[], T]) -> T:
        """Without a second try."""
        try:
            return attempt()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            what = f"the images of process {rank()}"
            cure = "Resume with smaller parts: --resume RUN --set training.micro_batch_size=N"
            raise out_of_memory(self._device, what, said=str(error), cure=cure) from None

    def _undo(self, generators: Mapping[str, Tensor]) -> None:
        if self._is_updating and not isinstance(self._optimizer, FusedOptimizer):
            what = f"an update by {type(self._optimizer).__name__}, which may be half done"
            cure = "The last checkpoint is whole: resume with --set training.micro_batch_size=N"
            raise out_of_memory(self._device, what, cure=cure)
        self._optimizer.zero_grad()
        self._guard.undo_forward()
        restore_generators(generators, self._device)
        if self._scaler.is_enabled():
            # It refuses to unscale twice for one step, and has no public way to begin anew.
            self._scaler._per_optimizer_states.clear()  # noqa: SLF001

    def state_dict(self) -> dict[str, Any]:
        """How much fitted, as JSON values."""
        return {"training": self.training.images, "evaluation": self.evaluation.images}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Begin with what fitted, or less where the config says so now."""
        for name, size in (("training", self.training), ("evaluation", self.evaluation)):
            known = [images for images in (state.get(name), size.images) if images is not None]
            size.images = min(known, default=None)
