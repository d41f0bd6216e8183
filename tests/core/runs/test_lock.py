"""One process at a time in a run folder."""

import os
import platform
import signal
import subprocess
import sys

import pytest

from zoo.errors import RunFolderError
from zoo.runs import RunFolder

HOLD = (
    "import sys, time; from pathlib import Path; from zoo.runs import RunFolder\n"
    "with RunFolder(Path(sys.argv[1])).lock(): print('locked', flush=True); time.sleep(60)\n"
)


FORK = (
    "import os, sys, time; from pathlib import Path; from zoo.runs import RunFolder\n"
    "with RunFolder(Path(sys.argv[1])).lock():\n"
    "  if os.fork() == 0:\n"
    "    print('forked', flush=True); sys.stdin.read(); print('worker ends', flush=True)\n"
    "    os._exit(0)\n"
    "  time.sleep(60)\n"
)


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", model="m", dataset="d")


@pytest.fixture
def holder(run):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_and_told_who_works_here(run, holder):
    with pytest.raises(RunFolderError) as error, run.lock():
        pass

    assert f"is in use by process {holder.pid} on {platform.node()!r}" in error.value.cause
    assert error.value.exit_code == 2


def test_the_lock_ends_with_a_process_that_is_killed(run, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()

    with run.lock():
        assert f'"pid": {os.getpid()}' in (run.path / "run.lock").read_text()


def test_a_lock_can_be_taken_again_after_its_block(run):
    with run.lock():
        pass

    with run.lock():
        pass


def test_the_same_process_cannot_take_it_twice(run):
    with run.lock(), pytest.raises(RunFolderError, match=f"process {os.getpid()}"), run.lock():
        pass


def test_a_forked_worker_does_not_keep_the_lock_of_a_killed_parent(run):
    parent = subprocess.Popen(
        [sys.executable, "-c", FORK, str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout.readline() == "forked\n"
    parent.kill()
    parent.wait()

    with run.lock():
        parent.stdin.close()  # the worker has lived until now

    assert parent.stdout.read() == "worker ends\n"
    parent.stdout.close()


def test_a_lock_file_with_nonsense_in_it_is_no_obstacle(run):
    (run.path / "run.lock").write_text("\x00nonsense")

    with run.lock(), pytest.raises(RunFolderError), run.lock():
        pass
