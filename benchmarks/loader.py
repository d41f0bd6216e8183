"""How many images a core reads: JPEG files to random crops of 224 px, beside other ways.

    OMP_NUM_THREADS=1 python benchmarks/loader.py [--data FOLDER] [--rounds 9] [--json]

Without ``--data``, the images are drawn: 500 x 375 px, coloured clouds and noise, 4:2:0, 90 KB on
average, as ImageNet's are.  Each way reads every file from the disk (which holds it in memory after
the first round) and makes one crop of it, of 8 to 100 % of the area, on one thread:

torchvision          references/classification/presets.py with its default backend: Pillow, v1
                     transforms (RandomResizedCrop, RandomHorizontalFlip), ToTensor, Normalize.
torchvision v2       the same transforms of v2 on Pillow's image, to uint8; nothing is normalised.
torchcodec + v2      decode_jpeg, then those transforms on the tensor.
Pillow, draft        Image.draft and Image.resize(box=crop), to uint8.
OpenCV               imdecode, and resize with INTER_AREA.
zoo, Pillow          zoo's sample stage after Pillow's decoder.
zoo                  zoo's whole way to a uint8 crop: FileDataset.load and the sample stage.
zoo, packed          the same from ``zoo data pack --size 256``, as JPEG and as raw pixels.

The crops of all are uint8 but torchvision's first, which is normalised in float32.  zoo flips and
normalises whole batches on the device; what that costs is the line "batch stage", on this CPU.
Ways whose packages are not installed are left out.

In each round every way reads all images, in turn; times are those of the processor, so that other
work on the machine counts little.  The figure to keep is the ratio of the medians.
"""

# mypy: disable-error-code="no-untyped-call"

import argparse
import json
import math
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zoo.cards import IMAGENET_MEAN, IMAGENET_STD, InputSpec
from zoo.config import DataConfig
from zoo.data.datasets import Dataset
from zoo.data.loading import Loader
from zoo.data.packs import Packing
from zoo.data.sources import open_source
from zoo.data.transforms import image_transforms
from zoo.registry import default_registry
from zoo.structures import Sample, SampleKey
from zoo.workflows import pack_data

SIZE_PX = 224
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
BATCH_SIZE = 32
SPEC = InputSpec(size_px=SIZE_PX)
BATCH_STAGE = "batch stage"

Way = Callable[[int], object]
"""Reads one image, by its number."""


def draw_photos(folder: Path, number: int) -> None:
    """Files of 500 x 375 px with detail at every scale."""
    random_numbers = np.random.default_rng(0)
    for index in range(number):
        pixels = np.zeros((375, 500, 3))
        for level in range(8):
            cells = random_numbers.normal(size=(375 // 2**level + 2, 500 // 2**level + 2, 3))
            layers = [
                Image.fromarray(cells[..., channel].astype(np.float32)).resize(
                    (500, 375), Image.Resampling.BICUBIC
                )
                for channel in range(3)
            ]
            pixels += np.stack([np.asarray(layer) for layer in layers], -1) * 1.4**level
        pixels = np.clip(128 + pixels * 9, 0, 255).astype(np.uint8)
        path = folder / ("even", "odd")[index % 2] / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=92, subsampling="4:2:0")


def torchvision_ways(paths: list[Path]) -> Iterator[tuple[str, Way]]:
    """The reference preset, and the same on uint8."""
    from torchvision import transforms as v1
    from torchvision.transforms import v2

    preset = v1.Compose(
        [
            v1.RandomResizedCrop(SIZE_PX, scale=SCALE, ratio=RATIO),
            v1.RandomHorizontalFlip(),
            v1.ToTensor(),
            v1.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    crop = [v2.RandomResizedCrop(SIZE_PX, scale=SCALE, ratio=RATIO), v2.RandomHorizontalFlip()]
    on_pillow = v2.Compose([*crop, v2.PILToTensor()])
    yield "torchvision", lambda index: preset(_opened(paths[index]))
    yield "torchvision v2", lambda index: on_pillow(_opened(paths[index]))
    if find_spec("torchcodec"):
        decode = import_module("torchcodec.decoders").decode_jpeg
        on_tensors = v2.Compose(crop)
        yield "torchcodec + v2", lambda index: on_tensors(decode(paths[index].read_bytes()))


def pillow_way(paths: list[Path]) -> Iterator[tuple[str, Way]]:
    """Scaled decoding where the crop allows it, which it seldom does."""

    def read(index: int) -> Tensor:
        with Image.open(paths[index]) as image:
            left, top, right, bottom = _box(*image.size)
            scale = max(1, min((right - left) // SIZE_PX, (bottom - top) // SIZE_PX))
            before = image.width
            image.draft("RGB", (image.width // scale, image.height // scale))
            scaled = image.width / before
            box = (left * scaled, top * scaled, right * scaled, bottom * scaled)
            size = (SIZE_PX, SIZE_PX)
            crop = image.convert("RGB").resize(size, Image.Resampling.BILINEAR, box=box)
        return torch.from_numpy(np.array(crop))

    yield "Pillow, draft", read


def opencv_way(paths: list[Path]) -> Iterator[tuple[str, Way]]:
    """OpenCV's decoder and its resize, where it is installed."""
    if not find_spec("cv2"):
        return
    import cv2

    cv2.setNumThreads(1)

    def read(index: int) -> Tensor:
        content = np.frombuffer(paths[index].read_bytes(), np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB)
        assert image is not None
        left, top, right, bottom = _box(image.shape[1], image.shape[0])
        size = (SIZE_PX, SIZE_PX)
        crop = image[top:bottom, left:right]
        return torch.from_numpy(cv2.resize(crop, size, interpolation=cv2.INTER_AREA))

    yield "OpenCV", read


def zoo_ways(folder: Path, paths: list[Path]) -> Iterator[tuple[str, Way]]:
    """The loader's own functions."""
    transforms = image_transforms(
        train=True, spec=SPEC, seed=0, num_classes=2, scale=SCALE, ratio=RATIO, flip=0.5
    )
    stage = transforms.sample
    assert stage is not None

    def with_pillow(index: int) -> Tensor:
        pixels = torch.from_numpy(np.array(_opened(paths[index]))).permute(2, 0, 1)
        return stage(Sample(pixels, {}), SampleKey(0, index)).image

    files = _open_all(folder)
    yield "zoo, Pillow", with_pillow
    yield "zoo", partial(_crop, files, stage)
    formats: tuple[Literal["jpeg", "raw"], ...] = ("jpeg", "raw")
    for image_format in formats:
        pack = folder.with_name(image_format)
        pack_data(
            str(folder), pack, packing=Packing(image_format=image_format), message=lambda _: None
        )
        yield f"zoo, packed {image_format}", partial(_crop, _open_all(pack), stage)
    keys = [SampleKey(0, index) for index in range(min(BATCH_SIZE, len(files)))]
    batch = next(Loader(files, stage, workers=0, cache="none").batches([keys]))
    yield BATCH_STAGE, lambda index: None if index % len(keys) else transforms.batch(batch)


def measure(ways: dict[str, Way], images: int, rounds: int) -> dict[str, list[float]]:
    """Microseconds of a core for an image in each round, by way; a first round does not count."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, read in ways.items():
            start = time.process_time()
            for index in range(images):
                read(index)
            if turn:
                found[name].append(1e6 * (time.process_time() - start) / images)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="folder of class folders of JPEGs")
    parser.add_argument("--images", type=int, default=96, help="to draw, or to take of the folder")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true", dest="json_")
    given = parser.parse_args()
    torch.set_num_threads(1)
    random.seed(0)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "photos"
        if given.data is None:
            draw_photos(folder, given.images)
        else:
            _link_some(given.data, folder, given.images)
        paths = sorted(folder.rglob("*.*"))
        ways = dict(
            [
                *torchvision_ways(paths),
                *pillow_way(paths),
                *opencv_way(paths),
                *zoo_ways(folder, paths),
            ]
        )
        found = measure(ways, len(paths), given.rounds)
        size_bytes = statistics.mean(path.stat().st_size for path in paths)
    _print(found, len(paths), size_bytes, given.rounds, json_=given.json_)


def _print(
    found: dict[str, list[float]], images: int, size_bytes: float, rounds: int, *, json_: bool
) -> None:
    median = {name: statistics.median(times) for name, times in found.items()}
    base = median["torchvision"]
    about = {
        "images": images,
        "mean_bytes": round(size_bytes),
        "rounds": rounds,
        "load": os.getloadavg()[0],
        "machine": platform.platform(),
        "torch": torch.__version__,
        "median_us": median,
        "ratio": {name: base / us for name, us in median.items()},
        "best_ratio": {name: min(found["torchvision"]) / min(us) for name, us in found.items()},
    }
    if json_:
        print(json.dumps(about, indent=2))
        return
    print(
        f"{images} JPEGs of {size_bytes / 1000:.0f} kB, {rounds} rounds, load {about['load']:.1f}"
    )
    print("| way | median us | images/s | ratio | ratio of the best |\n|---|---|---|---|---|")
    for name, us in median.items():
        ratio, best = base / us, min(found["torchvision"]) / min(found[name])
        print(f"| {name} | {us:.0f} | {1e6 / us:,.0f} | {ratio:.2f} | {best:.2f} |")


def _opened(path: Path) -> Image.Image:
    """As torchvision's folders are read."""
    with path.open("rb") as file:
        return Image.open(file).convert("RGB")


def _crop(dataset: Dataset, stage: Callable[[Sample, SampleKey], Sample], index: int) -> Tensor:
    return stage(dataset.load(index), SampleKey(0, index)).image


def _open_all(folder: Path) -> Dataset:
    source = open_source(
        str(folder),
        registry=default_registry(),
        data=DataConfig(),
        message=lambda _: None,
        undivided=True,
    )
    (dataset,) = source.splits.values()
    return dataset


def _box(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a crop as ``RandomResizedCrop`` draws it."""
    while True:
        area = width * height * random.uniform(*SCALE)
        ratio = math.exp(random.uniform(*map(math.log, RATIO)))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            left, top = random.randint(0, width - across), random.randint(0, height - down)
            return left, top, left + across, top + down


def _link_some(data: Path, folder: Path, number: int) -> None:
    """Some JPEGs of class folders, evenly taken from all."""
    found = sorted(path for path in data.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    for index, path in enumerate(found[:: max(1, len(found) // number)][:number]):
        link = folder / ("even", "odd")[index % 2] / f"{index}.jpg"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.absolute())


if __name__ == "__main__":
    main()
