"""Images with boxes, and a proposer that notes whom it was asked about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from zoo.config import DataConfig
from zoo.data.datasets import Dataset
from zoo.data.sources import open_source
from zoo.plugins import load_plugins
from zoo.proposals import Method
from zoo.registry import Registry


class Quarters:
    """Proposes the image and its quarters; notes each image in a file that processes share."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def __call__(self, image: NDArray[np.uint8]) -> tuple[Any, Any]:
        with self.log.open("a") as file:
            file.write(f"{image.shape[1]}x{image.shape[0]}\n")
        height, width = image.shape[:2]
        y, x = height / 2, width / 2
        boxes = [[0, 0, x, y], [x, 0, width, y], [0, y, x, height], [x, y, width, height]]
        # One score is of the pixels, so that proposals of another image are told apart.
        return [*boxes, [0, 0, width, height]], [0.1, 0.2, 0.3, 0.4, float(image.mean()) + 1]

    def asked(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def quarters(tmp_path: Path) -> Quarters:
    return Quarters(tmp_path / "asked.txt")


@pytest.fixture
def method() -> Method:
    return Method(name="tiny:quarters", options={"depth": 1}, maker="zoo-tiny 1")


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., Dataset]:
    """Images of different sizes, each with one bright box, read from a CSV of boxes."""
    registry = Registry(load_plugins(found=()))

    def make(folder: str = "images", numbers: range = range(40), width: int = 30) -> Dataset:
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        lines = ["path,xmin,ymin,xmax,ymax,class"]
        for number in numbers:
            pixels = np.full((40 + number, width, 3), number, dtype=np.uint8)
            pixels[10:30, 5:25] = 250
            Image.fromarray(pixels).save(root / f"{number}.png")
            lines.append(f"{number}.png,5,10,25,30,bright")
        (root / "boxes.csv").write_text("\n".join(lines) + "\n")
        source = open_source(
            f"csv:{root / 'boxes.csv'}",
            registry=registry,
            data=DataConfig(),
            message=lambda _: None,
            undivided=True,
        )
        assert source.whole is not None
        return source.whole

    return make


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This test's own folder of proposals, empty."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "proposals"
