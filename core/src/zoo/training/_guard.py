"""Keep NaN and infinity out of the weights, the optimizer, the average and the buffers."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from zoo.errors import NonFiniteError
from zoo.structures import SampleKeys
from zoo.training._fused import Optimizer

_READ_EVERY = 50
"""Steps between readings of the flag where reading waits for the device."""


class NonFiniteGuard:
    """Gates each update by a flag that stays on the device.

    The flag is set by the first non-finite gradient norm and never cleared.  While it is set,
    fused optimizers skip their update on the device (the mechanism of torch's GradScaler), and
    the buffers that the forward pass has changed go back to their copy.  On the CPU, where
    nothing is queued, and for optimizers without that mechanism, it is read at each step.

    With fp16, an overflow is the scaler's to handle: it skips the step and lowers the scale.
    Only a scale below 1 means that the gradients themselves are at fault.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        scaler: torch.amp.GradScaler,
        device: torch.device,
    ) -> None:
        self._optimizer = optimizer
        self._scaler = scaler
        self._buffers = [_Buffers(alike) for alike in _by_type(model.buffers())]
        self._bad_step = torch.zeros((), dtype=torch.int64, device=device)
        self._recent: dict[int, SampleKeys] = {}
        gated = getattr(optimizer, "_step_supports_amp_scaling", False)
        self._read_every = _READ_EVERY if device.type == "cuda" and gated else 1

    def before_forward(self) -> None:
        """Copy the buffers."""
        for buffers in self._buffers:
            buffers.keep()

    def undo_forward(self) -> None:
        """Put the buffers back."""
        for buffers in self._buffers:
            buffers.put_back()

    def before_update(self, norm: Tensor, step: int, keys: SampleKeys) -> None:
        """Gate the update that follows.

        Args:
            norm: () gradient norm of the step, unscaled.
            step: number of the step, from 1.
            keys: of the step's samples on this process.

        Raises:
            NonFiniteError: where the flag is read at each step.
        """
        self._recent[step] = keys
        self._recent.pop(step - _READ_EVERY - 1, None)
        if self._scaler.is_enabled():
            self._restore_buffers_if(~torch.isfinite(norm))
        elif self._read_every > 1:
            self._gate_on_device(~torch.isfinite(norm), step)
        elif not math.isfinite(norm):
            self._restore_buffers_if(~torch.isfinite(norm))
            self._bad_step.fill_(step)
            self.check()
        if step % _READ_EVERY == 0:
            self.check()

    def _gate_on_device(self, bad: Tensor, step: int) -> None:
        first = bad & (self._bad_step == 0)
        self._bad_step.copy_(torch.where(first, step, self._bad_step))
        stop = self._bad_step > 0
        self._optimizer.found_inf = stop.float()  # type: ignore[attr-defined]
        self._optimizer.grad_scale = None  # type: ignore[attr-defined]
        self._restore_buffers_if(stop)

    def _restore_buffers_if(self, undo: Tensor) -> None:
        for buffers in self._buffers:
            buffers.put_back_if(undo)

    def check(self) -> None:
        """Read the flag; before every checkpoint and at the end.

        Raises:
            NonFiniteError: naming the step and its samples.
        """
        bad_step = int(self._bad_step)
        if self._scaler.is_enabled() and self._scaler.get_scale() < 1:
            bad_step = max(self._recent)
        if bad_step:
            indices = self._recent[bad_step].indices
            listed = ", ".join(map(str, indices[:16])) + (", ..." if len(indices) > 16 else "")
            raise NonFiniteError(
                f"the gradient became NaN or infinite at step {bad_step}"
                f" (samples {listed} of the training split)",
                "The weights are those of the step before. Lower --learning-rate, set"
                " training.clip_norm, or look at these samples with `zoo data check`.",
            )


class _Buffers:
    """Buffers of one type, and a copy of them.

    Copies are one tensor, with a view for each buffer, so that a GPU is given a handful of kernels
    at each step, not one for each of the hundred buffers of a ResNet.
    """

    def __init__(self, buffers: list[Tensor]) -> None:
        self._buffers = buffers
        lengths = [buffer.numel() for buffer in buffers]
        self._kept, self._now = (buffers[0].new_empty(sum(lengths)) for _ in range(2))
        self._kept_views, self._now_views = (
            [part.view(b.shape) for part, b in zip(flat.split(lengths), buffers, strict=True)]
            for flat in (self._kept, self._now)
        )

    def keep(self) -> None:
        torch._foreach_copy_(self._kept_views, self._buffers)

    def put_back(self) -> None:
        torch._foreach_copy_(self._buffers, self._kept_views)

    def put_back_if(self, undo: Tensor) -> None:
        torch._foreach_copy_(self._now_views, self._buffers)
        torch.where(undo, self._kept, self._now, out=self._now)
        torch._foreach_copy_(self._buffers, self._now_views)


def _by_type(buffers: Iterable[Tensor]) -> list[list[Tensor]]:
    groups: dict[torch.dtype, list[Tensor]] = {}
    for buffer in buffers:
        groups.setdefault(buffer.dtype, []).append(buffer)
    return list(groups.values())
