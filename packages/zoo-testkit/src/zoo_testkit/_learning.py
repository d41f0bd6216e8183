"""What a model promises to whoever trains it."""

from __future__ import annotations

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from zoo.models import freeze_parts
from zoo_testkit._contract import does_not_apply
from zoo_testkit._material import mean_loss, seeded
from zoo_testkit._model_case import ModelCase, difference
from zoo_testkit._resume import final_states

if TYPE_CHECKING:
    from zoo.structures import Batch


class LearningTests:
    """Gradients, modes, frozen parts, a falling loss and an exact resume."""

    def test_loss_is_finite_and_its_gradient_reaches_every_tensor(self, case: ModelCase) -> None:
        """A parameter without a gradient never learns, and a run with several GPUs waits for it."""
        model = case.fresh().train()

        loss = backward(case, model, case.batch)

        unreached, broken = faults_of_gradients(model)
        assert loss.isfinite(), f"the loss is {loss.item()}"
        assert not unreached, f"no gradient reaches {', '.join(unreached)}"
        assert not broken, f"the gradient of {', '.join(broken)} is not finite"

    def test_training_mode_differs_only_as_it_may(self, case: ModelCase) -> None:
        """Norms, dropout and stochastic depth apart, both modes compute the same.

        Other classes of modules that may differ are named in ``differs_in_training``.
        """
        model = case.fresh().train()
        steady(model, case.settings.differs_in_training)

        with torch.no_grad():
            answers = case.call(model)

        apart = difference(answers, case.answers)
        assert apart <= case.settings.tolerance, f"answers differ by {apart:.2g} of their size"

    def test_frozen_parts_do_not_move(self, case: ModelCase) -> None:
        """One step with a frozen backbone: its parameters and buffers keep their bits."""
        model = case.fresh().train()
        part = _frozen_part(model)
        freeze_parts(model, [part])
        learning = [p for p in model.parameters() if p.requires_grad]
        if not learning:
            does_not_apply("nothing is left to learn beside the frozen part")
        before = copy.deepcopy(model.state_dict())

        model.train()
        backward(case, model, case.batch)
        torch.optim.SGD(learning, lr=0.1, momentum=0.9, weight_decay=0.1).step()

        moved = [n for n, value in model.state_dict().items() if not value.equal(before[n])]
        wrong = [name for name in moved if _belongs(name, part, model)]
        assert not wrong, f"{', '.join(wrong)} moved, although {part} is frozen"
        assert moved, "nothing moved"

    def test_training_lowers_the_loss(self, case: ModelCase) -> None:
        """By a twentieth, in a few steps on one batch with Adam."""
        settings = case.settings
        model = case.fresh().train()
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
        losses = [backward(case, model, case.batch).item()]
        goal = 0.95 * losses[0]

        while losses[-1] > goal and len(losses) <= settings.training_steps:
            optimizer.step()
            optimizer.zero_grad()
            losses.append(backward(case, model, case.batch).item())

        assert losses[-1] <= goal, (
            f"{settings.training_steps} steps on one batch:"
            f" the loss was {losses[0]:.4g} and is {losses[-1]:.4g}"
        )

    def test_a_resumed_run_is_exact(self, case: ModelCase) -> None:
        """Four steps equal three steps, a kill, a resume and one step: in every bit."""
        with TemporaryDirectory() as folder:
            unbroken, resumed = final_states(case, Path(folder))

        different = [n for n, value in unbroken.items() if not value.equal(resumed[n])]
        assert not different, (
            f"after a resume {len(different)} tensors are others, {different[0]} among them:"
            " the model keeps something that is not in its state dict"
        )


def backward(case: ModelCase, model: nn.Module, batch: Batch) -> Tensor:
    """The loss of a batch, after its backward pass."""
    material = case.trained_by
    with seeded():
        loss = mean_loss(material.task, model, batch)
    loss.backward()
    return loss.detach()


def faults_of_gradients(model: nn.Module) -> tuple[list[str], list[str]]:
    """The parameters that no gradient reaches, and those whose gradient is not finite."""
    learning = [(name, p.grad) for name, p in model.named_parameters() if p.requires_grad]
    unreached = [name for name, gradient in learning if gradient is None]
    broken = [name for name, g in learning if g is not None and not g.isfinite().all()]
    return unreached, broken


def steady(model: nn.Module, differing: tuple[str, ...]) -> nn.Module:
    """The model, with norms, dropout and the named classes in evaluation mode."""
    for module in model.modules():
        if _may_differ(module, differing):
            module.eval()
    return model


def _may_differ(module: nn.Module, named: tuple[str, ...]) -> bool:
    names = [kind.__name__ for kind in type(module).__mro__]
    drops = any(word in name.lower() for name in names for word in ("drop", "stochasticdepth"))
    return isinstance(module, _NormBase) or drops or any(name in named for name in names)


def _frozen_part(model: nn.Module) -> str:
    """The backbone where the model has one, else its first part with parameters."""
    if hasattr(model, "head_parts") or hasattr(model, "backbone"):
        return "backbone"
    return next(name.partition(".")[0] for name, _ in model.named_parameters())


def _belongs(name: str, part: str, model: nn.Module) -> bool:
    """Whether a parameter or buffer is of the part, as ``freeze_parts`` means it."""
    if part == "backbone" and not hasattr(model, "backbone"):
        return not any(name.startswith(f"{head}.") for head in model.head_parts)  # type: ignore[union-attr]
    return name == part or name.startswith(f"{part}.")
