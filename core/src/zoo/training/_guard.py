"""Keep NaN and infinity out of the weights, the optimizer, the average and the buffers."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.errors import NonFiniteError

_READ_EVERY = 50
"""Steps between readings of the flag where reading waits for the device."""


class NonFiniteGuard:
    """Gates each update by a flag that stays on the device.

    The flag is set by the first non-finite gradient norm and never cleared.  While it is set,
    fused optimizers skip their update on the device (the mechanism of torch's GradScaler), and
    the buffers that the forward pass has changed go back to their copy.  On the CPU, and for
    optimizers without that mechanism, the flag is read at each step, which there costs nothing
    or is said to cost.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, device: torch.device) -> None:
        self._optimizer = optimizer
        self._buffers = list(model.buffers())
        self._copies = [buffer.clone() for buffer in self._buffers]
        self._bad_step = torch.zeros((), dtype=torch.int64, device=device)
        self._recent: deque[tuple[int, tuple[int, ...]]] = deque(maxlen=_READ_EVERY + 1)
        gated = getattr(optimizer, "_step_supports_amp_scaling", False)
        self._read_every = _READ_EVERY if device.type == "cuda" and gated else 1

    def before_forward(self) -> None:
        """Copy the buffers."""
        if self._buffers:
            torch._foreach_copy_(self._copies, self._buffers)  # noqa: SLF001

    def before_update(self, norm: Tensor, step: int, ids: Sequence[int]) -> None:
        """Gate the update that follows.

        Args:
            norm: () gradient norm of the step.
            step: number of the step, from 1.
            ids: of the step's samples.

        Raises:
            NonFiniteError: where the flag is read at each step.
        """
        self._recent.append((step, tuple(ids)))
        if self._read_every == 1:
            if not torch.isfinite(norm):
                self.restore_buffers()
                self._bad_step.fill_(step)
                self.check()
            return
        bad = ~torch.isfinite(norm)
        first = torch.where((self._bad_step == 0) & bad, step, self._bad_step)
        self._bad_step.copy_(first)
        stop = self._bad_step > 0
        self._optimizer.found_inf = stop.float()  # type: ignore[attr-defined]
        self._optimizer.grad_scale = None  # type: ignore[attr-defined]
        for buffer, copy in zip(self._buffers, self._copies, strict=True):
            torch.where(stop, copy, buffer, out=buffer)
        if step % self._read_every == 0:
            self.check()

    def restore_buffers(self) -> None:
        """Undo what the forward pass did to the buffers."""
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._copies)  # noqa: SLF001

    def check(self) -> None:
        """Read the flag; before every checkpoint and at the end.

        Raises:
            NonFiniteError: naming the step and its samples.
        """
        bad_step = int(self._bad_step)
        if bad_step:
            ids = dict(self._recent).get(bad_step, ())
            listed = ", ".join(map(str, ids[:16])) + (", ..." if len(ids) > 16 else "")
            raise NonFiniteError(
                f"the gradient became NaN or infinite at step {bad_step}"
                f" (samples {listed} of the training split)",
                "The weights are those of the step before. Lower --learning-rate, set"
                " training.clip_norm, or look at these samples with `zoo data check`.",
            )
