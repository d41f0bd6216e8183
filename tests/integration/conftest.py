"""The command line in this process, and a folder of small photos to give it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from zoo.cli._main import run

COLOURS = {"blue": (20, 20, 220), "green": (20, 200, 20), "red": (220, 20, 20)}


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Zoo = Callable[..., Outcome]


@pytest.fixture
def zoo(capsys: pytest.CaptureFixture[str]) -> Zoo:
    """Run the words of a command line in this process."""

    def outcome(*words: object) -> Outcome:
        capsys.readouterr()
        code = run([str(word) for word in words])
        return Outcome(code, *capsys.readouterr())

    return outcome


MakePhotos = Callable[..., Path]


@pytest.fixture(scope="session")
def make_photos() -> MakePhotos:
    """Make class folders of noisy photos, by split (or none) and class."""

    def make(root: Path, *splits: str, classes: tuple[str, ...] = ("blue", "red"), count: int = 6):
        noise = random.Random(0)
        for split in splits or ("",):
            for name in classes:
                folder = root / split / name
                folder.mkdir(parents=True)
                for number in range(count):
                    size = (noise.randrange(16, 30), noise.randrange(16, 30))
                    image = Image.effect_noise(size, 60).convert("RGB")
                    image = Image.blend(image, Image.new("RGB", size, COLOURS[name]), 0.6)
                    image.save(folder / f"{number}{'.png' if number % 2 else '.jpg'}")
        return root

    return make
