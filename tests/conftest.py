"""What every test stands on: one thread, a cache and settings of its own, no CUDA where none is."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before torch is imported, and for the processes that tests start: with more threads than cores
# the workers of a parallel run fight, and a test's result could depend on the machine.
os.environ["OMP_NUM_THREADS"] = "1"

# The same examples each time, and no clock: what passes here passes on a busy machine.  To look
# for new ones: pytest --hypothesis-profile=default.
settings.register_profile(
    "zoo", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("zoo")


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the cache and the settings of whoever runs the tests out of reach."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ZOO_")]:
            patch.delenv(name)
        patch.setenv("ZOO_CACHE", str(home / "zoo-cache"))
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        patch.setenv("XDG_DATA_HOME", str(home / "data"))
        yield home


def pytest_configure(config: pytest.Config) -> None:
    """Hide GPUs, unless they are what is tested: all else is to give the same bits everywhere."""
    if config.getoption("markexpr") != "cuda":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
