"""The tests leave alone who runs them: one thread, and neither their cache nor their settings."""

import os
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest
import torch


def test_torch_has_one_thread_here_and_in_the_processes_that_tests_start() -> None:
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.environ['OMP_NUM_THREADS'])"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert torch.get_num_threads() == 1
    assert child.stdout == "1\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only ZOO_CACHE moves the folders")
def test_cache_and_settings_lie_in_a_folder_of_the_tests(own_home: Path) -> None:
    cache = Path(os.environ["ZOO_CACHE"])
    settings = Path(platformdirs.user_config_dir("zoo"))

    assert cache.is_relative_to(own_home)
    assert settings.is_relative_to(own_home)


@pytest.mark.cuda
def test_what_needs_cuda_runs_only_where_it_is() -> None:
    assert torch.cuda.is_available()
