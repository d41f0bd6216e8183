"""Scenes of digits: the same ones on every machine, with masks that are exact."""

import pytest
import torch

from zoo.data.builtin import digit_boxes, digit_scenes
from zoo.data.datasets import Resident, ResidentBoxes
from zoo.structures import IGNORED


def scenes(**options: int) -> dict[str, Resident]:
    splits = digit_scenes(**options)
    assert all(isinstance(split, Resident) for split in splits.values())
    return dict(splits)  # type: ignore[arg-type]


def test_the_default_scenes_are_always_the_same() -> None:
    splits = scenes(train=20, val=10)

    assert {name: split.fingerprint()[:16] for name, split in splits.items()} == {
        "train": "259987b9dc090ce7",
        "val": "1df3e32d8e6dc757",
    }


def test_a_scene_depends_on_its_index_and_not_on_their_number() -> None:
    few, many = scenes(train=5, val=1)["train"], scenes(train=9, val=1)["train"]

    assert torch.equal(few.images, many.images[:5])


def test_another_seed_gives_other_scenes() -> None:
    first, second = (scenes(train=4, val=1, seed=seed)["train"] for seed in (0, 1))

    assert not torch.equal(first.images, second.images)


def test_every_class_occurs_and_nothing_is_ignored() -> None:
    masks = scenes(train=60, val=1)["train"].targets["masks"]

    assert masks.unique().tolist() == list(range(11))
    assert IGNORED not in masks


def test_digits_are_brighter_than_what_lies_behind_them() -> None:
    split = scenes(train=30, val=1)["train"]
    masks, images = split.targets["masks"], split.images[:, 0].float()

    assert images[masks > 0].mean() > images[masks == 0].mean() + 60


@pytest.mark.parametrize("size_px", [20, 40, 96])
def test_scenes_of_other_sizes_can_be_had(size_px: int) -> None:
    split = scenes(train=3, val=2, size_px=size_px)["val"]

    assert split.images.shape == (2, 1, size_px, size_px)
    assert split.targets["masks"].shape == (2, size_px, size_px)


# --- with boxes --------------------------------------------------------------------------------


def boxed(**options: int) -> dict[str, ResidentBoxes]:
    splits = digit_boxes(**options)
    assert all(isinstance(split, ResidentBoxes) for split in splits.values())
    return dict(splits)  # type: ignore[arg-type]


def test_scenes_with_boxes_are_always_the_same() -> None:
    splits = boxed(train=20, val=10)

    assert {name: split.fingerprint()[:16] for name, split in splits.items()} == {
        "train": "cd4ecd9c65c41f62",
        "val": "511800bcb73fcece",
    }
    assert splits["train"].classes == tuple("0123456789")


def test_scenes_with_boxes_show_what_scenes_with_masks_show() -> None:
    options = {"train": 8, "val": 1, "size_px": 64}

    masks, boxes = scenes(**options)["train"], boxed(**options)["train"]

    assert torch.equal(masks.images, boxes.images)


@pytest.mark.parametrize("index", range(12))
def test_boxes_hold_all_of_their_digits_and_nothing_more(index: int) -> None:
    options = {"train": 12, "val": 1, "size_px": 96}
    mask = scenes(**options)["train"].targets["masks"][index].int()
    targets = boxed(**options)["train"].load(index).targets
    boxes, labels = (torch.as_tensor(targets[name]) for name in ("boxes", "labels"))

    parts = [mask[y1:y2, x1:x2] for x1, y1, x2, y2 in boxes.int().tolist()]

    own = [part == 1 + label for part, label in zip(parts, labels.tolist(), strict=True)]
    assert all(of[0].any() and of[-1].any() and of[:, 0].any() and of[:, -1].any() for of in own)
    assert sum(int((part > 0).sum()) for part in parts) == int((mask > 0).sum())


def test_a_scene_comes_without_the_padding_of_its_batch() -> None:
    split = boxed(train=40, val=1)["train"]
    counts = (split.targets["labels"] >= 0).sum(1).tolist()

    found = [len(torch.as_tensor(split.load(index).targets["boxes"])) for index in range(40)]

    assert found == counts
    assert set(counts) <= {2, 3, 4, 5}
    assert split.targets["boxes"].shape == (40, 5, 4)
