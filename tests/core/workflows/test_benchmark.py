"""What ``zoo benchmark`` reports; how fast anything is, no test can say."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from zoo.cli._main import run
from zoo.registry import default_registry
from zoo.structures import Batch
from zoo.workflows import benchmark
from zoo.workflows._benchmark import Speed, _slower
from zoo.workflows._benchmark_model import PLAIN, Variant, _at_size, variants
from zoo.workflows._benchmark_timing import Candidate, take_turns
from zoo.workflows._peak_memory import peak_memory

CPU = torch.device("cpu")
PLUGIN = """
from zoo import InputSpec

def card(name, **options):
    return ModelCard(
        name=name, summary="one convolution", factory="zoo_bench:tiny", task="classification",
        num_params=378, gmacs=0.0, num_classes=10, input=InputSpec(size_px=8, resize_px=None),
        options=options, recipe="nothing",
    )

@hookimpl
def zoo_models():
    return [card("tiny"), card("hungry", hungry=True)]

@hookimpl
def zoo_recipes():
    return [RecipeCard(name="nothing", summary="", factory="builtins:dict", task="classification")]

def tiny(*, num_classes, in_channels=3, hungry=False):
    import torch
    from torch import nn

    class Hungry(nn.Module):
        def forward(self, images):
            raise torch.OutOfMemoryError("CUDA out of memory")

    return nn.Sequential(
        nn.Conv2d(in_channels, 4, 3, padding=1), nn.BatchNorm2d(4),
        Hungry() if hungry else nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes),
    )
"""
TRAINING = ["fp32", "fp32 channels-last", "bf16 channels-last"]
INFERENCE = [*TRAINING, "bf16 channels-last folded"]


@pytest.fixture(autouse=True)
def plugin(site, monkeypatch):
    site.install("zoo-bench", PLUGIN, name="bench")
    monkeypatch.setenv("ZOO_PLUGINS", "bench")
    monkeypatch.setattr("zoo.workflows._benchmark_timing._TURN_S", 0.0)
    default_registry.cache_clear()
    yield
    default_registry.cache_clear()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two images of each of two classes, for training and for validation."""
    root = tmp_path / "photos"
    for place in ("train/red", "train/blue", "val/red", "val/blue"):
        (root / place).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (10 + number, 9), place.rpartition("/")[2]).save(
                root / place / f"{number}.png"
            )
    return root


def test_each_phase_has_every_variant_with_ratios_to_its_plain_one():
    result = benchmark("tiny", device="cpu", rounds=2)

    training, inference, rest = result.speeds[:3], result.speeds[3:7], result.speeds[7:]
    assert [speed.variant for speed in training] == TRAINING
    assert [speed.variant for speed in inference] == INFERENCE
    assert {speed.phase for speed in training} == {"training"}
    assert {speed.phase for speed in inference} == {"inference"}
    assert [speed.phase for speed in rest] == ["loader", "loader + training"]
    assert [speed.ratio for speed in training] == pytest.approx(
        [speed.images_per_s / training[0].images_per_s for speed in training]
    )
    assert [speed.ratio for speed in inference] == pytest.approx(
        [speed.images_per_s / inference[0].images_per_s for speed in inference]
    )
    assert (training[0].ratio, inference[0].ratio) == (1.0, 1.0)
    assert all(speed.spread_fraction >= 0 for speed in result.speeds)


def test_the_image_size_is_the_cards_and_the_batch_that_of_a_run_without_options():
    result = benchmark("tiny", device="cpu", rounds=1, phases=("inference",))

    convolution, linear = 8 * 8 * 4 * 27, 4 * 10
    assert (result.batch_size, result.image_size_px, result.num_classes) == (32, 8, 10)
    assert (result.model, result.num_params) == ("bench:tiny", 4 * 28 + 8 + 50)
    assert result.gmacs == pytest.approx((convolution + linear) / 1e9)
    assert result.environment["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_one_json_document_and_nothing_else_on_stdout(capsys):
    size = ["--batch-size", "3000", "--image-size", "4"]

    code = run(
        ["benchmark", "tiny", "--train", "--rounds", "1", "--device", "cpu", "--json", *size]
    )

    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (document["batch_size"], document["image_size_px"]) == (3000, 4)
    assert [(s["phase"], s["variant"]) for s in document["speeds"]] == [
        ("training", name) for name in TRAINING
    ]


def test_a_row_for_each_variant_on_stdout(capsys):
    code = run(["benchmark", "tiny", "--inference", "--rounds", "1", "--device", "cpu"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0] == "bench:tiny: 170 parameters, 6.95e-06 GMACs at 8 px, 10 classes"
    assert lines[1].startswith("batches of 32 of digits on cpu")
    assert lines[3].startswith("peak, by a product of matrices, in GFLOP/s: fp32 ")
    assert lines[5].split()[:3] == ["phase", "variant", "images/s"]
    assert [line.split("  ")[1].strip() for line in lines[6:]] == INFERENCE


def test_options_are_switched_on_one_after_the_other():
    training = variants("training", CPU, compiled=True)
    inference = variants("inference", CPU, compiled=True)

    assert [v.name for v in training] == [*TRAINING, "bf16 channels-last compiled"]
    assert [v.name for v in inference] == [*INFERENCE, "bf16 channels-last folded compiled"]
    assert training[0] == inference[0] == PLAIN


def test_fp16_is_measured_on_cuda_alone():
    on_cuda = variants("training", torch.device("cuda"))

    assert [v.name for v in on_cuda] == [*TRAINING, "fp16 channels-last"]


def test_operations_are_counted_and_compared_with_a_product_of_matrices():
    result = benchmark("tiny", device="cpu", rounds=1, phases=("training", "inference"))

    training, inference = result.speeds[2], result.speeds[3]
    assert training.flops_per_s == pytest.approx(3 * 2e9 * result.gmacs * training.images_per_s)
    assert inference.flops_per_s == pytest.approx(2e9 * result.gmacs * inference.images_per_s)
    assert training.peak_fraction == pytest.approx(training.flops_per_s / result.peaks["bf16"])
    assert inference.peak_fraction == pytest.approx(inference.flops_per_s / result.peaks["fp32"])
    assert set(result.peaks) == {"fp32", "bf16"}


def test_files_are_read_by_several_numbers_of_processes_and_with_training(photos):
    result = benchmark(
        "tiny", device="cpu", rounds=1, phases=("training", "loader"), data=str(photos)
    )

    reading = [speed for speed in result.speeds if speed.phase == "loader"]
    together = result.speeds[-1]
    assert [speed.variant for speed in reading[:2]] == ["0 workers", "1 worker"]
    assert reading[-1].variant == "as in a run"
    assert all(speed.images_per_s > 0 and speed.flops_per_s is None for speed in reading)
    assert (together.phase, result.data, result.num_classes) == ("loader + training", "photos", 2)


@pytest.mark.parametrize(("training", "binds"), [(10.0, "training"), (1000.0, "loader")])
def test_what_is_slower_alone_binds(training, binds):
    speeds = [
        speed("training", "fp32", 1.0),
        speed("training", "bf16 channels-last", training),
        speed("loader", "0 workers", 1.0),
        speed("loader", "as in a run", 100.0),
    ]

    assert _slower(speeds, Variant("bf16", channels_last=True)) == binds
    assert _slower(speeds[:2], Variant("bf16", channels_last=True)) is None


def speed(phase: str, variant: str, images_per_s: float) -> Speed:
    unknown = dict.fromkeys(
        ("precision", "flops_per_s", "peak_fraction", "peak_memory_bytes", "memory_ratio")
    )
    return Speed(
        phase=phase,
        variant=variant,
        images_per_s=images_per_s,
        ratio=1.0,
        spread_fraction=0.0,
        **unknown,
    )


def test_the_slowest_of_the_rounds_does_not_count():
    times_s = iter([9.0, 9.0, 0.5, 0.1, 0.3, 0.2, 0.1])
    candidate = Candidate(phase="p", name="n", start=lambda: lambda _n: next(times_s), amount=2)

    [timing] = take_turns([candidate], rounds=5, device=CPU, progress=lambda *_: None)

    assert timing.median_s == 0.2
    assert timing.spread_fraction == pytest.approx(2.0)


def test_a_turn_has_the_steps_that_a_candidate_needs_at_least():
    asked = []
    candidate = Candidate(
        phase="p",
        name="n",
        start=lambda: lambda number: asked.append(number) or float(number),
        amount=1,
        least_steps=6,
    )

    [timing] = take_turns([candidate], rounds=2, device=CPU, progress=lambda *_: None)

    assert asked[-2:] == [6, 6]
    assert timing.median_s == 1.0


def test_what_a_peer_loads_is_loaded_before_memory_is_measured(monkeypatch):
    steps = []

    def lightning(_bench):
        return lambda number: steps.append(number) or float(number)

    def measured(*_, **__):
        assert steps == [1]
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo.workflows._benchmark.check_peers", lambda *_: None)
    monkeypatch.setattr("zoo.workflows._benchmark_peers._lightning", lightning)
    monkeypatch.setattr("zoo.workflows._benchmark.take_turns", measured)

    with pytest.raises(KeyboardInterrupt):
        benchmark("tiny", device="cpu", phases=("training",), against=["lightning"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tini"], "Error: unknown model 'tini'\nDid you mean tiny?"),
        (
            ["tiny", "--against", "keras"],
            "Error: --against keras: there is no such peer\nThere are",
        ),
        (
            ["tiny", "--against", "timm"],
            "Error: --against timm: it is not installed\npip install 'zoo-timm[timm]'",
        ),
        (["tiny", "--data", "nowhere"], "Error: unknown data source 'nowhere'\n"),
        (["tiny", "--device", "abacus"], "Error: unknown device 'abacus'\n"),
        (["tiny", "--rounds", "0"], "Error: Invalid value for '--rounds': 0 is not"),
        (["tiny", "--batch-size", "0"], "Error: Invalid value for '--batch-size': 0 is not"),
        (["tiny", "--image-size", "-1"], "Error: Invalid value for '--image-size': -1 is not"),
        (
            ["tiny", "--train", "--batch-size", "1", "--image-size", "1"],
            "Error: tiny (fp32) fails on a batch of 1 image of 1 px: Expected more than 1",
        ),
        (
            ["hungry"],
            "Error: a batch of 32 images of 8 px does not fit into the memory of cpu\nLower",
        ),
    ],
)
def test_what_cannot_be_measured_is_said(words, message, capsys):
    code = run(["benchmark", *words, *(["--device", "cpu"] if len(words) == 1 else [])])

    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith(message)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux says the peak")
def test_peak_memory_is_that_of_the_block_alone():
    size = 64 * 2**20
    before = torch.ones(size, dtype=torch.uint8)

    with peak_memory(CPU) as peak:
        torch.ones(size, dtype=torch.uint8).neg_()

    assert len(before) == size
    assert peak.used_bytes is not None
    assert 0.9 * size < peak.used_bytes < 1.5 * size


def test_memory_that_nobody_can_measure_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr("zoo.workflows._peak_memory._CLEAR_REFS", tmp_path / "nothing")

    with peak_memory(CPU) as peak:
        pass

    assert peak.used_bytes is None


@pytest.mark.cuda
def test_peak_memory_on_cuda_is_what_torch_allocates():
    device = torch.device("cuda")

    with peak_memory(device) as peak:
        torch.ones(2**20, dtype=torch.uint8, device=device)

    assert peak.used_bytes == 2**20


def test_boxes_and_masks_come_to_the_size_of_the_images_with_them():
    batch = Batch(
        images=torch.zeros(2, 3, 8, 4),
        sizes=torch.tensor([[8, 4], [6, 4]]),
        ids=torch.arange(2),
        targets={
            "boxes": torch.tensor([[[0.0, 2.0, 4.0, 8.0]]]).expand(2, 1, 4),
            "labels": torch.tensor([[1], [-1]]),
            "masks": torch.tensor([[[5] * 4] * 4 + [[7] * 4] * 4] * 2),
        },
    )

    scaled = _at_size(batch, 16)

    assert scaled.images.shape == (2, 3, 16, 16)
    assert scaled.sizes.tolist() == [[16, 16], [16, 16]]
    assert scaled.targets["boxes"][0].tolist() == [[0.0, 4.0, 16.0, 16.0]]
    assert scaled.targets["labels"] is batch.targets["labels"]
    assert scaled.targets["masks"][0, :, 0].tolist() == [5] * 8 + [7] * 8
