"""Batch norms folded into the convolutions before them, for weights that are finished.

In evaluation a batch norm is a scale and a shift for each channel, and the convolution before it
can make both: its filters times the scale, its bias times the scale plus the shift.  The norm,
which reads and writes a whole map, is then done away with.

Which norm follows which convolution, a stranger's model says in no form that a program could rely
on.  So one pass of it is watched: its modules by hooks, and every function of torch besides.  A
pair is folded where, at each call, the norm was given exactly what the convolution had just made,
and nobody else looked at that, kept it, or looked at the weights of either.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

Run = Callable[[nn.Module], object]
"""Runs a model on an example, as it will be run later."""

FOLDING_PAYS_FROM = 512
"""Images: folding takes as long as a few of them, and saves a twentieth of each."""

TOLERANCE, COARSE_TOLERANCE = 1e-4, 1e-2
"""How far an answer of the copy may be from the model's, relative to the largest value: on the
CPU, and on devices that round float32 by themselves (TF32).  A fold that is right is closer than
1e-6, or than such roundings; one that is wrong is further."""
_PATCH_PX = 32


def fold_batch_norms(model: nn.Module, run: Run) -> nn.Module:
    """A copy of the model in evaluation mode whose batch norms are in its convolutions.

    Frozen batch norms are folded like any other.  Parameters that stay as they are, the copy shares
    with the model.  Its answers differ from the model's by roundings, some 1e-6 of the largest.

    Args:
        model: in evaluation mode; left as it is.
        run: calls the model that it is given; it is used twice, without autocast.

    Returns:
        The model itself where there is nothing to fold, or something that does not hold: it fails
        on the example or cannot be copied, or the copy answers differently.
    """
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            return _fold(model, run)
    except Exception:  # noqa: BLE001 - of a stranger's code, which then fails where it is really run
        return model


def _fold(model: nn.Module, run: Run) -> nn.Module:
    watch, answers = _Watch(), []
    with watch.over(model), model.register_forward_hook(lambda _m, _x, y: answers.append(y)), watch:
        kept = run(model)
    pairs = watch.pairs()
    del kept
    if not pairs:
        return model
    tensors = [*model.parameters(), *model.buffers()]
    folded = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})
    twins = dict(zip(model.modules(), folded.modules(), strict=True))
    for pair in pairs:
        twin = _Pair(cast(nn.Conv2d, twins[pair.convolution]), twins[pair.norm], pair.patch)
        twin.fold()
        if not _close(pair.answer(), twin.answer()):
            return model
    return folded if _answers_like(folded, run, answers) else model


def _answers_like(folded: nn.Module, run: Run, answers: Sequence[object]) -> bool:
    """Whether it says the same, where that is tensors: boxes come and go by a rounding."""
    if not all(isinstance(answer, Tensor) for answer in answers):
        return True
    own: list[Tensor] = []
    with folded.register_forward_hook(lambda _m, _x, y: own.append(y)):
        run(folded)
    return all(
        _close(answer, other)  # type: ignore[arg-type]
        for answer, other in zip(answers, own, strict=True)
    )


def _close(wanted: Tensor, got: Tensor) -> bool:
    tolerance = TOLERANCE if wanted.device.type == "cpu" else COARSE_TOLERANCE
    return bool((got - wanted).abs().max() <= tolerance * wanted.abs().max())


@dataclass
class _Pair:
    """A convolution, the norm behind it, and a piece of what the convolution was given."""

    convolution: nn.Conv2d
    norm: nn.Module
    patch: Tensor

    def fold(self) -> None:
        """The norm's scale and shift into the convolution; the norm hands on what it is given.

        It stays where it is, since the model may refer to it in more ways than one.  What a norm
        does besides (timm's applies the activation) its own submodules do.
        """
        convolution, norm = self.convolution, self.norm
        weight, bias = fuse_conv_bn_weights(
            *(convolution.weight, convolution.bias),
            *(norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias),  # type: ignore[arg-type]
        )
        # Learnable in name only: autocast keeps the rounded copies of such weights from batch to
        # batch, and rounds others anew each time.
        convolution.weight, convolution.bias = nn.Parameter(weight), nn.Parameter(bias)
        norm.forward = nn.Sequential(*norm.children()).forward

    def answer(self) -> Tensor:
        """What comes out for the patch."""
        answer: Tensor = self.norm(self.convolution(self.patch))
        return answer


@dataclass
class _Claim:
    """Of a tensor: the module that it belongs to, and the one module that may read it."""

    owner: nn.Module
    reader: nn.Module | None


class _Watch(TorchFunctionMode):
    """Sees the modules and every function of torch in one pass of a model."""

    def __init__(self) -> None:
        super().__init__()
        self._claims = WeakIdKeyDictionary()
        self._running: list[nn.Module] = []
        self._calls: Counter[nn.Module] = Counter()
        self._norm_of: dict[nn.Module, nn.Module] = {}
        self._convolution_of: dict[nn.Module, nn.Module] = {}
        self._patches: dict[nn.Module, Tensor] = {}
        self._ruled_out: set[nn.Module] = set()

    def over(self, model: nn.Module) -> ExitStack:
        """Watch the model's convolutions and norms until the context ends."""
        hooks = ExitStack()
        for module in model.modules():
            is_convolution = _is_plain_convolution(module)
            if not is_convolution and not _is_norm(module):
                continue
            for tensor in (*module.parameters(False), *module.buffers(False)):
                self._claims[tensor] = _Claim(module, reader=module)
            before, after = (
                (self._before_convolution, self._after_convolution)
                if is_convolution
                else (self._before_norm, self._after_norm)
            )
            hooks.enter_context(module.register_forward_pre_hook(before))
            hooks.enter_context(module.register_forward_hook(after))
        return hooks

    def pairs(self) -> list[_Pair]:
        """Those that belong together and to nobody else; what the pass gave must still be there."""
        # An output that outlives the pass is one that somebody has kept, and may read later.
        self._ruled_out |= {c.owner for c in self._claims.values() if c.reader is not c.owner}
        return [
            _Pair(cast(nn.Conv2d, convolution), norm, self._patches[convolution])
            for convolution, norm in self._norm_of.items()
            if not self._ruled_out & {convolution, norm}
            and self._calls[convolution] == self._calls[norm]
        ]

    def __torch_function__(
        self, function: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        reader = self._running[-1] if self._running else None
        for tensor in _tensors_in((args, kwargs)):
            claim = self._claims.get(tensor)
            if claim is not None and claim.reader is not reader:
                self._ruled_out.add(claim.owner)
        return function(*args, **kwargs)

    def _before_convolution(self, convolution: nn.Module, _inputs: Any) -> None:
        self._running.append(convolution)

    def _after_convolution(self, convolution: nn.Module, inputs: Any, output: Tensor) -> None:
        self._running.pop()
        self._calls[convolution] += 1
        self._claims[output] = _Claim(convolution, reader=None)
        if convolution not in self._patches:
            self._patches[convolution] = inputs[0][:1, :, :_PATCH_PX, :_PATCH_PX].clone()

    def _before_norm(self, norm: nn.Module, inputs: Any) -> None:
        self._running.append(norm)
        claim = self._claims.get(inputs[0])
        if claim is None or claim.reader is not None:
            self._ruled_out.add(norm)
            return
        claim.reader, convolution = norm, claim.owner
        first = (
            self._norm_of.setdefault(convolution, norm),
            self._convolution_of.setdefault(norm, convolution),
        )
        if first != (norm, convolution):
            self._ruled_out |= {norm, convolution, *first}

    def _after_norm(self, norm: nn.Module, _inputs: Any, _output: Any) -> None:
        self._running.pop()
        self._calls[norm] += 1


def _is_plain_convolution(module: nn.Module) -> bool:
    """Whether its output is a function of weight and bias that is linear in both."""
    return type(module) is nn.Conv2d and not _is_altered(module)


def _is_norm(module: nn.Module) -> bool:
    """Whether it has a batch norm's statistics, of whatever class it is, and uses them."""
    statistics = (getattr(module, name, None) for name in ("running_mean", "running_var"))
    return (
        all(isinstance(of, Tensor) and of.ndim == 1 for of in statistics)
        and all(hasattr(module, name) for name in ("eps", "weight", "bias"))
        and not module.training
        and not _is_altered(module)
    )


def _is_altered(module: nn.Module) -> bool:
    """Whether somebody else has a hand in it."""
    hooks = (module._forward_hooks, module._forward_pre_hooks)  # noqa: SLF001 - no public way
    return any(hooks) or "forward" in vars(module)


def _tensors_in(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, dict):
        yield from _tensors_in(tuple(values.values()))
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from _tensors_in(value)
