"""What every model promises."""

from __future__ import annotations

from typing import ClassVar

from zoo_testkit._agreement import AgreementTests
from zoo_testkit._cards import CardContract
from zoo_testkit._learning import LearningTests
from zoo_testkit._structure import StructureTests


class ModelContract(AgreementTests, LearningTests, StructureTests, CardContract):
    """The whole contract of a model; one small member of a family stands for it.

    Batches come from the default data of the card's task, losses from the task.

    Attributes:
        tolerance: how far answers may be apart that should be equal, as a fraction of their size.
        bf16_tolerance: the same in bfloat16.
        differs_in_training: classes of modules that training mode may change, beside norms and
            what is called dropout or drop path.
        training_steps: within which the loss must fall by a twentieth.
        learning_rate: of these steps, with Adam.
    """

    largest_run: ClassVar[int | None] = None
    tolerance: ClassVar[float] = 1e-4
    bf16_tolerance: ClassVar[float] = 0.1
    differs_in_training: ClassVar[tuple[str, ...]] = ()
    training_steps: ClassVar[int] = 30
    learning_rate: ClassVar[float] = 1e-3
