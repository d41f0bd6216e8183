"""What ``zoo benchmark`` reports; how fast anything is, no test can say."""

import json
from pathlib import Path

import pytest
import torch

from zoo.cli._main import run
from zoo.registry import default_registry
from zoo.workflows import benchmark
from zoo.workflows._peak_memory import peak_memory
from zoo.workflows._variants import Variant, variants

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
EAGER = ["fp32", "fp32 channels-last", "bf16", "bf16 channels-last"]


@pytest.fixture(autouse=True)
def plugin(site, monkeypatch):
    site.install("zoo-bench", PLUGIN, name="bench")
    monkeypatch.setenv("ZOO_PLUGINS", "bench")
    monkeypatch.setattr("zoo.workflows._benchmark._TURN_S", 0.0)
    default_registry.cache_clear()
    yield
    default_registry.cache_clear()


def test_each_phase_has_every_variant_with_ratios_to_its_plain_one():
    result = benchmark("tiny", device="cpu", rounds=2)

    training, inference = result.speeds[:4], result.speeds[4:]
    assert [speed.variant for speed in training] == EAGER
    assert [speed.variant for speed in inference] == EAGER
    assert {speed.phase for speed in training} == {"training"}
    assert {speed.phase for speed in inference} == {"inference"}
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
        ("training", name) for name in EAGER
    ]


def test_a_row_for_each_variant_on_stdout(capsys):
    code = run(["benchmark", "tiny", "--inference", "--rounds", "1", "--device", "cpu"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0] == "bench:tiny: 170 parameters, 6.95e-06 GMACs at 8 px, 10 classes"
    assert lines[4].split()[:3] == ["phase", "variant", "images/s"]
    assert [line.split("  ")[1].strip() for line in lines[5:]] == EAGER


def test_fp16_is_measured_on_cuda_alone_and_compiling_on_request():
    on_cuda = variants(torch.device("cuda"))
    compiled = variants(CPU, compiled=True)

    assert [v.name for v in on_cuda] == [*EAGER, "fp16", "fp16 channels-last"]
    assert [v.name for v in compiled] == [
        *EAGER,
        "fp32 compiled",
        "bf16 channels-last compiled",
    ]
    assert compiled[0] == Variant(precision="fp32", channels_last=False, compiled=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tini"], "Error: unknown model 'tini'\nDid you mean tiny?"),
        (["tiny", "--device", "abacus"], "Error: unknown device 'abacus'\n"),
        (["tiny", "--rounds", "0"], "Error: Invalid value for '--rounds': 0 is not"),
        (["tiny", "--batch-size", "0"], "Error: Invalid value for '--batch-size': 0 is not"),
        (["tiny", "--image-size", "-1"], "Error: Invalid value for '--image-size': -1 is not"),
        (
            ["tiny", "--batch-size", "1", "--image-size", "1"],
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
