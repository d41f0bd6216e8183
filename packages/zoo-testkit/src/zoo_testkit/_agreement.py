"""However a model is saved, built again, laid out, rounded or compiled, it stays one model."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from zoo.devices import autocast
from zoo.exporting import trace
from zoo_testkit._material import seeded
from zoo_testkit._model_case import ModelCase, difference, tensors_in


class AgreementTests:
    """The same answers in evaluation, exactly or within the stated tolerance."""

    def test_evaluation_is_deterministic(self, case: ModelCase) -> None:
        """Two calls in a row give the same bits; nothing is drawn."""
        model = case.fresh().eval()
        call = case.call

        with torch.no_grad():
            first, second = (tensors_in(model(*call.args, **call.kwargs)) for _ in range(2))

        assert difference(second, first) == 0, "two calls in evaluation mode answer differently"

    def test_evaluation_changes_no_state(self, case: ModelCase) -> None:
        """No parameter and no buffer."""
        model = case.fresh().eval()
        before = _copy_of_state(model)

        with torch.no_grad():
            case.call(model)

        changed = _differences(model.state_dict(), before)
        assert not changed, f"{', '.join(changed)} changed in evaluation mode"

    def test_two_builds_with_one_seed_are_equal(self, case: ModelCase) -> None:
        """Fresh weights come from the global random generators alone."""
        first, second = case.build(seed=3), case.build(seed=3)

        different = _differences(second.state_dict(), first.state_dict())
        assert not different, f"{', '.join(different)} differ between builds with one seed"

    def test_saved_weights_load_and_are_equal(self, case: ModelCase) -> None:
        """A state dict through a file, into a model with other weights, strictly."""
        saved = case.fresh()
        other = case.build(seed=1)

        other.load_state_dict(load(save(_copy_of_state(saved))), strict=True)

        different = _differences(other.state_dict(), saved.state_dict())
        assert not different, f"{', '.join(different)} differ after loading"
        with torch.no_grad():
            answers = case.call(other.eval())
        assert difference(answers, case.answers) == 0, (
            "with the same state dict the answers differ: the model keeps something beside it"
        )

    def test_channels_last_agrees(self, case: ModelCase) -> None:
        """The memory format that training uses."""
        model = case.fresh().eval().to(memory_format=torch.channels_last)
        images = case.call.images.contiguous(memory_format=torch.channels_last)

        with torch.no_grad():
            answers = case.call.with_images(images)(model)

        _check_close(answers, case.answers, case.settings.tolerance)

    def test_bf16_autocast_agrees(self, case: ModelCase) -> None:
        """Convolutions and matrix products in bfloat16."""
        model = case.fresh().eval()

        with torch.no_grad(), autocast(torch.device("cpu"), "bf16"):
            answers = case.call(model)

        _check_close(answers, case.answers, case.settings.bf16_tolerance)

    def test_compiled_agrees(self, case: ModelCase) -> None:
        """``torch.compile``, with a backend that generates no code."""
        compiled: Any = torch.compile(case.fresh().eval(), backend="aot_eager")

        with torch.no_grad(), _quiet():
            answers = case.call(compiled)
        torch.compiler.reset()

        _check_close(answers, case.answers, case.settings.tolerance)

    def test_exported_agrees(self, case: ModelCase) -> None:
        """``torch.export`` gives a program with the same answers."""
        call = case.call

        with torch.no_grad(), seeded():
            program = trace(case.fresh().eval(), call.args, call.kwargs)
            answers = call(program.module())

        _check_close(answers, case.answers, case.settings.tolerance)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's compiler logs, thousands of lines for a test that fails."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _copy_of_state(model: nn.Module) -> dict[str, Tensor]:
    """Contiguous, and without memory that two names share."""
    return {name: value.detach().contiguous().clone() for name, value in model.state_dict().items()}


def _differences(found: dict[str, Tensor], expected: dict[str, Tensor]) -> list[str]:
    """The names whose tensors are not the same bits, or stand on one side only."""
    unequal = [n for n in found.keys() & expected.keys() if not found[n].equal(expected[n])]
    return sorted({*unequal, *(found.keys() ^ expected.keys())})


def _check_close(answers: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    apart = difference(answers, expected)
    assert apart <= tolerance, f"answers differ by {apart:.2g} of their size; allowed: {tolerance}"
