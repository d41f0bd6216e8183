"""Several processes as one run, over gloo on the CPU; forked from this one to start fast."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from zoo.cards import InputSpec, ModelCard
from zoo.checkpoint import latest_checkpoint
from zoo.config import Layer
from zoo.distributed import Agreement, gather_rows, launch, launch_environment, process_group, rank
from zoo.errors import ConfigError, StoppedError
from zoo.plugins import Plugin, load_plugins
from zoo.registry import Registry, default_registry
from zoo.training import Callback, Trainer
from zoo.workflows import plan_training, run_training

# From Python 3.12 on; a child does not wait for any thread of its parent.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

LogOf = Callable[[Path], list[dict[str, Any]]]

CPU = torch.device("cpu")


def linear(*, num_classes: int, in_channels: int = 1) -> nn.Module:
    """Without batch norm, whose statistics are each process's own."""
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * 64, num_classes))


def with_norm(*, num_classes: int, in_channels: int = 1) -> nn.Module:
    """With batch norm and dropout: buffers and random states of several processes."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 4, 3),
        nn.BatchNorm2d(4),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Linear(4 * 36, num_classes),
    )


def dense(*, num_classes: int, in_channels: int = 1) -> nn.Module:
    """A class for each pixel, without batch norm."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, num_classes, 1)
    )


def registry() -> Registry:
    cards = tuple(
        ModelCard(
            name=name,
            summary="for this test",
            factory=f"{__name__}:{name}",
            task=task,
            num_params=0,
            gmacs=0.0,
            input=InputSpec(channels=1, size_px=8, resize_px=None, mean=(0.5,), std=(0.5,)),
        )
        for name, task in (
            ("linear", "classification"),
            ("with_norm", "classification"),
            ("dense", "segmentation"),
        )
    )
    mine = Plugin(
        name="tiny", distribution="zoo-tiny", version="1", target=__name__, cards={"model": cards}
    )
    return Registry([*load_plugins(found=[]), mine])


SETTINGS: dict[str, Any] = {
    "model": {"name": "linear"},
    "data": {"image_size": 8},
    "training": {"epochs": 2, "batch_size": 97, "save_every": 4},
    "machine": {"device": "cpu", "precision": "fp32", "threads": 1},
}


def settings(**sections: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **SETTINGS,
        **{name: {**SETTINGS.get(name, {}), **keys} for name, keys in sections.items()},
    }


def train(config: Mapping[str, Any], output: Path, *callbacks: Callback) -> None:
    plan = plan_training([Layer("test", config)], registry=registry())
    run_training(plan, output=output, callbacks=callbacks, registry=registry())


def resume(output: Path) -> None:
    plan = plan_training([], resume=output, registry=registry())
    run_training(plan, resume=output, registry=registry())


def fork_ranks(processes: int, work: Callable[[int], None]) -> list[int]:
    """Run ``work(rank)`` in forked processes that find each other; their exit codes, by rank."""
    meeting = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    environments = [launch_environment(rank, processes, meeting.port) for rank in range(processes)]
    children = [_fork_rank(number, env, work) for number, env in enumerate(environments)]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _fork_rank(number: int, environment: dict[str, str], work: Callable[[int], None]) -> int:
    child = os.fork()
    if child:
        return child
    os.environ |= environment
    code = 1
    try:
        work(number)
        code = 0
    except BaseException as error:  # noqa: BLE001 - a forked test must not go on as pytest
        code = getattr(error, "exit_code", 1)
        sys.stderr.write(f"rank {number}: {error!r}\n")
    finally:
        sys.stderr.flush()
        os._exit(code)


def state_of(output: Path) -> tuple[int, dict[str, torch.Tensor]]:
    newest = latest_checkpoint(output / "checkpoints", warn=pytest.fail)
    assert newest is not None
    return newest.step, dict(newest.tensors)


def assert_close(log: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """The same lines, their numbers equal but for the order of float additions."""
    for ours, theirs in zip(log, expected, strict=True):
        assert ours.pop("event") == theirs.pop("event")
        assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """Import before forking what every child would import."""
    torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)


@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_train_as_one(tmp_path: Path, processes: int, log_of: LogOf) -> None:
    """360 images and batches of 97 divide by neither: every shard is uneven somewhere."""
    train(SETTINGS, tmp_path / "one")

    codes = fork_ranks(processes, lambda _: train(SETTINGS, tmp_path / "several"))

    assert codes == [0] * processes
    one, several = log_of(tmp_path / "one"), log_of(tmp_path / "several")
    assert [line["step"] for line in several] == [line["step"] for line in one]
    assert [line["images"] for line in several] == [line["images"] for line in one]
    assert_close(several, one)
    weights = {k: v for k, v in state_of(tmp_path / "one")[1].items() if k.startswith("model/")}
    found = {k: v for k, v in state_of(tmp_path / "several")[1].items() if k.startswith("model/")}
    torch.testing.assert_close(found, weights, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy+dice", "focal"])
def test_several_processes_segment_as_one(tmp_path: Path, loss: str, log_of: LogOf) -> None:
    """Shards hold unequal numbers of counted pixels, and of classes on their images."""
    config = settings(
        model={"name": "dense"},
        task={"loss": loss, "ignore_index": 3},
        data={"image_size": 32},
        transforms={"crop": "random", "scale": [0.5, 1.0], "rotate_deg": 20.0},
        training={"epochs": 1, "batch_size": 299, "max_steps": 2},
    )
    train(config, tmp_path / "one")

    codes = fork_ranks(2, lambda _: train(config, tmp_path / "two"))

    assert codes == [0, 0]
    assert_close(log_of(tmp_path / "two"), log_of(tmp_path / "one"))


DETECTOR = {
    "name": "rcnn:faster_rcnn_fpn",
    "backbone": "resnet20",
    "norm": "frozen",
    "stages": ["layer2", "layer3"],
    "fpn_channels": 8,
    "anchor_sizes": [8, 16, 32],
    "head_width": 16,
    "proposals_train": 40,
    "proposals_test": 20,
    "samples": 16,
}


def boxed_images(root: Path) -> Path:
    """Nine grey images of two sizes, each but the last with a bright rectangle."""
    lines = ["path,xmin,ymin,xmax,ymax,class,split"]
    for number in range(9):
        draw = np.random.default_rng(number)
        height, width = ((48, 64), (64, 40))[number % 2]
        pixels = draw.integers(0, 60, (height, width)).astype(np.uint8)
        top, left = draw.integers(0, 20, 2).tolist()
        pixels[top : top + 16, left : left + 14] = 200
        Image.fromarray(pixels).save(root / f"{number}.png")
        corners = f"{left},{top},{left + 14},{top + 16}" if number < 8 else ",,,"
        lines.append(f"{number}.png,{corners},thing,{'train' if number % 3 else 'val'}")
    (root / "boxes.csv").write_text("\n".join(lines) + "\n")
    return root / "boxes.csv"


def test_two_processes_detect_as_one(tmp_path: Path, log_of: LogOf) -> None:
    """Six images in batches of three: one process has two of them, the other one."""
    config = settings(
        model=DETECTOR,
        data={"source": f"csv:{boxed_images(tmp_path)}", "image_size": 64, "workers": 0},
        optimizer={"name": "sgd", "learning_rate": 0.01},
        training={"batch_size": 3, "epochs": 2},
    )

    def detect(output: Path) -> None:
        plan = plan_training([Layer("test", config)], registry=default_registry())
        run_training(plan, output=output, registry=default_registry())

    detect(tmp_path / "one")
    codes = fork_ranks(2, lambda _: detect(tmp_path / "two"))

    assert codes == [0, 0]
    one, two = ([drop_unknown(line) for line in log_of(tmp_path / n)] for n in ("one", "two"))
    assert_close(two, one)
    weights, found = (
        {k: v for k, v in state_of(tmp_path / n)[1].items() if k.startswith("model/")}
        for n in ("one", "two")
    )
    torch.testing.assert_close(found, weights, rtol=1e-4, atol=1e-6)


def drop_unknown(line: dict[str, Any]) -> dict[str, Any]:
    """Without scores that nothing is known of: there are no objects of that size."""
    return {name: value for name, value in line.items() if value is not None}


def test_the_processes_of_a_step_see_the_samples_of_one_process(tmp_path: Path) -> None:
    def record(place: Path) -> None:
        place.mkdir(exist_ok=True)
        step = Trainer.train_step

        def noting(self: Trainer, batch: Any) -> None:
            with (place / f"{self.state.step}-{rank()}").open("w") as file:
                file.write(" ".join(map(str, batch.ids.tolist())))
            step(self, batch)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Trainer, "train_step", noting)
            train(SETTINGS, place / "run")

    record(tmp_path / "one")
    codes = fork_ranks(2, lambda _: record(tmp_path / "two"))

    def steps(place: Path) -> list[list[str]]:
        return [
            [i for part in sorted(place.glob(f"{n}-*")) for i in part.read_text().split()]
            for n in range(30)
        ]

    assert codes == [0, 0]
    assert steps(tmp_path / "two") == steps(tmp_path / "one")
    assert sum(map(len, steps(tmp_path / "one"))) == 2 * 1437


class TermAtStep(Callback):
    """Rank 0 sends SIGTERM to another process when it has done a step."""

    def __init__(self, step: int, pid_file: Path) -> None:
        self.step = step
        self.pid_file = pid_file

    def on_step_end(self, trainer: Trainer, progress: Any) -> None:
        if progress.step == self.step:
            os.kill(int(self.pid_file.read_text()), signal.SIGTERM)


def test_sigterm_to_one_process_stops_all_at_one_step_and_the_run_resumes_exactly(
    tmp_path: Path, log_of: LogOf
) -> None:
    config = settings(model={"name": "with_norm"})
    pid = tmp_path / "pid"

    def work(number: int) -> None:
        if number == 1:
            pid.write_text(str(os.getpid()))
        train(config, tmp_path / "cut", TermAtStep(7, pid))

    whole = fork_ranks(2, lambda _: train(config, tmp_path / "whole"))
    cut = fork_ranks(2, work)
    stopped_at = state_of(tmp_path / "cut")[0]
    resumed = fork_ranks(2, lambda _: resume(tmp_path / "cut"))

    assert (whole, cut, resumed) == ([0, 0], [75, 75], [0, 0])
    assert 7 <= stopped_at <= 9
    assert log_of(tmp_path / "cut") == log_of(tmp_path / "whole")
    torch.testing.assert_close(
        state_of(tmp_path / "cut")[1], state_of(tmp_path / "whole")[1], rtol=0, atol=0
    )


def test_a_run_of_two_processes_goes_on_with_one(tmp_path: Path, log_of: LogOf) -> None:
    class Stop(Callback):
        def on_step_end(self, trainer: Trainer, progress: Any) -> None:
            if progress.step == 5:
                os.kill(os.getpid(), signal.SIGTERM)

    train(SETTINGS, tmp_path / "one")
    cut = fork_ranks(2, lambda _: train(SETTINGS, tmp_path / "cut", Stop()))

    resume(tmp_path / "cut")

    assert cut == [75, 75]
    assert_close(log_of(tmp_path / "cut"), log_of(tmp_path / "one"))


def test_all_processes_score_the_statistics_that_are_saved(tmp_path: Path) -> None:
    """Each has seen other images, and batch norm other statistics of them."""
    scored = Trainer._evaluate

    def work(number: int) -> None:
        def noting(self: Trainer) -> dict[str, float]:
            metrics = scored(self)
            torch.save(self.model.state_dict(), tmp_path / str(number))
            return metrics

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Trainer, "_evaluate", noting)
            train(settings(model={"name": "with_norm"}), tmp_path / "run")

    codes = fork_ranks(2, work)

    assert codes == [0, 0]
    first, second = (torch.load(tmp_path / str(number)) for number in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.fixture
def nccl(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """The second of two processes on a machine with two GPUs, its group a stand-in."""
    group = Mock()
    monkeypatch.setattr(torch.distributed, "init_process_group", group.join)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", group.leave)
    monkeypatch.setattr(torch.cuda, "set_device", group.set_device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in launch_environment(1, 2, port=0).items():
        monkeypatch.setenv(name, value)
    return group


def test_each_process_has_the_gpu_of_its_number(nccl: Mock) -> None:
    with process_group(torch.device("cuda")) as device:
        nccl.leave.assert_not_called()

    assert device == torch.device("cuda", 1)
    nccl.set_device.assert_called_once_with(device)
    assert nccl.join.call_args.args == ("nccl",)
    nccl.leave.assert_called_once_with()


def test_a_process_that_fails_alone_does_not_wait_in_nccl_for_the_others(nccl: Mock) -> None:
    with pytest.raises(RuntimeError), process_group(torch.device("cuda")):
        raise RuntimeError("of this process")

    nccl.leave.assert_not_called()


def test_processes_that_all_stop_leave_their_group(nccl: Mock) -> None:
    with pytest.raises(StoppedError), process_group(torch.device("cuda")):
        raise StoppedError("by a signal")

    nccl.leave.assert_called_once_with()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("2", r"process 2 of this machine \(LOCAL_RANK\) sees 2 GPUs"),
        ("", "LOCAL_RANK does not say which GPU"),
    ],
)
def test_a_process_without_a_gpu_of_its_own_is_told(
    nccl: Mock, monkeypatch: pytest.MonkeyPatch, number: str, said: str
) -> None:
    monkeypatch.setenv("LOCAL_RANK", number)

    with pytest.raises(ConfigError, match=said), process_group(torch.device("cuda")):
        pytest.fail("it has joined")

    nccl.join.assert_not_called()


def test_an_error_of_one_process_is_the_error_of_all(tmp_path: Path) -> None:
    """The main process cannot make the folder; the other must not wait for it."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")

    codes = fork_ranks(2, lambda _: train(SETTINGS, tmp_path / "taken"))

    assert codes == [2, 2]
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["file"]


def test_a_process_out_of_memory_ends_the_run_and_names_the_cure(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It cannot be waited for in the exchange of gradients; the other must not hang either."""
    step = Trainer.train_step

    def short(self: Trainer, batch: Any) -> None:
        if (rank(), self.state.step) == (1, 2):
            self.model.forward = lambda _: torch.empty(2**60, dtype=torch.uint8)
        step(self, batch)

    def work(_: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Trainer, "train_step", short)
            train(SETTINGS, tmp_path / "run")

    codes = fork_ranks(2, work)

    assert codes == [1, 1]
    assert "--resume RUN --set training.micro_batch_size=N" in capfd.readouterr().err


def test_rows_of_uneven_shards_are_joined_in_the_order_of_the_ranks(tmp_path: Path) -> None:
    def work(number: int) -> None:
        with process_group(CPU):
            rows = gather_rows(torch.full((number + 1, 2), number))
            assert rows.tolist() == [[0, 0], [1, 1], [1, 1], [2, 2], [2, 2], [2, 2]]

    assert fork_ranks(3, work) == [0, 0, 0]


def test_all_hear_the_greatest_word_of_a_step_one_step_later() -> None:
    def work(number: int) -> None:
        with process_group(CPU):
            agreement = Agreement()
            heard = [agreement.exchange(2 if (number, step) == (1, 1) else 0) for step in range(4)]
            assert heard == [0, 0, 2, 0]
            assert agreement.settle() == 0

    assert fork_ranks(2, work) == [0, 0]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("import os; assert os.environ['WORLD_SIZE'] == '2'", 0),
        ("import os; assert os.environ['LOCAL_WORLD_SIZE'] == '2'", 0),  # they share the cores
        ("import os, sys; sys.exit(74 if os.environ['RANK'] == '1' else 0)", 74),
        ("import sys; sys.exit(75)", 75),
    ],
)
def test_launch_gives_the_code_of_the_process_that_failed(script: str, code: int) -> None:
    assert launch(["-c", script], 2) == code


def test_launch_passes_a_signal_on_to_every_process(tmp_path: Path) -> None:
    child = textwrap.dedent(
        """
        import os, pathlib, signal, sys
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        pathlib.Path(sys.argv[1], os.environ["RANK"]).touch()
        signal.sigwait([signal.SIGTERM])
        sys.exit(75)
        """
    )
    parent = "import sys; from zoo.distributed import launch; sys.exit(launch(sys.argv[1:], 2))"
    process = subprocess.Popen([sys.executable, "-c", parent, "-c", child, str(tmp_path)])
    while len(list(tmp_path.iterdir())) < 2:
        assert process.poll() is None
        time.sleep(0.05)

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=300) == 75


@pytest.mark.skipif(sys.platform != "linux", reason="threads are listed as Linux does")
def test_no_thread_that_works_for_the_run_outlives_it() -> None:
    child = textwrap.dedent(
        """
        from pathlib import Path
        import torch
        from torch import nn
        from zoo.distributed import data_parallel, process_group

        def threads():
            return [name for path in Path("/proc/self/task").glob("*/comm")
                    if "gloo_runloop" in (name := path.read_text())]

        with process_group(torch.device("cpu")) as device:
            module = data_parallel(nn.Linear(2, 1), device)
            module(torch.ones(1, 2)).sum().backward()
            assert threads()
        assert not threads(), threads()
        """
    )

    assert launch(["-c", child], 2) == 0


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "zoo", "train", "tiny", "--gpus", "2"],
        ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "zoo", "train", "tiny"],
    ],
    ids=["gpus", "torchrun"],
)
def test_the_command_line_starts_several_processes(tmp_path: Path, command: list[str]) -> None:
    options = ["--device", "cpu", "--precision", "fp32", "--max-steps", "3", "--json"]
    _install_tiny_plugin(tmp_path)

    done = subprocess.run(
        [sys.executable, *command, *options, "--output", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 3
    assert len(json.loads(state_values(tmp_path / "run"))["random"]) == 2


def state_values(output: Path) -> str:
    (values,) = (output / "checkpoints" / "step-3").glob("values-*.json")
    return values.read_text()


def _install_tiny_plugin(site: Path) -> None:
    """A distribution that registers a linear model, as pip would leave it."""
    info = site / "zoo_tiny-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-tiny\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[zoo.plugins]\ntiny = tiny_plugin\n")
    (site / "tiny_plugin.py").write_text(
        textwrap.dedent(
            """
            from zoo import InputSpec, ModelCard, hookimpl

            @hookimpl
            def zoo_models():
                spec = InputSpec(channels=1, size_px=8, resize_px=None, mean=(0.5,), std=(0.5,))
                return [ModelCard(name="tiny", summary="linear", factory="tiny_plugin:tiny",
                                  task="classification", num_params=0, gmacs=0.0, input=spec)]

            def tiny(*, num_classes, in_channels=1):
                from torch import nn
                return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * 32 * 32, num_classes))
            """
        )
    )
