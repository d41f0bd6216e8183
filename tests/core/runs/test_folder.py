"""Run folders: made for one run alone, refused where something is, opened where a run is."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from zoo.errors import RunFolderError, StorageError
from zoo.runs import RunFolder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(tmp_path):
    run = RunFolder.create(tmp_path / "run", model="resnet34", dataset="digits")
    run.write_text("config.toml", "")
    return run


def test_the_default_folder_names_model_data_and_time(here, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda _: "20260131-142501")

    run = RunFolder.create(None, model="resnet34", dataset="digits")

    assert run.path == Path("runs/resnet34-digits-20260131-142501")
    assert run.checkpoints.is_dir()


def test_runs_that_start_in_the_same_second_get_folders_of_their_own(here, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda _: "20260131-142501")

    runs = [RunFolder.create(None, model="resnet34", dataset="digits") for _ in range(3)]

    assert [run.path.name.removeprefix("resnet34-digits-20260131-142501") for run in runs] == [
        "",
        "-2",
        "-3",
    ]


@pytest.mark.parametrize(
    ("model", "dataset", "start"),
    [
        ("resnet:resnet34", "./my photos", "resnet-resnet34-my-photos-"),
        ("../../etc", "/etc/passwd", "etc-etc-passwd-"),
        ("a\x1b[31mb\n", "é\u202ex", "a-31mb-ex-"),
        ("", "...", "model-data-"),
        ("con", "NUL.txt", "model-data-"),
        ("m" * 300, "数据", "m" * 40 + "-data-"),
    ],
)
def test_names_never_leave_the_folder_of_runs(here, model, dataset, start):
    run = RunFolder.create(None, model=model, dataset=dataset)

    assert run.path.parent == Path("runs")
    assert run.path.name.startswith(start)
    assert list(Path("runs").iterdir()) == [run.path]


def test_a_given_folder_is_made_with_its_parents(tmp_path):
    run = RunFolder.create(tmp_path / "a" / "b", model="m", dataset="d")

    assert run.path == tmp_path / "a" / "b"
    assert run.path.is_dir()


def test_a_given_folder_may_exist_if_it_is_empty(tmp_path):
    run = RunFolder.create(tmp_path, model="m", dataset="d")

    assert run.path == tmp_path


def test_a_folder_that_is_not_empty_is_refused_and_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")

    with pytest.raises(RunFolderError, match=r"is not empty\n.*--output") as error:
        RunFolder.create(tmp_path, model="m", dataset="d")

    assert error.value.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_that_holds_a_run_is_refused_with_the_command_that_resumes_it(run):
    with pytest.raises(RunFolderError, match="already holds a run") as error:
        RunFolder.create(run.path, model="m", dataset="d")

    assert f"zoo train --resume {run.path}" in error.value.cure


def test_the_command_that_resumes_is_quoted_for_the_shell(tmp_path):
    run = RunFolder(tmp_path / "my run; rm -rf x")

    assert run.resume_command == f"zoo train --resume '{tmp_path}/my run; rm -rf x'"


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(RunFolderError, match="is a file"):
        RunFolder.create(tmp_path / "file", model="m", dataset="d")


def test_of_many_that_want_one_folder_exactly_one_gets_it(tmp_path):
    barrier, outcomes = threading.Barrier(8), []

    def create():
        barrier.wait()
        try:
            RunFolder.create(tmp_path / "run", model="m", dataset="d")
            outcomes.append("made")
        except RunFolderError:
            outcomes.append("refused")

    threads = [threading.Thread(target=create) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert sorted(outcomes) == ["made"] + ["refused"] * 7


def test_a_folder_that_was_empty_a_moment_ago_and_is_taken_now_is_refused(tmp_path, monkeypatch):
    RunFolder.create(tmp_path, model="m", dataset="d")
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(()))

    with pytest.raises(RunFolderError, match="is not empty"):
        RunFolder.create(tmp_path, model="m", dataset="d")


def test_of_many_that_start_at_once_each_gets_its_own_default_folder(here):
    barrier, paths = threading.Barrier(8), []

    def create():
        barrier.wait()
        paths.append(RunFolder.create(None, model="m", dataset="d").path)

    threads = [threading.Thread(target=create) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert len(set(paths)) == 8


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path, monkeypatch):
    def refuse(*_args):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "mkdir", refuse)

    with pytest.raises(StorageError, match="read-only") as error:
        RunFolder.create(tmp_path / "run", model="m", dataset="d")

    assert error.value.exit_code == 74
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_that_could_not_be_made_whole_can_be_asked_for_again(
    tmp_path, monkeypatch, exists
):
    path = tmp_path if exists else tmp_path / "run"

    def fail(_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StorageError):
            RunFolder.create(path, model="m", dataset="d")

    assert RunFolder.create(path, model="m", dataset="d").checkpoints.is_dir()


def test_a_user_who_may_not_write_gets_a_storage_error_and_nothing_half_made(tmp_path):
    tmp_path.chmod(0o755)
    program = (
        "import os, sys; from pathlib import Path\n"
        "from zoo.runs import RunFolder; from zoo.errors import StorageError\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "else: os.chmod(sys.argv[1], 0o555)\n"
        "try: RunFolder.create(Path(sys.argv[1]) / 'run', model='m', dataset='d')\n"
        "except StorageError as error: print(error.cause)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )

    assert done.stdout == f"cannot write {tmp_path / 'run'}: permission denied\n", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_opened_by_its_folder(run):
    assert RunFolder.open(run.path).config == run.path / "config.toml"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 300, "cannot be read: File name too long"),
        ("absent", "there is no folder"),
        ("file", "is a file"),
        ("folder", "is not a run: it has no config.toml"),
    ],
)
def test_what_is_no_run_is_refused_with_what_is_missing(tmp_path, name, reason):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()

    with pytest.raises(RunFolderError, match=reason) as error:
        RunFolder.open(tmp_path / name)

    assert error.value.exit_code == 2


def test_a_json_file_comes_back_as_it_was(run):
    run.write_json("result.json", {"best": 0.1, "epochs": 3, "worst": float("-inf")})

    assert run.read_json("result.json") == {"best": 0.1, "epochs": 3, "worst": float("-inf")}
    assert run.result.read_text().endswith("}\n")


def test_a_json_file_that_is_missing_or_damaged_is_named(run):
    (run.path / "damaged.json").write_text('{"a": ')

    with pytest.raises(RunFolderError, match=r"has no result\.json"):
        run.read_json("result.json")
    with pytest.raises(RunFolderError, match=r"damaged\.json cannot be read"):
        run.read_json("damaged.json")


@pytest.mark.parametrize(
    "name",
    ["../x", "/tmp/x", "a/b", "", ".", "..", "a\nb", "nul", "COM1.txt", "x" * 101, ".hidden"],
)
def test_a_name_that_could_leave_the_folder_is_refused(run, name):
    before = sorted(run.path.parent.rglob("*"))

    with pytest.raises(RunFolderError, match="cannot be a file's name"):
        run.write_text(name, "x")

    assert sorted(run.path.parent.rglob("*")) == before
