"""A file answers as the model does, says what it is, holds nothing of this machine, or is not."""

import errno
import io
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from zoo.cards import InputSpec
from zoo.errors import ExportError, StorageError, UsageError
from zoo.exporting import ExportedFile, ImageSize, check_output, choose_shape, export_model
from zoo.inference import ModelRecord, Predictor
from zoo.structures import Sample, Tiling
from zoo.tasks import ClassificationTask, DetectionTask, SegmentationTask, Task

CLASSES = ("cat", "dog", "eel")
INPUT = InputSpec(size_px=12, resize_px=16)
Files = Callable[[str], ExportedFile]


class Classifier(nn.Sequential):
    """A convolution, a batch norm with statistics of its own, and a linear layer."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(400, 3)
        )
        nn.init.normal_(self[1].running_mean)
        nn.init.uniform_(self[1].running_var, 0.5, 2.0)


class Dense(nn.Module):
    """Down to a quarter and up again; the answer is 2 px smaller than the image on each side."""

    tiling = Tiling(stride=4, context_px=14, margin_px=2)

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, 6, 3, padding=1)
        self.coarse = nn.Conv2d(6, 6, 3, padding=1)
        self.up = nn.ConvTranspose2d(6, 6, 4, 4)
        self.head = nn.Conv2d(12, num_classes, 5)

    def forward(self, images: Tensor) -> Tensor:
        fine = self.fine(images).relu()
        coarse = self.coarse(nn.functional.max_pool2d(fine, 4)).relu()
        return self.head(torch.cat([self.up(coarse), fine], 1))


class Branching(Classifier):
    """Looks at values to decide what to compute, which no graph can."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if images.sum() > 0 else -images)


def predictor_of(model: nn.Module, task: Task, **facts: object) -> Predictor:
    known = {
        "model": "tiny:tiny",
        "distribution": "zoo-tiny",
        "version": "0.1",
        "num_classes": task.num_classes,
        "in_channels": 3,
        "classes": task.classes,
        "task": f"core:{task.name}",
        "input": INPUT,
        "metrics": {"val/top1": 0.75},
    }
    record = ModelRecord(**{**known, **facts})
    return Predictor(model, task, record, device=torch.device("cpu"))


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


def classifier(build: type[nn.Module] = Classifier) -> Predictor:
    return predictor_of(seeded(build), ClassificationTask(classes=CLASSES))


def export(
    predictor: Predictor,
    path: Path,
    *,
    image_size: ImageSize | None = None,
    batch_size: int | None = None,
    samples: Sequence[Sample] = (),
    message: Callable[[str], None] = lambda _: None,
) -> ExportedFile:
    """As ``zoo.export`` does it, without a run."""
    shape = choose_shape(
        predictor.model,
        predictor.transforms,
        predictor.record.input,
        image_size=image_size,
        batch_size=batch_size,
    )
    format_ = check_output(path, None)
    return export_model(predictor, path, format_, shape, samples=samples, message=message)


def run_file(path: Path, images: Tensor) -> Tensor:
    """What a program without zoo gets."""
    if path.suffix == ".pt2":
        return torch.export.load(path).module()(images).detach()
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    return torch.from_numpy(session.run(["scores"], {"images": images.numpy()})[0])


def pixels(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.fixture(params=["onnx", "pt2"])
def suffix(request: pytest.FixtureRequest) -> str:
    if request.param == "onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    return request.param


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The classifier as a file of each format, made once."""
    made: dict[str, ExportedFile] = {}

    def of(suffix: str) -> ExportedFile:
        if suffix not in made:
            path = tmp_path_factory.mktemp("exported") / f"tiny.{suffix}"
            samples = [Sample(pixels(3, 20, 30), {}), Sample(pixels(1, 16, 16), {})]
            made[suffix] = export(classifier(), path, samples=samples)
        return made[suffix]

    return of


# --- what a file says -----------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 5])
def test_a_file_gives_the_scores_of_predict_for_the_images_as_they_are(files, suffix, count):
    images = pixels(count, 3, 12, 12)

    scores = run_file(files(suffix).path, images)

    answers = classifier().answers([Sample(image, {}) for image in images])
    assert scores.sum(1).allclose(torch.ones(count))
    assert [CLASSES[index] for index in scores.argmax(1)] == [of["label"] for of in answers]
    assert scores.amax(1).tolist() == pytest.approx([of["score"] for of in answers], abs=1e-5)


def test_real_and_random_images_are_compared_in_several_batches(files, suffix):
    parity = files(suffix).parity

    assert (parity.real_images, parity.random_images) == (2, 4)
    assert [shape[0] for shape in parity.shapes] == [1, 2, 3]
    assert 0 <= parity.difference < parity.tolerance < parity.spread


def test_batch_norms_are_in_the_convolutions(files, suffix):
    images = pixels(1, 3, 12, 12)

    held = files(suffix).path.read_bytes()

    assert b"BatchNormalization" not in held
    assert b"batch_norm" not in held
    assert run_file(files(suffix).path, images).isfinite().all()


def test_a_file_says_what_it_is_to_who_has_only_the_file(files, suffix):
    exported = files(suffix)

    about = about_of(exported.path)

    assert about == exported.about
    assert about["classes"] == list(CLASSES)
    assert about["resize"] == {"shorter_px": 16, "interpolation": "bilinear"}
    assert about["input"]["colours"] == "RGB"
    assert (about["input"]["batch"], about["input"]["height"]) == ("dynamic", 12)
    assert about["normalisation"] == {
        "inside": True,
        "mean": list(INPUT.mean),
        "std": list(INPUT.std),
    }
    assert (about["model"], about["distribution"], about["version"]) == (
        "tiny:tiny",
        "zoo-tiny",
        "0.1",
    )
    assert about["metrics"] == {"val/top1": 0.75}


def about_of(path: Path) -> dict[str, object]:
    if path.suffix == ".pt2":
        found = {"zoo.json": ""}
        torch.export.load(path, extra_files=found)
        return json.loads(found["zoo.json"])
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    return json.loads(session.get_modelmeta().custom_metadata_map["zoo"])


def test_a_file_names_no_file_of_this_machine(files, suffix):
    content = files(suffix).path.read_bytes()

    members = [content]
    if suffix == "pt2":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [archive.read(name) for name in archive.namelist()]

    assert not [part for part in members if b".py" in part or str(Path.home()).encode() in part]


def test_an_onnx_file_is_one_file_with_named_dimensions(files):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")

    proto = onnx.load(files("onnx").path, load_external_data=False)

    onnx.checker.check_model(proto)
    assert [dim.dim_param or dim.dim_value for dim in dims_of(proto.graph.input[0])] == [
        *("batch", 3, 12, 12)
    ]
    assert [dim.dim_param or dim.dim_value for dim in dims_of(proto.graph.output[0])] == [
        *("batch", 3)
    ]
    assert not [each for each in proto.graph.initializer if each.external_data]


def dims_of(value):
    return value.type.tensor_type.shape.dim


def test_few_large_images_are_compared(tmp_path):
    predictor = predictor_of(seeded(lambda: Dense(3)), SegmentationTask(classes=CLASSES))

    exported = export(predictor, tmp_path / "dense.pt2", image_size=(520, 520))

    assert exported.parity.shapes == [(1, 3, 520, 520), (2, 3, 520, 520)]


def test_a_fixed_batch_is_taken_and_no_other(suffix, tmp_path):
    exported = export(classifier(), tmp_path / f"three.{suffix}", batch_size=3)

    scores = run_file(exported.path, pixels(3, 3, 12, 12))

    assert scores.shape == (3, 3)
    assert exported.about["input"]["batch"] == 3
    with pytest.raises(Exception, match=r"(?i)shape|dimension|size"):
        run_file(exported.path, pixels(2, 3, 12, 12))


def test_a_network_trained_by_binary_cross_entropy_answers_with_sigmoids(suffix, tmp_path):
    task = ClassificationTask(classes=CLASSES, loss="binary_cross_entropy")
    predictor = predictor_of(seeded(Classifier), task)
    images = pixels(2, 3, 12, 12)

    exported = export(predictor, tmp_path / f"tiny.{suffix}")

    best = [of["score"] for of in predictor.answers([Sample(image, {}) for image in images])]
    scores = run_file(exported.path, images)
    assert scores.amax(1).tolist() == pytest.approx(best, abs=1e-5)
    assert not scores.sum(1).allclose(torch.ones(2))


# --- images of any size ---------------------------------------------------------------------


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_masks_of_images_of_several_sizes_are_those_of_predict(suffix, head, tmp_path):
    classes = CLASSES[:2]
    task = SegmentationTask(classes=classes, head=head)
    predictor = predictor_of(seeded(lambda: Dense(task.num_classes)), task)

    exported = export(predictor, tmp_path / f"dense.{suffix}")

    assert {shape[2:] for shape in exported.parity.shapes} == {(64, 64), (64, 72), (72, 64)}
    assert exported.about["input"] | {"multiple_of": 4, "plus": 0} == exported.about["input"]
    image = pixels(3, 20, 44)
    scores = run_file(exported.path, image[None])
    assert scores.shape == (1, 2, 20, 44)
    assert scores.argmax(1)[0].equal(predictor(image)["mask"].long())


def test_a_fixed_size_need_be_no_multiple_of_anything(suffix, tmp_path):
    predictor = predictor_of(seeded(lambda: Dense(3)), SegmentationTask(classes=CLASSES))
    image = pixels(3, 15, 21)

    exported = export(predictor, tmp_path / f"dense.{suffix}", image_size=(15, 21))

    scores = run_file(exported.path, image[None])
    assert scores.argmax(1)[0].equal(predictor(image)["mask"].long())


@pytest.mark.parametrize("image_size", ["dynamic", (12, 16)])
def test_images_that_are_resized_to_a_square_have_no_other_shape(image_size, tmp_path):
    with pytest.raises(UsageError, match="resize each image to a square"):
        export(classifier(), tmp_path / "tiny.pt2", image_size=image_size)


# --- what is refused ------------------------------------------------------------------------


def test_a_graph_with_another_preprocessing_than_the_evaluations_is_not_published(suffix, tmp_path):
    predictor = classifier()
    predictor.record = replace(predictor.record, input=replace(INPUT, mean=(0.5, 0.5, 0.5)))

    with pytest.raises(ExportError, match="does not answer as the model does: they differ by 0"):
        export(predictor, tmp_path / f"tiny.{suffix}")

    assert not list(tmp_path.iterdir())


def test_answers_that_are_no_numbers_are_not_published(tmp_path):
    predictor = classifier()
    nn.init.constant_(predictor.model[4].bias, float("nan"))

    with pytest.raises(ExportError, match="differ by nan"):
        export(predictor, tmp_path / "tiny.pt2")

    assert not list(tmp_path.iterdir())


def test_a_model_that_cannot_be_traced_is_refused_in_two_lines_that_name_its_plugin(tmp_path):
    with pytest.raises(ExportError) as caught:
        export(classifier(Branching), tmp_path / "tiny.pt2")

    cause, cure = str(caught.value).splitlines()
    assert cause.startswith("tiny:tiny cannot be traced by torch.export: GuardOnDataDependent")
    assert "zoo-tiny 0.1" in cure
    assert not list(tmp_path.iterdir())


def test_a_task_without_one_answer_for_all_images_is_refused(tmp_path):
    predictor = predictor_of(seeded(Classifier), DetectionTask(classes=CLASSES))

    with pytest.raises(UsageError, match="depends on the image"):
        export(predictor, tmp_path / "boxes.pt2")

    assert not list(tmp_path.iterdir())


def test_answers_that_are_alike_for_all_images_are_said_to_prove_little(tmp_path):
    predictor, said = classifier(), []
    nn.init.zeros_(predictor.model[4].weight)

    export(predictor, tmp_path / "tiny.pt2", message=said.append)

    assert "answers nearly alike for all images" in said[-1]


def test_a_model_too_large_for_one_onnx_file_is_refused_before_any_work(tmp_path):
    pytest.importorskip("onnxscript")
    predictor = classifier()
    predictor.model.register_buffer("large", torch.empty(600_000_000, device="meta"))

    with pytest.raises(UsageError, match=r"2\.4 GB is more than one ONNX file can hold"):
        export(predictor, tmp_path / "large.onnx")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.bin", "nobody knows its format"),
        ("there.pt2", "there already"),
        ("link.pt2", "there already"),
        ("nowhere/model.pt2", "there is no folder"),
    ],
)
def test_a_place_where_no_new_file_can_be_is_refused(name, said, tmp_path):
    (tmp_path / "there.pt2").write_text("mine")
    (tmp_path / "link.pt2").symlink_to(tmp_path / "missing")

    with pytest.raises(UsageError, match=said):
        check_output(tmp_path / name, None)

    assert (tmp_path / "there.pt2").read_text() == "mine"


def test_a_name_of_the_other_format_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is named as pt2, and --format is onnx"):
        check_output(tmp_path / "model.pt2", "onnx")


# --- what ends the writing ------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["write", "fsync"])
def test_a_disk_that_fails_leaves_nothing(operation, tmp_path, monkeypatch):
    def fail(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, operation, fail)

    with pytest.raises(StorageError, match=r"tiny\.pt2: the disk is full \(.* needed"):
        export(classifier(), tmp_path / "tiny.pt2")

    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)

    with pytest.raises(KeyboardInterrupt):
        export(classifier(), tmp_path / "tiny.pt2")

    assert not list(tmp_path.iterdir())


def test_a_file_that_has_come_meanwhile_is_kept(tmp_path):
    path = tmp_path / "tiny.pt2"

    with pytest.raises(UsageError, match="by somebody else meanwhile"):
        export(classifier(), path, message=lambda _: path.write_text("theirs"))

    assert [each.read_text() for each in tmp_path.iterdir()] == ["theirs"]


def test_where_there_are_no_links_the_file_is_renamed(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)

    exported = export(classifier(), tmp_path / "tiny.pt2")

    assert [each.stat().st_size for each in tmp_path.iterdir()] == [exported.size_bytes]
