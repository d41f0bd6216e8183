"""Metrics equal scikit-learn's, and any split into batches, in any order, gives the same value."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from torch import Tensor

from zoo.metrics import Accuracy, CalibrationError, ClassScores, ConfusionMatrix, Metric
from zoo.structures import Batch


def _names(count: int) -> tuple[str, ...]:
    return tuple(f"class {i}" for i in range(count))


def _batch(labels: Tensor) -> Batch:
    count = len(labels)
    images = torch.zeros(count, 1, 1, 1)
    sizes = torch.ones(count, 2, dtype=torch.int64)
    return Batch(images, sizes, torch.arange(count), {"labels": labels})


def _data(count: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=generator) * 2
    return logits, torch.randint(0, classes, (count,), generator=generator)


def _update_by_threes(metric: Metric, logits: Tensor, labels: Tensor, *, read: bool) -> None:
    for part, answers in zip(logits.split(3), labels.split(3), strict=True):
        metric.update(part, _batch(answers))
        if read:
            metric.over_ranks().compute()


def _fed(count: int) -> tuple[Tensor, Batch]:
    logits, labels = _data(count, 4)
    return logits, _batch(labels)


def _nasty(name: str) -> tuple[Tensor, Tensor]:
    logits, labels = _data(40, 5)
    changes: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
        "random": lambda: (logits, labels),
        "one image": lambda: (logits[:1], labels[:1]),
        "one class occurs": lambda: (logits, labels * 0 + 3),
        "never predicted": lambda: (logits.index_fill(1, torch.tensor([2]), -99.0), labels),
        "only predicted": lambda: (logits, labels.clamp(max=2)),
        "absent": lambda: (logits[:, :3], labels.clamp(max=2)),
        "always wrong": lambda: (-torch.nn.functional.one_hot(labels, 5).float(), labels),
        "always right": lambda: (torch.nn.functional.one_hot(labels, 5).float(), labels),
        "all equal": lambda: (logits * 0, labels),
        "bfloat16": lambda: (logits.bfloat16(), labels),
        "huge": lambda: (logits * 1e30, labels),
    }
    return changes[name]()


NASTY = [
    "random",
    "one image",
    "one class occurs",
    "never predicted",
    "only predicted",
    "absent",
    "always wrong",
    "always right",
    "all equal",
    "bfloat16",
    "huge",
]
MAKERS: list[Callable[..., Metric]] = [Accuracy, ClassScores, ConfusionMatrix, CalibrationError]


def _value(make: Callable[..., Metric], logits: Tensor, labels: Tensor, **options: Any) -> Any:
    metric = make(classes=_names(logits.shape[1]), **options)
    metric.update(logits, _batch(labels))
    return metric.compute()


@pytest.mark.parametrize("name", NASTY)
def test_top1_is_scikit_learns(name: str) -> None:
    logits, labels = _nasty(name)

    value = _value(Accuracy, logits, labels)

    assert value["top1"] == reference.accuracy_score(labels, logits.float().argmax(1))


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_top_k_is_scikit_learns(k: int) -> None:
    logits, labels = _data(200, 6)

    value = _value(Accuracy, logits, labels, top=(k,))

    expected = reference.top_k_accuracy_score(labels, logits, k=k, labels=range(6))
    assert value == {f"top{k}": pytest.approx(expected)}


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (1, {"top1"}),
        (2, {"top1"}),
        (3, {"top1", "top3"}),
        (5, {"top1", "top5"}),
        (1000, {"top1", "top5"}),
    ],
)
def test_k_is_capped_and_named_for_what_it_is(classes: int, names: set[str]) -> None:
    assert set(_value(Accuracy, *_data(4, classes))) == names


@pytest.mark.parametrize(("label", "top1", "top3"), [(0, 1.0, 1.0), (2, 0.0, 1.0), (3, 0.0, 0.0)])
def test_ties_go_to_the_class_that_is_listed_first(label: int, top1: float, top3: float) -> None:
    value = _value(Accuracy, torch.zeros(1, 4), torch.tensor([label]), top=(1, 3))

    assert value == {"top1": top1, "top3": top3}


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize("top", [(1,), (1, 5)])
@pytest.mark.parametrize("batches", [1, 63, 64, 65, 200])
def test_accuracy_counts_every_batch_once_however_often_it_is_read(
    batches: int, top: tuple[int, ...], read: bool
) -> None:
    logits, labels = _data(3 * batches, 7)
    metric = Accuracy(classes=_names(7), top=top)

    _update_by_threes(metric, logits, labels, read=read)

    assert metric.compute() == _value(Accuracy, logits, labels, top=top)
    assert int(metric.states["images"]) == 3 * batches


def test_accuracy_that_is_reset_forgets_batches_that_wait_to_be_counted() -> None:
    metric = Accuracy(classes=_names(4))
    metric.update(*_fed(8))

    metric.reset()
    metric.update(*_fed(5))

    assert int(metric.states["images"]) == 5


@pytest.mark.parametrize("bad", [(), (0,), (-1, 5)])
def test_a_k_that_is_no_count_is_refused(bad: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="positive"):
        Accuracy(classes=_names(3), top=bad)


@pytest.mark.parametrize("name", NASTY)
def test_macro_scores_are_scikit_learns(name: str) -> None:
    logits, labels = _nasty(name)

    value = _value(ClassScores, logits, labels)

    expected = reference.precision_recall_fscore_support(
        labels, logits.float().argmax(1), average="macro", zero_division=0
    )
    assert list(value.values()) == pytest.approx(expected[:3], rel=1e-12)


@pytest.mark.parametrize("name", NASTY)
def test_scores_of_each_class_are_scikit_learns(name: str) -> None:
    logits, labels = _nasty(name)
    metric = ClassScores(classes=_names(logits.shape[1]))

    metric.update(logits, _batch(labels))

    answers = logits.float().argmax(1)
    present = sorted(set(labels.tolist()) | set(answers.tolist()))
    rows = np.array([list(row.values()) for row in metric.per_class().values()]).T
    expected = reference.precision_recall_fscore_support(
        labels, answers, labels=present, zero_division=0
    )
    assert list(metric.per_class()) == [f"class {i}" for i in present]
    np.testing.assert_allclose(rows, np.array(expected), rtol=1e-12)


def test_classes_of_one_name_are_told_apart_by_their_labels() -> None:
    metric = ClassScores(classes=("crane", "cat", "crane"))

    metric.update(torch.eye(3), _batch(torch.tensor([0, 1, 1])))

    assert list(metric.per_class()) == ["crane (0)", "cat", "crane (2)"]
    assert metric.compute()["macro_recall"] == pytest.approx((1 + 0.5 + 0) / 3)


@pytest.mark.parametrize("name", NASTY)
def test_the_confusion_matrix_is_scikit_learns(name: str) -> None:
    logits, labels = _nasty(name)
    metric = ConfusionMatrix(classes=_names(logits.shape[1]))

    metric.update(logits, _batch(labels))

    classes = range(logits.shape[1])
    answers = logits.float().argmax(1)
    assert metric.matrix.dtype == torch.int64
    np.testing.assert_array_equal(
        metric.matrix, reference.confusion_matrix(labels, answers, labels=classes)
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NASTY)
def test_kappa_is_scikit_learns(name: str) -> None:
    logits, labels = _nasty(name)

    value = _value(ConfusionMatrix, logits, labels)

    expected = reference.cohen_kappa_score(labels, logits.float().argmax(1))
    assert value["cohen_kappa"] == pytest.approx(expected, rel=1e-12, nan_ok=True)


def _plain_ece(logits: Tensor, labels: Tensor, bins: int) -> float:
    """The formula of Guo 2017, one image at a time."""
    top, answers = logits.double().softmax(1).max(1)
    error = 0.0
    for low in range(bins):
        inside = (top > low / bins) & (top <= (low + 1) / bins)
        hits = float((answers == labels)[inside].sum())
        error += abs(hits - float(top[inside].sum()))
    return error / len(labels)


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("name", ["random", "one image", "always wrong", "bfloat16", "huge"])
def test_the_calibration_error_is_the_formulas(name: str, bins: int) -> None:
    logits, labels = _nasty(name)

    value = _value(CalibrationError, logits, labels, bins=bins)

    assert value["ece"] == pytest.approx(_plain_ece(logits, labels, bins), abs=1e-6)


def test_a_score_on_the_edge_belongs_to_the_bin_below() -> None:
    metric = CalibrationError(classes=_names(2), bins=2)

    metric.update(torch.zeros(1, 2), _batch(torch.tensor([0])))

    assert metric.states["images"].tolist() == [1, 0]


def test_a_network_of_sigmoids_is_scored_by_sigmoids() -> None:
    logits = torch.tensor([[0.0, -9.0]])

    value = _value(CalibrationError, logits, torch.tensor([0]), scores="sigmoid")

    assert value["ece"] == 0.5


def test_perfect_confidence_is_perfectly_calibrated() -> None:
    logits = torch.tensor([[99.0, -99.0], [-99.0, 99.0]])

    assert _value(CalibrationError, logits, torch.tensor([0, 1])) == {"ece": 0.0}


@pytest.mark.parametrize("make", MAKERS)
def test_nothing_counted_is_not_a_number(make: Callable[..., Metric]) -> None:
    assert all(math.isnan(value) for value in make(classes=_names(3)).compute().values())


@pytest.mark.parametrize("make", MAKERS)
def test_logits_that_are_no_numbers_break_nothing(make: Callable[..., Metric]) -> None:
    logits, labels = _data(6, 4)
    logits[0] = torch.nan
    logits[1, 2] = torch.nan
    logits[2] = torch.inf

    values = _value(make, logits, labels).values()

    assert all(math.isfinite(value) for value in values)


def _batches(sizes: Sequence[int], order: Sequence[int]) -> list[Tensor]:
    pieces = torch.tensor(order).split(list(sizes))
    return [piece for piece in pieces if len(piece)]


@st.composite
def _splits(draw: st.DrawFn) -> list[Tensor]:
    """Any order of 23 images, cut anywhere."""
    order = draw(st.permutations(range(23)))
    cuts = sorted(draw(st.lists(st.integers(0, 23), max_size=6)))
    sizes = np.diff([0, *cuts, 23]).tolist()
    return _batches(sizes, order)


@pytest.mark.parametrize("make", MAKERS)
@settings(max_examples=40)
@given(split=_splits(), ranks=st.integers(1, 4))
def test_any_split_in_any_order_gives_the_same_value(
    make: Callable[..., Metric], split: list[Tensor], ranks: int
) -> None:
    logits, labels = _data(23, 6)
    parts = [make(classes=_names(6)) for _ in range(ranks)]

    for number, rows in enumerate(split):
        parts[number % ranks].update(logits[rows], _batch(labels[rows]))
    for part in parts[1:]:
        parts[0].merge(part)

    assert parts[0].compute() == _value(make, logits, labels)


@pytest.mark.parametrize("make", MAKERS)
def test_sums_are_integers(make: Callable[..., Metric]) -> None:
    metric = make(classes=_names(3))

    metric.update(*_update(3))

    assert {state.dtype for state in metric.states.values()} == {torch.int64}


@pytest.mark.parametrize("make", MAKERS)
def test_reset_forgets_everything(make: Callable[..., Metric]) -> None:
    metric = make(classes=_names(3))
    metric.update(*_update(3))

    metric.reset()
    metric.update(*_update(3))

    assert metric.compute() == _value(make, *_data(8, 3))


def _update(classes: int) -> tuple[Tensor, Batch]:
    logits, labels = _data(8, classes)
    return logits, _batch(labels)


class _Waiting(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes every operation that would wait for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        waits = any(word in name for word in ("_local_scalar_dense", "nonzero", "bincount"))
        self.waits += [name] * waits
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("make", MAKERS)
def test_an_update_never_waits_for_the_device(make: Callable[..., Metric]) -> None:
    metric = make(classes=_names(6))
    logits, labels = _data(8, 6)
    batch = _batch(labels)

    with _Waiting() as seen:
        metric.update(logits, batch)

    assert seen.waits == []


def test_a_label_beyond_the_classes_is_an_error_not_a_count() -> None:
    with warnings.catch_warnings(), pytest.raises((IndexError, RuntimeError)):
        _value(ClassScores, torch.zeros(1, 3), torch.tensor([3]))
