"""What only a GPU can show: `pytest -m cuda`.  Some tests want two."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import zoo as library
from zoo.data.loading import Loader, epoch_batches
from zoo.models import build_model, fold_batch_norms
from zoo.structures import Sample

pytestmark = pytest.mark.cuda

CUDA = torch.device("cuda")
TWO_GPUS = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")


@pytest.fixture
def little_memory() -> Iterator[None]:
    """A GPU of which torch may take 768 MiB."""
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info(CUDA)
    torch.cuda.set_per_process_memory_fraction(768 * 2**20 / total, CUDA)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0, CUDA)
    torch.cuda.empty_cache()


def train(zoo, output: Path, *words: object) -> None:
    outcome = zoo("train", "resnet20", "--device", "cuda", "--output", output, *words)
    assert outcome.code == 0, outcome.err


def without_last_checkpoint(run: Path, copy: Path) -> Path:
    """The run as it was before its last checkpoint."""
    shutil.copytree(run, copy)
    newest = max((copy / "checkpoints").iterdir(), key=lambda at: int(at.name.partition("-")[2]))
    shutil.rmtree(newest)
    (copy / "result.json").unlink()
    return copy


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_run_learns_and_is_scored_and_used(zoo, tmp_path: Path, precision: str) -> None:
    train(zoo, tmp_path / "run", "--precision", precision)

    scored = library.evaluate(tmp_path / "run", device="cuda")

    assert scored.precision == precision
    assert scored.metrics["top1"] > 0.7
    assert library.load_run(tmp_path / "run", device="cuda")(torch.rand(1, 8, 8))["score"] > 0


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop"])
def test_a_deterministic_run_resumes_to_the_last_bit(
    zoo, tmp_path: Path, state_of: Callable[[Path], dict[str, Tensor]], optimizer: str
) -> None:
    words = ("--max-steps", 8, "--save-every", 4, "--deterministic", "--set")
    train(zoo, tmp_path / "run", *words, f"optimizer.name={optimizer}")
    cut = without_last_checkpoint(tmp_path / "run", tmp_path / "cut")

    outcome = zoo("train", "--resume", cut)

    assert outcome.code == 0, outcome.err
    torch.testing.assert_close(state_of(cut), state_of(tmp_path / "run"), rtol=0, atol=0)


@pytest.mark.parametrize(("began", "ends"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_run_goes_on_on_another_device(zoo, tmp_path: Path, began: str, ends: str) -> None:
    words = ("--max-steps", 8, "--save-every", 4, "--precision", "fp32", "--device", began)
    train(zoo, tmp_path / "run", *words)
    cut = without_last_checkpoint(tmp_path / "run", tmp_path / "cut")

    outcome = zoo("train", "--resume", cut, "--device", ends)

    assert outcome.code == 0, outcome.err


def test_a_step_for_which_memory_ends_is_taken_in_parts(
    zoo, tmp_path: Path, little_memory: None
) -> None:
    words = ("--image-size", 224, "--batch-size", 64, "--max-steps", 2, "--precision", "fp32")

    train(zoo, tmp_path / "run", *words)

    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["micro_batch_size"] in range(1, 64)


def test_a_diverging_run_stops_and_names_its_step(zoo, tmp_path: Path) -> None:
    words = ("--device", "cuda", "--learning-rate", 1e30, "--precision", "fp32")

    outcome = zoo("train", "resnet20", *words, "--output", tmp_path / "run")

    assert outcome.code == 1
    assert "the gradient became NaN or infinite at step" in outcome.err


def test_a_compiled_run_trains(zoo, tmp_path: Path) -> None:
    train(zoo, tmp_path / "run", "--compile", "--max-steps", 4)


def test_a_profile_has_the_kernels_of_the_gpu(zoo, tmp_path: Path) -> None:
    train(zoo, tmp_path / "run", "--profile", 3, "--max-steps", 20)

    trace = json.loads(gzip.decompress((tmp_path / "run/profile/trace.json.gz").read_bytes()))
    assert "kernel" in {event.get("cat") for event in trace["traceEvents"]}


def test_a_benchmark_knows_the_peak_and_the_memory(zoo) -> None:
    outcome = zoo("benchmark", "resnet20", "--device", "cuda", "--rounds", 1, "--train", "--json")

    assert outcome.code == 0, outcome.err
    speeds = json.loads(outcome.out)["speeds"]
    assert "fp16 channels-last" in {speed["variant"] for speed in speeds}
    assert min(speed["peak_fraction"] for speed in speeds) > 0
    assert min(speed["peak_memory_bytes"] for speed in speeds) > 0


@pytest.mark.parametrize(("name", "size_px"), [("resnet18", 224), ("resnet20", 32)])
def test_batch_norms_fold_where_float32_is_rounded(name: str, size_px: int) -> None:
    """Convolutions round to TF32; the copy must not be taken for a wrong one."""
    model = build_model(name, num_classes=10).to(CUDA, memory_format=torch.channels_last).eval()
    images = torch.rand(4, 3, size_px, size_px, device=CUDA)

    folded = fold_batch_norms(model, lambda either: either(images[:1]))

    assert folded is not model
    with torch.no_grad():
        torch.testing.assert_close(folded(images), model(images), rtol=1e-2, atol=1e-2)


class Numbers:
    """Images of one number each, large enough for their copy to take a while."""

    classes = ("even", "odd")

    def __len__(self) -> int:
        return 512

    def load(self, index: int) -> Sample:
        image = torch.full((3, 224, 224), index % 251, dtype=torch.uint8)
        return Sample(image, {"labels": index % 2})

    def describe(self, index: int) -> str:
        return str(index)

    def fingerprint(self) -> str:
        return ""


@pytest.mark.parametrize("workers", [0, 4])
def test_a_batch_is_whole_while_the_gpu_is_behind(workers: int) -> None:
    """Copies run beside what is computed, and memory goes from batch to batch."""
    loader = Loader(Numbers(), None, workers=workers, device=CUDA, cache="none")
    plan = epoch_batches(512, seed=0, epoch=0, batch_size=16)
    work = torch.randn(4096, 4096, device=CUDA)
    sums, wanted = [], [[key.index % 251 * 3 * 224 * 224 for key in keys] for keys in plan]

    for batch in loader.batches(plan):
        for _ in range(4):
            work = torch.nn.functional.normalize(work @ work)
        sums.append(batch.images.sum((1, 2, 3)))
    loader.close()

    assert [part.tolist() for part in sums] == wanted


@TWO_GPUS
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_two_gpus_train_as_one_run(tmp_path: Path, precision: str) -> None:
    words = (
        f"train resnet20 --gpus 2 --epochs 2 --precision {precision} --output {tmp_path / 'run'}"
    )

    done = subprocess.run([sys.executable, "-m", "zoo", *words.split()], check=False)

    assert done.returncode == 0
    assert json.loads((tmp_path / "run/result.json").read_text())["epochs"] == 2


@TWO_GPUS
def test_the_second_gpu_alone_is_used(zoo, tmp_path: Path) -> None:
    torch.cuda.reset_peak_memory_stats(0)
    before = torch.cuda.memory_allocated(0)

    train(zoo, tmp_path / "run", "--device", "cuda:1", "--max-steps", 4)

    assert torch.cuda.max_memory_allocated(0) == before
