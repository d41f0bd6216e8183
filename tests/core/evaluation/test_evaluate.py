"""Evaluation is exact, counts every image once, and leaves the model as it was."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo import evaluation
from zoo.data.transforms import Transforms
from zoo.errors import DataError, ZooError
from zoo.evaluation import Plan, evaluate
from zoo.metrics import ClassScores, _metric
from zoo.structures import Batch, Sample, SampleKey, Step
from zoo.tasks import ClassificationTask

CPU = torch.device("cpu")
AS_IT_IS = Transforms(sample=None, batch=lambda batch: batch)


@dataclass
class Images:
    """A split in memory that gives its own batches."""

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...] = ("a", "b", "c")

    def __len__(self) -> int:
        return len(self.images)

    def load(self, index: int) -> Sample:
        return Sample(self.images[index], {"labels": int(self.labels[index])})

    def describe(self, index: int) -> str:
        return f"images[{index}]"

    def fingerprint(self) -> str:
        return ""

    def batches(self, plan: Plan) -> Iterator[Batch]:
        return map(self._batch, plan)

    def _batch(self, keys: Sequence[SampleKey]) -> Batch:
        ids = torch.tensor([key.index for key in keys])
        sizes = torch.full((len(keys), 2), 4)
        return Batch(self.images[ids], sizes, ids, {"labels": self.labels[ids]}, keys=tuple(keys))


def _images(count: int) -> Images:
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(count, 1, 4, 4, generator=generator)
    return Images(images, torch.randint(0, 3, (count,), generator=generator))


def _plan(count: int, batch_size: int) -> list[list[SampleKey]]:
    keys = [SampleKey(0, index) for index in range(count)]
    return [keys[start : start + batch_size] for start in range(0, count, batch_size)]


def _model() -> nn.Sequential:
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 3), nn.Dropout(0.5))
    generator = torch.Generator().manual_seed(0)
    nn.init.normal_(model[2].weight, generator=generator)
    nn.init.zeros_(model[2].bias)
    return model


def run(
    model: nn.Module, task: ClassificationTask, images: Images, plan: Plan, **options: Any
) -> dict[str, float]:
    settings = {"dataset": images, "transforms": AS_IT_IS, "device": CPU, **options}
    return evaluate(model, task, images, plan, **settings)


TASK = ClassificationTask(classes=("a", "b", "c"))


@pytest.mark.parametrize("batch_size", [1, 7, 64, 97])
@pytest.mark.parametrize("count", [1, 2, 5, 97, 101])
def test_the_values_are_those_of_the_whole_split(count: int, batch_size: int) -> None:
    model, images = _model(), _images(count)
    logits = model.eval()(images.images).detach()

    values = run(model, TASK, images, _plan(count, batch_size))

    whole = nn.functional.cross_entropy(logits, images.labels)
    assert values["loss"] == pytest.approx(float(whole), rel=1e-6)
    assert values["top1"] == float((logits.argmax(1) == images.labels).double().mean())
    assert values["top3"] == 1.0


def test_batch_sizes_and_order_change_no_metric() -> None:
    model, images = _model(), _images(64)

    one, seven = (run(model, TASK, images, _plan(64, size)) for size in (1, 7))
    backwards = run(model, TASK, images, _plan(64, 7)[::-1])

    assert one == pytest.approx(seven, rel=1e-6)
    assert backwards == seven


def test_every_module_goes_back_to_the_mode_it_was_in() -> None:
    model = _model().train()
    model[1].eval()  # a frozen batch norm

    run(model, TASK, _images(5), _plan(5, 2))

    assert [module.training for module in model.modules()] == [True, True, False, True, True]


def test_the_modes_go_back_after_a_failure_too() -> None:
    model = _model().train()

    with pytest.raises(RuntimeError):
        run(model, TASK, _images(5), [[SampleKey(0, 0)]], transforms=Transforms(None, _raise))

    assert all(module.training for module in model.modules())


def _raise(_: Batch) -> Batch:
    raise RuntimeError


def test_buffers_and_gradients_stay_as_they_were() -> None:
    model = _model().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    run(model, TASK, _images(5), _plan(5, 2))

    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (_plan(4, 2), r"4 of 5 images: images\[4\] 0 times"),
        ([*_plan(5, 2), [SampleKey(0, 1)]], r"6 of 5 images: images\[1\] 2 times"),
        ([*_plan(4, 2), [SampleKey(0, 1)]], r"images\[1\] 2 times, images\[4\] 0 times"),
        ([], "0 of 5 images"),
    ],
)
def test_an_image_missed_or_counted_twice_fails(plan: Plan, message: str) -> None:
    with pytest.raises(ZooError, match=message) as error:
        run(_model(), TASK, _images(5), plan)

    assert error.value.exit_code == 1


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(DataError, match="'val' holds no image"):
        run(_model(), TASK, _images(0), [])


def test_given_metrics_replace_the_tasks_and_hold_the_details_afterwards() -> None:
    scores = ClassScores(classes=TASK.classes)

    values = run(_model(), TASK, _images(20), _plan(20, 8), metrics={"scores": scores})

    assert set(values) == {"loss", "macro_precision", "macro_recall", "macro_f1"}
    assert sum(score["images"] for score in scores.per_class().values()) == 20


def test_progress_counts_images() -> None:
    heard: list[tuple[int, int]] = []

    run(_model(), TASK, _images(5), _plan(5, 2), progress=lambda *now: heard.append(now))

    assert heard == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_metrics_can_be_used_again_after_an_evaluation(precision: str) -> None:
    metrics = dict(TASK.metrics("val"))
    first = run(_model(), TASK, _images(9), _plan(9, 4), metrics=metrics, precision=precision)

    for metric in metrics.values():
        metric.reset()
    again = run(_model(), TASK, _images(9), _plan(9, 4), metrics=metrics, precision=precision)

    assert again == first


def test_a_model_that_cannot_say_a_loss_still_gives_metrics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = ClassificationTask(classes=("a", "b", "c"))
    monkeypatch.setattr(task, "step", lambda model, batch: Step({}, model(batch.images)))

    values = run(_model(), task, _images(9), _plan(9, 4))

    assert "loss" not in values
    assert "top1" in values


@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 97])
def test_uneven_shards_add_up_to_the_split(
    monkeypatch: pytest.MonkeyPatch, count: int, world: int
) -> None:
    ranks = Ranks(world)
    monkeypatch.setattr(evaluation, "sum_over_ranks", ranks.sum_over_ranks)
    monkeypatch.setattr(evaluation, "gather_objects", ranks.gather_objects)
    monkeypatch.setattr(_metric, "sum_over_ranks", ranks.sum_over_ranks)
    plan = _plan(count, 1)
    images = _images(count)

    shares = ranks.run(lambda rank: run(_model(), TASK, images, plan[rank::world]))

    monkeypatch.undo()
    whole = run(_model(), TASK, images, plan)
    assert shares == [shares[0]] * world
    assert shares[0] == pytest.approx(whole, rel=1e-12)


class Ranks:
    """Threads that stand for processes: each hears the sum of what all of them say."""

    def __init__(self, world: int) -> None:
        self._pool = ThreadPoolExecutor(world)
        self._world = world
        self._said: list[Any] = [None] * world
        self._meet = threading.Barrier(world, timeout=300)
        self._rank = threading.local()

    def run(self, share: Callable[[int], dict[str, float]]) -> list[dict[str, float]]:
        with self._pool as pool:
            return list(pool.map(partial(self._as_rank, share), range(self._world)))

    def gather_objects(self, value: object) -> list[Any]:
        self._said[self._rank.number] = value
        self._meet.wait()
        said = list(self._said)
        self._meet.wait()
        return said

    def sum_over_ranks(self, tensor: Tensor) -> Tensor:
        return torch.stack(self.gather_objects(tensor)).sum(0).to(tensor.dtype)

    def _as_rank(self, share: Callable[[int], dict[str, float]], rank: int) -> dict[str, float]:
        self._rank.number = rank
        return share(rank)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_folded_batch_norms_change_no_value_beyond_roundings(batch_size: int) -> None:
    seen: list[nn.Module] = []
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )
    model[1].running_var.uniform_(0.5, 2.0)
    model.register_forward_hook(lambda module, _x, _y: seen.append(module))

    images, plan = _images(64), _plan(64, batch_size)

    plain = run(model, TASK, images, plan)
    folded = run(model, TASK, images, plan, fold=True)

    assert folded == pytest.approx(plain, rel=1e-5)
    assert folded["top1"] == plain["top1"]
    assert {module is model for module in seen} == {True, False}
    assert seen[-1] is not model
