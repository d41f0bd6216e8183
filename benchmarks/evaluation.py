"""How fast zoo evaluates, beside eager torch and onnxruntime.

    python benchmarks/evaluation.py [--model resnet34] [--image-size 224] [--batch-size 8] [--json]

One architecture with one set of weights, and the same images, batch by batch:

eager fp32        torchvision's model in evaluation mode, under ``torch.inference_mode``: what a
                  user writes who asks for nothing more.  The images are normalised floats
                  already, and of the answers only the accuracy is counted.
onnxruntime fp32  the same model exported by ``torch.onnx``, in a session of as many threads.
zoo fp32, zoo     ``zoo.evaluation.evaluate``, as ``zoo eval`` calls it: uint8 images are put into
                  batches, normalised and counted once each, and loss, accuracy and calibration are
                  summed.  Weights are channels-last and batch norms folded; the last row has the
                  precision that "auto" takes here.

zoo folds on the first batch, which takes as long as the pass of a few images: it is timed apart,
since it does not grow with the data.  In each round every candidate runs once, in turn; the figures
to keep are ratios of medians.  onnxruntime is left out where it is not installed
(``pip install onnxruntime onnx onnxscript``).
"""

import argparse
import importlib.util
import json
import logging
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from zoo.cards import InputSpec
from zoo.data.datasets import Resident
from zoo.data.loading import Loader, evaluation_batches
from zoo.devices import choose_precision
from zoo.evaluation import evaluate
from zoo.models import build_model, fold_batch_norms
from zoo.tasks import ClassificationTask

CPU = torch.device("cpu")
CLASSES = 1000
EAGER, ONNX, ZOO_FP32, ZOO = "eager fp32", "onnxruntime fp32", "zoo fp32", "zoo"
GOALS = {(ZOO, EAGER): 2.4, (ZOO, ONNX): 1.8}
"""How many times as fast as the second the first shall be, on a CPU with bf16."""

Candidate = Callable[[], object]


def main() -> None:
    """Measure, and print a table or one JSON document."""
    arguments = read_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        case = Case(arguments)
        candidates = case.candidates(Path(folder))
        times_s = measure(candidates, arguments.rounds)
    medians_s = {name: statistics.median(times) for name, times in times_s.items()}
    report = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "load": round(os.getloadavg()[0], 1),
        "precision": case.precision,
        "fold_s": round(case.fold_s, 3),
        "largest_difference": case.difference(),
        "images_per_s": {name: round(arguments.images / s, 1) for name, s in medians_s.items()},
        "to_eager": {name: round(medians_s[EAGER] / s, 2) for name, s in medians_s.items()},
        "spread_percent": {
            name: round(100 * (max(times) - min(times)) / medians_s[name])
            for name, times in times_s.items()
        },
        "goals": [
            {
                "candidate": first,
                "beside": second,
                "ratio": round(medians_s[second] / medians_s[first], 2),
                "at_least": goal,
            }
            for (first, second), goal in GOALS.items()
            if second in medians_s
        ],
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    show(report)


def read_arguments() -> argparse.Namespace:
    """The words of the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="resnet34", help="a name that torchvision has too")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--images", type=int, default=32, help="of one turn")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, help="default: torch's own number")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


class Case:
    """One model, its images, and the ways to evaluate it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        size, number = arguments.image_size, arguments.images
        torch.manual_seed(0)
        pixels = torch.randint(0, 256, (number, 3, size, size), dtype=torch.uint8)
        labels = torch.randint(0, CLASSES, (number,))
        classes = tuple(map(str, range(CLASSES)))
        self.data = Resident(
            name="noise", images=pixels, targets={"labels": labels}, classes=classes
        )
        self.plan = evaluation_batches(number, batch_size=arguments.batch_size)
        self.task = ClassificationTask(classes=classes)
        spec = InputSpec(size_px=size, resize_px=None)
        self.transforms = self.task.transforms("val", spec, seed=0)
        mean, std = (255 * torch.tensor(of).reshape(-1, 1, 1) for of in (spec.mean, spec.std))
        self.batches = [
            ((pixels[i].float() - mean) / std, labels[i])
            for i in ([key.index for key in keys] for keys in self.plan)
        ]
        self.eager = torchvision.models.get_model(arguments.model, weights=None).eval()
        own = build_model(arguments.model, num_classes=CLASSES).eval()
        own.load_state_dict(self.eager.state_dict())
        own.to(memory_format=torch.channels_last)
        self.precision = choose_precision("auto", CPU)
        start = time.perf_counter()
        first = self.batches[0][0][:1]
        self.folded = fold_batch_norms(own, lambda model: model(first))
        self.fold_s = time.perf_counter() - start

    def candidates(self, folder: Path) -> dict[str, Candidate]:
        """What takes turns, each an evaluation of all images."""
        found: dict[str, Candidate] = {EAGER: lambda: self.count_right(self.run_eager)}
        if all(importlib.util.find_spec(name) for name in ("onnxruntime", "onnx", "onnxscript")):
            session = open_session(self.eager, self.batches[0][0], folder / "model.onnx")
            found[ONNX] = lambda: self.count_right(session)
        found[ZOO_FP32] = lambda: self.run_zoo(self.folded, "fp32")
        found[ZOO] = lambda: self.run_zoo(self.folded, self.precision)
        return found

    def run_eager(self, images: Tensor) -> Tensor:
        """Logits (n, 1000)."""
        with torch.inference_mode():
            logits: Tensor = self.eager(images)
            return logits

    def count_right(self, run: Callable[[Tensor], Tensor]) -> int:
        """Images of all whose likeliest class is their label."""
        return sum(int((run(images).argmax(1) == labels).sum()) for images, labels in self.batches)

    def run_zoo(self, model: nn.Module, precision: str) -> dict[str, float]:
        """As ``zoo eval`` does it."""
        return evaluate(
            model,
            self.task,
            Loader(self.data, self.transforms.sample),
            self.plan,
            dataset=self.data,
            transforms=self.transforms,
            device=CPU,
            precision=precision,
        )

    def difference(self) -> float:
        """Between the logits of eager torch and of zoo in fp32, relative to the largest."""
        images = self.batches[0][0]
        with torch.inference_mode():
            eager, own = self.eager(images), self.folded(images)
        return float((eager - own).abs().max() / eager.abs().max())


def open_session(model: nn.Module, images: Tensor, path: Path) -> Callable[[Tensor], Tensor]:
    """The model under onnxruntime, on as many threads as torch takes."""
    import onnxruntime

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (images,), str(path), verbose=False)
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (name,) = (of.name for of in session.get_inputs())

    def run(batch: Tensor) -> Tensor:
        (logits,) = session.run(None, {name: batch.numpy()})
        return torch.from_numpy(logits)

    return run


def measure(candidates: dict[str, Candidate], rounds: int) -> dict[str, list[float]]:
    """Seconds of each candidate in each round; the first round is not counted."""
    times_s: dict[str, list[float]] = {name: [] for name in candidates}
    for counted in (False, *[True] * rounds):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if counted:
                times_s[name].append(time.perf_counter() - start)
    return times_s


def show(report: dict[str, Any]) -> None:
    """Print the report for people."""
    print(f"{report['machine']}, load {report['load']}, torch {report['torch']}")
    print(f"zoo runs in {report['precision']}; folding took {report['fold_s']} s")
    print(f"in fp32 zoo's logits differ from eager torch's by {report['largest_difference']:.1e}")
    columns: Sequence[str] = ("images_per_s", "to_eager", "spread_percent")
    print(f"\n{'candidate':<20}{'images/s':>10}{'ratio':>8}{'spread %':>10}")
    for name in report["images_per_s"]:
        rate, ratio, spread = (report[column][name] for column in columns)
        print(f"{name:<20}{rate:>10}{ratio:>8}{spread:>10}")
    print(f"\n{'candidate':<20}{'beside':<20}{'ratio':>8}{'at least':>10}")
    for row in report["goals"]:
        print("{candidate:<20}{beside:<20}{ratio:>8}{at_least:>10}".format(**row))


if __name__ == "__main__":
    main()
