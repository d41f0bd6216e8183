"""Whatever is typed wrong: exit code 2, cause and cure, an empty stdout, and nothing written."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import save_file

from zoo.cli._main import run
from zoo.runs import RunFolder
from zoo.training import Trainer

FAST = "--device cpu --image-size 16 --max-steps 2 --workers 0"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, make_photos) -> Path:
    """A folder with a run of photos, and with much that is wrong."""
    root = tmp_path_factory.mktemp("workplace")
    make_photos(root / "photos", "train", "val")
    make_photos(root / "other", "train", "val", classes=("green", "red"))
    make_photos(root / "flat")
    make_photos(root / "one-class", classes=("red",))
    make_photos(root / "one-class-train/train", classes=("red",))
    make_photos(root / "strange-val", "train")
    make_photos(root / "strange-val", "val", classes=("green", "red"))
    make_photos(root / "only-val", "val")
    make_photos(root / "no-val-images", "train")
    (root / "no-val-images/val/blue").mkdir(parents=True)
    (root / "no-val-images/val/red").mkdir()
    make_photos(root / "empty-class")
    (root / "empty-class/yellow").mkdir()
    for path in ("empty", "no-images/a", "no-images/b", "photos-and-notes"):
        (root / path).mkdir(parents=True)
    (root / "no-images/a/notes.txt").write_text("a")
    shutil.copy(root / "flat/red/0.jpg", root / "photos-and-notes/loose.jpg")
    (root / "notes.txt").write_text("no image, no weights, no config\n")
    (root / "text.jpg").write_text("no image")
    (root / "text.safetensors").write_text("no weights")
    (root / "text.pth").write_text("no weights")
    save_file({"a": torch.zeros(2)}, root / "strange.safetensors")
    (root / "labels.csv").write_text("path,label\nflat/red/0.jpg,red\nflat/red/99.jpg,blue\n")
    (root / "unknown-section.toml").write_text("[trainig]\nepochs = 3\n")
    (root / "unknown-key.toml").write_text("[training]\nepoch = 3\n")
    (root / "wrong-type.toml").write_text("[training]\nepochs = '3'\n")
    (root / "broken.toml").write_text("[training\nepochs = 3\n")
    (root / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        words = f"train resnet20 --data photos --batch-size 4 --output run {FAST}"
        assert run(words.split()) == 0
    (weights,) = (root / "run/best").glob("*.safetensors")
    shutil.copy(weights, root / "weights.safetensors")
    for name in ("torn-config", "no-config", "torn-checkpoints", "no-best", "no-data"):
        shutil.copytree(root / "run", root / name)
    (root / "torn-config/config.toml").write_bytes(b"\0\0\0")
    (root / "no-config/config.toml").unlink()
    (root / "no-data/data.json").unlink()
    shutil.rmtree(root / "no-best/best")
    for checkpoint in (root / "torn-checkpoints/checkpoints").iterdir():
        for file in checkpoint.glob("*.safetensors"):
            file.write_bytes(file.read_bytes()[:100])
    return root


@pytest.fixture
def untouched(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work there, and see that no file came, went or changed."""
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("ZOO_TRAINING__MAX_STEPS", "1")  # should one of them be taken for right
    before = contents(workplace)
    yield
    after = contents(workplace)
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name]] == []


def contents(root: Path) -> dict[str, bytes | None]:
    """Every file's content, but for the lock that each try to resume takes and gives back."""
    files = {path: path.read_bytes() if path.is_file() else None for path in root.rglob("*")}
    return {str(path): content for path, content in files.items() if path.name != "run.lock"}


def assert_is_refused(outcome, expected: str) -> None:
    told = outcome.err[outcome.err.find("Error: ") :]
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    assert expected in told
    assert "Traceback" not in outcome.err
    assert "looks like a bug" not in told
    assert 1 <= len(told.splitlines()) <= 2
    assert len(told) < 600


TRAIN = [
    # names
    ("train", "Name one of `zoo list`, or give --resume RUN."),
    ("train resent20", "unknown model 'resent20'\nDid you mean resnet20"),
    ("train xyz", "unknown model 'xyz'\nSee `zoo list models`"),
    ("train ''", "model.name = '' (command line): expected some text"),
    ("train resnet20 resnet32", "unexpected extra argument (resnet32)"),
    ("train nobody:resnet20", "unknown plugin 'nobody'"),
    ("train resnet20 --data digts", "Did you mean digits"),
    ("train resnet20 --data digits:x", "reads no files"),
    ("train resnet20 --data digit-scenes", "has no labels, which classification is learned from"),
    ("train resnet20 --data digit-boxes", "has boxes with labels, and no label of its own"),
    (
        "train faster_rcnn_resnet18_fpn --set data.sampling=balanced --device cpu --max-steps 1",
        "data.sampling = balanced needs data with a label for each image",
    ),
    ("train resnet20 --recipe smal", "Did you mean small"),
    ("train resnet20 --set optimizer.name=adanw", "Did you mean adamw"),
    ("train resnet20 --set schedule.name=cosin", "Did you mean cosine?"),
    ("train resnet20 --set callbacks.tensorbord=true", "Did you mean tensorboard"),
    ("train resnet20 --set task.name=clasification", "Did you mean classification"),
    ("train resnet20 --monitor val/top2", "Did you mean val/top"),
    ("train resnet20 --monitor loss", "val/loss"),
    ("train resnet20 --device gpu", "Use auto, cpu, cuda, cuda:N or mps."),
    ("train resnet20 --device cuda:99", "device cuda:99"),
    ("train resnet20 --device meta", "Use auto, cpu, cuda, cuda:N or mps."),
    ("train resnet20 --precision fp23", "fp32"),
    ("train resnet20 --freeze layer9", "Its parts: backbone"),
    ("train resnet20 --freeze bakbone", "Did you mean backbone?"),
    ("train resnet20 --freeze backbone --freeze fc", "every parameter is frozen"),
    # options and keys
    ("train resnet20 --learnig-rate 0.1", "Did you mean '--learning-rate'?"),
    ("train resnet20 --epochs", "requires an argument"),
    ("train resnet20 --epochs many", "'many'"),
    ("train resnet20 --epochs 0", "training.epochs = 0"),
    ("train resnet20 --epochs -1", "training.epochs = -1"),
    ("train resnet20 --epochs 2.5", "2.5"),
    ("train resnet20 --workers -1", "data.workers = -1"),
    ("train resnet20 --seed -1", "training.seed = -1"),
    ("train resnet20 --max-steps 0", "training.max_steps = 0"),
    ("train resnet20 --time-limit nan", "training.time_limit_s = nan"),
    ("train resnet20 --patience 0", "training.patience = 0"),
    ("train resnet20 --save-every 0", "training.save_every = 0"),
    ("train resnet20 --image-size 0", "data.image_size = 0"),
    ("train resnet20 --on-bad-image ignore", "'fail' or 'skip'"),
    ("train resnet20 --on-bad-box mend", "'fail', 'clip' or 'skip'"),
    ("train resnet20 --learning-rate nan", "expected a finite number"),
    ("train resnet20 --learning-rate inf", "expected a finite number"),
    ("train resnet20 --learning-rate -0.1", "greater than 0"),
    ("train resnet20 --learning-rate 0", "greater than 0"),
    ("train resnet20 --set optimizer.learning_rate=nan", "expected a finite number"),
    ("train resnet20 --set optimizer.momentun=0.9", "did you mean momentum?"),
    ("train resnet20 --set optimizer.momentum=-1", "Invalid momentum value: -1.0"),
    ("train resnet20 --set optimizer.momentum=nan", "optimizer.momentum = nan"),
    ("train resnet20 --set optimizer.momentum=yes", "optimizer.momentum = 'yes'"),
    ("train resnet20 --set optimizer.name=adamw --set optimizer.betas=[0.9,2]", "Invalid beta"),
    ("train resnet20 --set optimizer.name=adamw --set optimizer.betas=[0.9]", "betas"),
    ("train resnet20 --set optimizer.name=adamw --set optimizer.momentum=0.9", "momentum"),
    ("train resnet20 --set optimizer.name=rmsprop --set optimizer.alpha=-1", "alpha"),
    ("train resnet20 --set optimizer.layer_rates.layer9=0.1", "layer9"),
    ("train resnet20 --set schedule.peak_at=2", "schedule.peak_at = 2"),
    ("train resnet20 --set schedule.warmup_epochs=-1", "schedule.warmup_epochs = -1"),
    ("train resnet20 --set schedule.name=step", "schedule.milestones is missing"),
    ("train resnet20 --set schedule.name=step --set schedule.milestones=[3,2]", "must rise"),
    ("train resnet20 --set schedule.name=plateau --set schedule.patience=-1", "patience"),
    ("train resnet20 --set trainig.epochs=3", "did you mean training?"),
    ("train resnet20 --set training.epoch=3", "did you mean epochs?"),
    ("train resnet20 --set training.epochs=many", "training.epochs = 'many'"),
    ("train resnet20 --set training.epochs", "is not section.key=value"),
    ("train resnet20 --set =3", "is not section.key=value"),
    ("train resnet20 --set training=3", "expected a table"),
    ("train resnet20 --set training.ema.decay=2", "training.ema.decay = 2"),
    ("train resnet20 --set training.ema=true", "training.ema"),
    ("train resnet20 --set training.keep_last=1", "training.keep_last = 1"),
    ("train resnet20 --set training.micro_batch_size=0", "training.micro_batch_size = 0"),
    ("train resnet20 --set data.val_fraction=2", "data.val_fraction = 2"),
    ("train resnet20 --set data.sampling=balance", "data.sampling = 'balance'"),
    ("train resnet20 --set machine.threads=0", "machine.threads = 0"),
    ("train resnet20 --set machine.threads=10000", "machine.threads = 10000"),
    ("train resnet20 --data photos --workers 10000", "data.workers = 10000"),
    ("train resnet20 --set transforms.mixupp=0.2", "did you mean mixup?"),
    ("train resnet20 --set transforms.mixup=-1", "transforms.mixup"),
    ("train resnet20 --set transforms.flip=2", "transforms.flip"),
    ("train resnet20 --set transforms.scale=[1,0.5]", "transforms.scale"),
    ("train resnet20 --set transforms.auto_augment=rand-z9", "rand-z9"),
    ("train resnet20 --set transforms.train_size_px=-3", "train_size_px"),
    ("train resnet20 --set transforms.resize_px=0", "resize_px"),
    ("train resnet20 --set task.label_smoothing=2", "task.label_smoothing"),
    ("train resnet20 --set task.label_smoting=0.1", "did you mean label_smoothing?"),
    ("train resnet20 --set task.class_weights=[1,2]", "2 numbers for 10 classes"),
    ("train resnet20 --set task.class_weights=balance", "task.class_weights"),
    ("train resnet20 --set task.top_k=0", "task.top_k"),
    ("train resnet20 --set model.zero_init_residul=true", "did you mean zero_init_residual?"),
    ("train resnet20 --set model.zero_init_residual=perhaps", "expected true or false"),
    ("train resnet20 --set model.num_classes=7", "set by zoo itself"),
    ("train resnet20 --set model.in_channels=0", "in_channels"),
    ("train resnet20 --set model.in_channels=2", "Set model.in_channels to 1"),
    ("train resnet20 --set callbacks.tensorboard.foldr=x", "did you mean folder?"),
    ("train resnet20 --gpus 99", "--gpus 99: this machine has"),
    ("train resnet20 --gpus 0", "machine.gpus = 0"),
    # sizes
    ("train resnet20 --data photos --batch-size 1", "batch"),
    ("train resnet20 --data photos --batch-size 100000", "training has 12 images"),
    ("train resnet20 --data photos --batch-size 0", "training.batch_size = 0"),
    ("train resnet20 --data photos --image-size 1000000", "less than or equal to 16384"),
    # config files
    ("train resnet20 --config nowhere.toml", "nowhere.toml"),
    ("train resnet20 --config photos", "photos"),
    ("train resnet20 --config broken.toml", "broken.toml is not TOML"),
    ("train resnet20 --config latin.toml", "latin.toml is not UTF-8"),
    ("train resnet20 --config unknown-section.toml", "did you mean training?"),
    ("train resnet20 --config unknown-key.toml", "unknown key training.epoch (unknown-key.toml)"),
    ("train resnet20 --config wrong-type.toml", "training.epochs = '3' (wrong-type.toml)"),
    # data
    ("train resnet20 --data nowhere", "It is no path either."),
    ("train resnet20 --data ./nowhere", "nowhere does not exist"),
    ("train resnet20 --data ''", "data.source = '' (command line): expected some text"),
    ("train resnet20 --data folders:nowhere", "nowhere does not exist"),
    ("train resnet20 --data csv:nowhere.csv", "nowhere.csv does not exist"),
    ("train resnet20 --data csv:photos", "photos"),
    ("train resnet20 --data folders:notes.txt", "notes.txt"),
    ("train resnet20 --data notes.txt", "notes.txt is neither a folder nor"),
    ("train resnet20 --data photos/train/red/0.jpg", "is neither a folder nor"),
    ("train resnet20 --data empty", "it has no class folders"),
    ("train resnet20 --data digit-boxes --dry-run", "boxes"),
    ("train resnet20 --data digit-scenes --dry-run", "has no labels, which classification is"),
    ("train resnet20 --data photos-and-notes", "no class folders, and 1 image in no folder"),
    ("train resnet20 --data no-images", "no-images has no images in class folders"),
    ("train resnet20 --data one-class", "has only one class, 'red'; two are needed"),
    ("train resnet20 --data one-class-train", "has only one class, 'red'; two are needed"),
    ("train resnet20 --data no-val-images", "val has no images in class folders"),
    ("train resnet20 --data only-val", "no train folder"),
    ("train resnet20 --data strange-val", "has classes that training has not: 'green'"),
    ("train resnet20 --data empty-class", "no images in empty-class/yellow"),
    ("train resnet20 --data labels.csv", "labels.csv, line 3"),
    ("train resnet20 --data flat --set data.val_fraction=0", "val_fraction"),
    ("train resnet20 --data flat --set data.val_fraction=1", "val_fraction"),
    ("train resnet20 --data cifar10", "--download"),
    # weights
    ("train resnet20 --weights nowhere.pth", "nowhere.pth"),
    ("train resnet20 --weights imagenet1k_v3", "imagenet1k_v3"),
    ("train resnet18 --weights imagenet1k_v2", "Did you mean imagenet1k_v1?"),
    ("train resnet20 --weights text.safetensors", "text.safetensors"),
    ("train resnet20 --weights notes.txt", "notes.txt"),
    ("train resnet20 --weights empty", "empty"),
    ("train resnet20 --weights strange.safetensors", "the weights do not fit"),
    ("train resnet32 --weights weights.safetensors", "the weights do not fit"),
    # where the run goes
    ("train resnet20 --output notes.txt", "notes.txt is a file"),
    ("train resnet20 --output notes.txt/run", "notes.txt"),
    ("train resnet20 --output photos", "photos is not empty"),
    ("train resnet20 --output run", "Continue it with `zoo train --resume run`"),
    # resume
    ("train --resume nowhere", "there is no folder nowhere"),
    ("train --resume notes.txt", "notes.txt is a file, not a run folder"),
    ("train --resume photos", "photos is not a run: it has no config.toml"),
    ("train --resume no-config", "no-config is not a run: it has no config.toml"),
    ("train --resume torn-config", "torn-config/config.toml"),
    ("train --resume no-data", "no-data has no data.json"),
    ("train resnet20 --resume run", "MODEL (resnet20) cannot be given with --resume"),
    ("train --resume run --config broken.toml", "--config (broken.toml) cannot be given"),
    ("train --resume run --output new", "--output (new) cannot be given with --resume"),
    ("train --resume run --batch-size 8", "training.batch_size (command line) cannot change"),
    ("train --resume run --set optimizer.momentum=0", "optimizer.momentum (command line) cannot"),
    ("train --resume run --set model.name=resnet32", "model.name (command line) cannot change"),
    ("train --resume run --epochs 99", "the schedule one_cycle would have had"),
    ("train --resume run --epochs 0", "training.epochs = 0"),
    ("train --resume run --data other", "the classes are"),
    ("train --resume run --data flat", "is not the data that run was trained on"),
    ("train --resume run --data nowhere", "nowhere"),
    ("train --resume run --device cuda:99", "device cuda:99"),
]  # fmt: skip

OTHER_VERBS = [
    ("trian resnet20", "Did you mean train?"),
    ("frobnicate", "unknown command 'frobnicate'"),
    ("list modles", "Did you mean models?"),
    ("list --task clasification", "Did you mean classification?"),
    ("info resent20", "Did you mean resnet20"),
    ("info", "Missing argument 'MODEL'"),
    ("data check nowhere", "nowhere"),
    ("data check empty", "it has no class folders"),
    ("data chek photos", "Did you mean 'check'?"),
    ("eval", "Missing argument 'RUN|MODEL'"),
    ("eval nowhere", "there is no folder nowhere"),
    ("eval resent20 --data photos", "For the model resnet20, give --weights too."),
    ("eval resnet20", "Give --weights with a file"),
    ("eval photos", "photos is not a run: it has no config.toml"),
    ("eval notes.txt", "notes.txt is a file, not a run folder"),
    ("eval torn-config", "torn-config/config.toml"),
    ("eval run --data other", "only in the data: 'green'; only in the model: 'blue'"),
    ("eval run --data digits", "the classes of digits are not those of the model"),
    ("eval run --data nowhere", "nowhere"),
    ("eval run --data empty", "it has no class folders"),
    ("eval run --split tset", "train"),
    ("eval run --checkpoint bets", "Use best, last or step-N."),
    ("eval run --checkpoint step-99", "There are: best, last, step-2."),
    ("eval run --device gpu", "Use auto, cpu, cuda, cuda:N or mps."),
    ("eval run --precision fp23", "Use auto, fp32, bf16 or fp16."),
    ("eval run --batch-size 0", "--batch-size"),
    ("eval run --weights text.pth", "run"),
    ("eval resnet20 --weights text.pth --data photos", "text.pth"),
    ("eval resnet20 --weights nowhere.pth --data photos", "nowhere.pth"),
    ("eval resnet20 --weights strange.safetensors --data photos", "fc.weight"),
    ("eval resnet20 --weights weights.safetensors", "Give --data SOURCE."),
    ("predict run", "Missing argument 'PATH...'"),
    ("predict run nowhere.jpg", "nowhere.jpg: there is no such file or folder"),
    ("predict run text.jpg", "text.jpg"),
    ("predict run notes.txt", "notes.txt"),
    ("predict run empty", "empty holds no images"),
    ("predict run ''", "an empty path names no image"),
    ("predict run empty/*.jpg", "the pattern matches nothing"),
    ("predict run flat/red/0.jpg --top-k 0", "--top-k"),
    ("predict run flat/red/0.jpg --save notes.txt", "notes.txt"),
    ("predict run flat/red/0.jpg --checkpoint bets", "Use best, last or step-N."),
    ("predict run text.jpg --on-bad-image skip", "no image could be read (of 1)"),
    ("predict resnet20 flat/red/0.jpg", "Give --weights with a file"),
    ("predict nowhere flat/red/0.jpg", "there is no folder nowhere"),
]  # fmt: skip


def words_of(line: str) -> list[str]:
    return ["" if word == "''" else word for word in line.split()]


@pytest.mark.parametrize(("line", "expected"), TRAIN)
def test_train_refuses(zoo, untouched, line, expected):
    outcome = zoo(*words_of(line))

    assert_is_refused(outcome, expected)


@pytest.mark.parametrize(("line", "expected"), OTHER_VERBS)
def test_the_other_verbs_refuse(zoo, untouched, line, expected):
    outcome = zoo(*words_of(line))

    assert_is_refused(outcome, expected)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("ZOO_TRAINING__EPOCHS", "many", "training.epochs = 'many' (environment)"),
        ("ZOO_TRAINING__EPOCH", "3", "unknown key training.epoch (environment)"),
        ("ZOO_TRANING__EPOCHS", "3", "unknown key traning (environment)"),
        ("ZOO_OPTIMIZER__MOMENTUN", "0.9", "optimizer.momentun (environment)"),
        ("ZOO_TRAINING__CLIP_NORM", "[1", "Are its brackets closed?"),
    ],
)
def test_a_wrong_variable_is_refused(zoo, untouched, monkeypatch, variable, value, expected):
    monkeypatch.setenv(variable, value)

    outcome = zoo("train", "resnet20")

    assert_is_refused(outcome, expected)


def test_one_run_folder_serves_one_process_at_a_time(zoo, untouched):
    with RunFolder.open(Path("run")).lock():
        outcome = zoo("train", "--resume", "run")

    assert_is_refused(outcome, f"run is in use by process {os.getpid()}")


def test_a_folder_that_another_process_has_claimed_is_refused(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    RunFolder.create(Path("run"), model="m", dataset="d")

    outcome = zoo("train", "resnet20", "--output", "run")

    assert_is_refused(outcome, "run is not empty")
    assert {path.name for path in Path("run").iterdir()} == {"run.lock", "checkpoints"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("eval no-best", "no-best has no best weights yet"),
        ("predict no-best flat/red/0.jpg", "Train on with: zoo train --resume no-best"),
        ("eval torn-checkpoints --checkpoint step-2", "step-2"),
    ],
)
def test_a_run_without_such_weights_has_failed(zoo, untouched, line, expected):
    outcome = zoo(*words_of(line))

    assert (outcome.code, outcome.out) == (1, "")
    assert expected in outcome.err
    assert "looks like a bug" not in outcome.err


def test_damaged_checkpoints_are_told_and_put_aside(zoo, workplace, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(workplace / "torn-checkpoints", tmp_path / "run")

    outcome = zoo("train", "--resume", "run", "--data", workplace / "photos")

    assert (outcome.code, outcome.out) == (1, "")
    assert "step-2" in outcome.err
    assert "looks like a bug" not in outcome.err
    (aside,) = Path("run/checkpoints").iterdir()
    assert aside.name.startswith(".corrupt-step-2")


def test_images_that_do_not_fit_into_memory_are_told_before_anything_is_written(
    zoo, monkeypatch, tmp_path
):
    monkeypatch.setattr(
        "zoo.tasks.ClassificationTask.step", lambda *_: torch.empty(2**60, dtype=torch.uint8)
    )

    outcome = zoo("train", "resnet20", "--output", tmp_path / "run")

    assert outcome.code == 1
    assert "has not the memory for 2 images" in outcome.err
    assert "Use a smaller --image-size" in outcome.err
    assert not (tmp_path / "run").exists()


def test_a_kernel_that_is_not_deterministic_is_told(zoo, monkeypatch, tmp_path):
    said = (
        "adaptive_max_pool2d_backward_cuda does not have a deterministic implementation, but you"
        " set 'torch.use_deterministic_algorithms(True)'."
    )
    monkeypatch.setattr(Trainer, "train_step", Mock(side_effect=RuntimeError(said)))

    words = ("--deterministic", *words_of(FAST), "--output", tmp_path / "run")
    outcome = zoo("train", "resnet20", *words)

    assert (outcome.code, outcome.out) == (1, "")
    assert "no deterministic kernel for adaptive_max_pool2d_backward_cuda" in outcome.err
    assert "Train without --deterministic" in outcome.err
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_model_that_cannot_be_compiled_is_told(zoo, monkeypatch, tmp_path):
    # As torch's compiler fails without g++; it takes a minute to come to that.
    failure = type("InvalidCxxCompiler", (RuntimeError,), {"__module__": "torch._inductor.exc"})
    compiler = Mock(
        side_effect=failure("No working C++ compiler found\n\nSet TORCHDYNAMO_VERBOSE=1")
    )
    monkeypatch.setattr(torch.nn.Module, "compile", lambda _: None)
    monkeypatch.setattr(Trainer, "train_step", compiler)

    outcome = zoo("train", "resnet20", "--compile", *words_of(FAST), "--output", tmp_path / "run")

    assert (outcome.code, outcome.out) == (1, "")
    assert "the model cannot be compiled: No working C++ compiler found" in outcome.err
    assert "Train without --compile" in outcome.err
    assert "takes half a minute or more, and trains no faster on a CPU" in outcome.err
    assert "Traceback" not in outcome.err
