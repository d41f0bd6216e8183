"""Handwritten digits, embedded: 1,797 grey 8x8 images, so that a first run needs no download.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, https://doi.org/10.24432/C50P49, as copied by scikit-learn.  See DIGITS.md.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import torch

from zoo.data.datasets import Resident, stratified_split

SPLIT_SEED = 0
VAL_FRACTION = 0.2


def digits() -> dict[str, Resident]:
    """The splits "train" (1,437) and "val" (360), stratified by class and always the same ones."""
    with files("zoo.data.builtin").joinpath("digits.npz").open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        images, labels = arrays["images"], arrays["labels"].astype(np.int64)
    train, val = stratified_split(labels, VAL_FRACTION, seed=SPLIT_SEED)
    classes = tuple("0123456789")
    return {
        split: Resident(
            name=f"digits {split}",
            images=torch.from_numpy(images[chosen][:, None]),
            targets={"labels": torch.from_numpy(labels[chosen])},
            classes=classes,
        )
        for split, chosen in (("train", train), ("val", val))
    }
