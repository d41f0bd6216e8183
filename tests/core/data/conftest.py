"""Small data sets of image files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def write_image() -> Callable[..., Path]:
    """Write a random image; the same number gives the same image."""

    def write(path: Path, number: int = 0, size: tuple[int, int] = (40, 30)) -> Path:
        width, height = size
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def photos(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    """Class folders without splits: 12 cats and 8 dogs, of several sizes."""
    root = tmp_path / "photos"
    for number in range(20):
        name = ("cat", "dog")[number >= 12]
        write_image(root / name / f"{number}.png", number, (30 + number, 50 - number))
    return root
