"""What every data set promises."""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from zoo.cards import DatasetCard, InputSpec, ModelCard
from zoo.data.datasets import Dataset, FileDataset
from zoo.data.sources import find_dataset, read_dataset
from zoo.errors import DataError
from zoo.structures import IGNORED
from zoo_testkit._contract import Case, Contract, does_not_apply
from zoo_testkit._material import gather_material, smallest_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from zoo.registry import Entry, Registry
    from zoo.structures import Sample

DTYPES = (torch.uint8, torch.uint16, torch.float32)


class DatasetCase(Case):
    """A data set under test."""

    @property
    def entry(self) -> Entry:
        """Its card and who it comes from; a path may stand behind its name."""
        return self._found[0]

    @cached_property
    def _found(self) -> tuple[Entry, Path | None]:
        return find_dataset(self.name, self.registry) or (super().entry, None)

    @property
    def card(self) -> DatasetCard:
        """Its card."""
        return cast("DatasetCard", self.entry.card)

    @cached_property
    def splits(self) -> Mapping[str, Dataset]:
        """What the factory gives."""
        return self.open()

    def open(self) -> Mapping[str, Dataset]:
        """Call the factory; data that are not on this machine end the test."""
        try:
            return read_dataset(self.entry, self.registry, path=self._found[1])
        except DataError as error:
            does_not_apply(f"the data are not here: {error.cause}")

    def samples(self) -> Iterator[tuple[str, Sample]]:
        """Where it comes from and the sample itself, for images all over each split."""
        for dataset in self.splits.values():
            for index in self.indices(dataset):
                yield dataset.describe(index), dataset.load(index)

    def indices(self, dataset: Dataset) -> list[int]:
        """The images of a split that are looked at, evenly spaced."""
        count = min(len(dataset), cast("type[DatasetContract]", self.contract).images)
        return [int(i) for i in np.linspace(0, len(dataset) - 1, count)]


class DatasetContract(Contract[DatasetCase]):
    """Splits that can be read again and again, and targets that fit the classes.

    Attributes:
        dataset: its name, or a pattern of full names; NAME:PATH where it reads what users have.
        images: of each split that are read.
    """

    kind = "dataset"
    case_class = DatasetCase

    dataset: ClassVar[str]
    images: ClassVar[int] = 50

    @classmethod
    def _matches(cls, registry: Registry, word: str) -> Sequence[str]:
        found = find_dataset(word, registry)
        if found is None or found[1] is None:
            return super()._matches(registry, word)
        return [f"{found[0].full_name}:{found[1]}"]

    def test_splits_are_there(self, case: DatasetCase) -> None:
        """One to learn from and one to score on, or one of files, of which zoo holds some out."""
        splits = case.splits

        assert all(len(dataset) for dataset in splits.values()), "a split is empty"
        if len(splits) == 1 and isinstance(next(iter(splits.values())), FileDataset):
            return
        assert splits.keys() <= {"train", "val", "test"}, f"unknown splits: {', '.join(splits)}"
        assert "train" in splits, "there is no train split"
        assert len(splits) > 1, "there is no val or test split"

    def test_classes_are_those_of_the_card(self, case: DatasetCase) -> None:
        """As many as the card says, each with a name of its own, the same in every split."""
        named = {split: dataset.classes for split, dataset in case.splits.items()}
        (classes, *others) = named.values()

        assert all(other == classes for other in others), "the splits have different classes"
        assert len(classes) == case.card.classes, (
            f"the card says {case.card.classes} classes; there are {len(classes)}"
        )
        assert len(set(classes)) == len(classes), "two classes have one name"

    def test_every_image_is_told_apart(self, case: DatasetCase) -> None:
        """No two images of all splits are described alike: none is there twice."""
        told = [
            dataset.describe(index)
            for dataset in case.splits.values()
            for index in range(len(dataset))
        ]

        assert len(set(told)) == len(told), f"{len(told) - len(set(told))} are described alike"

    def test_images_can_be_decoded(self, case: DatasetCase) -> None:
        """(c, h, w) of 8 or 16 bits or float32, with finite values."""
        for place, sample in case.samples():
            image = sample.image
            assert image.ndim == 3, f"{place} has the shape {tuple(image.shape)}"
            assert image.numel(), f"{place} has no pixels"
            assert image.dtype in DTYPES, f"{place} is {image.dtype}"
            assert image.float().isfinite().all(), f"{place} has NaN or infinity"

    def test_targets_are_in_range(self, case: DatasetCase) -> None:
        """Labels and mask values are indices of classes; other targets are finite."""
        classes = len(next(iter(case.splits.values())).classes)
        for place, sample in case.samples():
            for name, target in sample.targets.items():
                fault = _fault(name, torch.as_tensor(target), classes)
                assert not fault, f"{place}: {fault}"

    def test_reading_again_gives_the_same(self, case: DatasetCase) -> None:
        """The same pixels and targets, also from a data set that is opened anew."""
        for split, again in case.open().items():
            dataset = case.splits[split]
            for index in case.indices(dataset):
                first, second = dataset.load(index), again.load(index)
                assert _same(first, second), f"{dataset.describe(index)} is read differently"
            assert again.fingerprint() == dataset.fingerprint(), f"{split}: another fingerprint"

    def test_its_task_makes_batches_of_it(self, case: DatasetCase) -> None:
        """With the settings of the card, as a run reads them."""
        _ = case.splits
        material = gather_material(
            case.registry, case.card.task, spec=_input(case), dataset=case.name
        )
        batches = [material.batch(4, split=split) for split in ("train", "val")]

        for batch in batches:
            assert batch.images.shape[0] == len(batch.ids)
            assert batch.images.dtype == torch.float32
            assert batch.images.isfinite().all()
            assert min(float(count) for count in material.task.loss_counts(batch).values()) > 0

    def test_card_says_what_people_read(self, case: DatasetCase) -> None:
        """A summary of one line, and where the data come from."""
        card = case.card

        assert len(card.summary.splitlines()) == 1, "the summary is no line"
        assert card.source, "the card states no source"


def _input(case: DatasetCase) -> InputSpec:
    """The input of a small model of the task; that of photos where there is none."""
    entry = smallest_model(case.registry, case.card.task)
    return cast("ModelCard", entry.card).input if entry else InputSpec()


def _fault(name: str, target: Tensor, classes: int) -> str:
    if name not in ("labels", "masks"):
        return "" if target.float().isfinite().all() else f"{name} has NaN or infinity"
    values = target[target != IGNORED] if name == "masks" else target
    outside = (values < 0) | (values >= classes)
    return f"{name} of {values[outside][0]} for {classes} classes" if outside.any() else ""


def _same(first: Sample, second: Sample) -> bool:
    values = chain([(first.image, second.image)], _pairs(first.targets, second.targets))
    return all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in values)


def _pairs(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    return [(first[name], second[name]) for name in first]
