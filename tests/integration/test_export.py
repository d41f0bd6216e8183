"""``zoo export`` of models of the plugins, and what a program without zoo makes of the file."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from zoo import build_model
from zoo.inference import load_model

PAGE = Path(__file__).parents[2] / "docs/export.md"


@pytest.fixture
def weights(tmp_path: Path):
    """Fresh weights of a model as a file."""

    def of(name: str) -> Path:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = build_model(name, num_classes=3)
        path = tmp_path / "weights.safetensors"
        save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, path)
        return path

    return of


def test_the_segmenting_script_makes_the_mask_of_predict(weights, tmp_path, zoo):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    [code] = re.findall(
        r"<!-- script: segment.py -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL
    )
    file, photo, model = weights("unet_small"), tmp_path / "photo.png", tmp_path / "unet.onnx"
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (37, 50, 3), dtype=np.uint8)).save(photo)

    outcome = zoo("export", "unet_small", "--weights", file, "--output", model)
    words = [model, photo, tmp_path / "mask.png"]
    subprocess.run([sys.executable, "-I", "-c", code, *map(str, words)], check=True)

    predictor = load_model("unet_small", str(file), device="cpu", precision="fp32")
    mask = np.asarray(Image.open(tmp_path / "mask.png"))
    assert outcome.code == 0, outcome.err
    assert len(np.unique(mask)) == 3
    assert (mask == predictor(photo)["mask"].numpy()).mean() > 0.999  # but for ties


def test_a_detector_is_refused_before_its_weights_are_fetched(tmp_path, zoo):
    model, boxes = "faster_rcnn_resnet50_fpn", tmp_path / "boxes.pt2"

    outcome = zoo("export", model, "--weights", "coco_v1", "--output", boxes)

    cause, cure = outcome.err.splitlines()
    assert outcome.code == 1
    assert cause.startswith(f"Error: rcnn:{model} cannot be exported, says its plugin (zoo-rcnn)")
    assert "zoo.load_run" in cure
    assert not boxes.exists()
