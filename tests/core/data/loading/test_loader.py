"""What a loader gives depends on the plan alone; a worker that fails is named and ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from pathlib import Path

import pytest
import torch

from zoo.cards import InputSpec
from zoo.data.datasets import Dataset, ResidentDataset
from zoo.data.decoding import decode_image
from zoo.data.loading import Loader, epoch_batches, evaluation_batches
from zoo.data.loading import _cache as cache_module
from zoo.data.loading import _workers as workers_module
from zoo.data.loading._loader import _home
from zoo.data.loading._reading import ResidentReader
from zoo.data.transforms import image_transforms
from zoo.errors import DataError
from zoo.structures import Batch, Sample, SampleKey

SPEC = InputSpec(size_px=16, resize_px=18)
HANG_S = 5  # a busy machine starts a worker and reads a batch within it


class Numbers:
    """Images of one number each; number ``fault_at`` does something instead."""

    classes = ("even", "odd")

    def __init__(self, fault_at: int = -1, fault: Callable[[], object] = int) -> None:
        self.fault_at = fault_at
        self.fault = fault

    def __len__(self) -> int:
        return 12

    def load(self, index: int) -> Sample:
        if index == self.fault_at:
            self.fault()
        return Sample(torch.full((3, 2, 2), index, dtype=torch.uint8), {"labels": index % 2})

    def describe(self, index: int) -> str:
        return f"/photos/{index}.jpg"

    def fingerprint(self) -> str:
        return ""


class Resident(Numbers):
    """The same in memory."""

    images = torch.arange(12, dtype=torch.uint8)[:, None, None, None].expand(12, 3, 2, 2)
    targets = {"labels": torch.arange(12) % 2}  # noqa: RUF012


@pytest.fixture
def opened() -> Iterator[list[Loader]]:
    """Loaders to close."""
    loaders: list[Loader] = []
    yield loaders
    for loader in loaders:
        loader.close()


def flattened(batch: Batch) -> list[list[int]]:
    return [
        batch.images[:, 0, 0, 0].tolist(),
        batch.targets["labels"].tolist(),
        batch.ids.tolist(),
        *map(list, batch.keys),
    ]


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("dataset", [Numbers(), Resident()], ids=["files", "resident"])
def test_batches_follow_the_plan(dataset: Dataset, workers: int, opened: list[Loader]) -> None:
    plan = epoch_batches(12, seed=0, epoch=2, batch_size=5)
    loader = Loader(dataset, None, workers=workers)
    opened.append(loader)

    batches = list(loader.batches(plan))

    assert [list(batch.keys) for batch in batches] == list(plan)
    for batch, keys in zip(batches, plan, strict=True):
        index = [key.index for key in keys]
        assert batch.images.dtype == torch.uint8
        assert batch.images[:, 0, 0, 0].tolist() == index
        assert batch.ids.tolist() == index
        assert batch.targets["labels"].tolist() == [number % 2 for number in index]
        assert batch.sizes.tolist() == [[2, 2]] * len(index)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("dataset", [Numbers(), Resident()], ids=["files", "resident"])
def test_batches_and_their_parts_bring_the_seed_of_the_run(
    dataset: Dataset, workers: int, opened: list[Loader]
) -> None:
    loader = Loader(dataset, None, workers=workers)
    opened.append(loader)

    trained = list(loader.batches(epoch_batches(12, seed=7, epoch=0, batch_size=5)[1:]))
    evaluated = list(loader.batches(evaluation_batches(12, batch_size=5)))

    assert [batch.rows(1, 3).keys.seed for batch in trained] == [7, 7]
    assert [batch.keys.seed for batch in evaluated] == [0, 0, 0]


@pytest.mark.parametrize("workers", [0, 2])
def test_reading_leaves_torchs_random_state_alone(workers: int, opened: list[Loader]) -> None:
    loader = Loader(Numbers(), None, workers=workers)
    opened.append(loader)
    before = torch.get_rng_state()

    read = list(loader.batches(epoch_batches(12, seed=0, epoch=0, batch_size=5)))

    assert len(read) == 3
    assert torch.equal(torch.get_rng_state(), before)


def test_a_resident_data_set_is_recognised_and_takes_no_workers(opened: list[Loader]) -> None:
    loader = Loader(Resident(fault_at=0, fault=pytest.fail), None, workers=3)
    opened.append(loader)

    batches = list(loader.batches(evaluation_batches(12, batch_size=12)))

    assert isinstance(Resident(), ResidentDataset)
    assert not isinstance(Numbers(), ResidentDataset)
    assert len(batches[0]) == 12


def test_workers_go_on_from_plan_to_plan(opened: list[Loader]) -> None:
    loader = Loader(Processes(), None, workers=2, cache="none")
    opened.append(loader)

    epochs = [
        processes(loader.batches(epoch_batches(12, seed=0, epoch=epoch, batch_size=2)))
        for epoch in range(3)
    ]

    assert set.union(*epochs) == epochs[0]
    assert os.getpid() not in epochs[0]


def processes(batches: Iterator[Batch]) -> set[int]:
    """Those that read the samples."""
    return {pid for batch in batches for pid in batch.targets["pid"].tolist()}


def test_loaders_that_share_workers_have_no_others(opened: list[Loader]) -> None:
    plan = evaluation_batches(12, batch_size=2)
    train = Loader(Processes(), None, workers=2, cache="none")
    val = Loader(Processes(), None, workers=train, cache="none")
    opened += [train, val]

    training, evaluating = processes(train.batches(plan)), processes(val.batches(plan))

    assert len(training) == 2
    assert evaluating == training
    assert processes(train.batches(plan)) == training


def test_loaders_that_share_workers_read_in_turn_each_its_own_split(opened: list[Loader]) -> None:
    train = Loader(Numbers(), None, workers=2, cache="none")
    val = Loader(Numbers(), negative, workers=train, cache="none")
    opened += [train, val]

    for epoch in range(2):
        plan = epoch_batches(12, seed=0, epoch=epoch, batch_size=5)
        trained, evaluated = list(train.batches(plan)), list(val.batches(plan[1:]))

        assert [list(batch.keys) for batch in trained] == list(plan)
        assert [list(batch.keys) for batch in evaluated] == list(plan[1:])
        assert torch.cat([batch.images[:, 0, 0, 0] for batch in trained]).tolist() == [
            key.index for keys in plan for key in keys
        ]
        assert torch.cat([batch.images[:, 0, 0, 0] for batch in evaluated]).tolist() == [
            255 - key.index for keys in plan[1:] for key in keys
        ]


def negative(sample: Sample, _: SampleKey) -> Sample:
    return Sample(255 - sample.image, sample.targets)


def test_what_shared_workers_began_before_is_not_mistaken_for_what_they_read_now(
    opened: list[Loader],
) -> None:
    plan = evaluation_batches(12, batch_size=2)
    train = Loader(Numbers(), None, workers=1, cache="none")
    val = Loader(Numbers(), None, workers=train, cache="none")
    opened += [train, val]
    training, evaluation = train.batches(plan), val.batches(plan)
    next(training)
    next(evaluation)

    with pytest.raises(RuntimeError, match="another plan"):
        next(training)

    assert len(list(evaluation)) == 5


def test_a_cache_is_filled_before_workers_start_that_share_it(opened: list[Loader]) -> None:
    plan = evaluation_batches(12, batch_size=4)
    train = Loader(Processes(), None, workers=1, cache="none")
    val = Loader(Processes(), None, workers=train, cache="memory")
    opened += [train, val]

    training, evaluating = processes(train.batches(plan)), processes(val.batches(plan))

    assert os.getpid() not in training
    assert evaluating == {os.getpid()}


def test_a_split_in_memory_is_read_here_beside_one_that_workers_read(opened: list[Loader]) -> None:
    plan = evaluation_batches(12, batch_size=4)
    train = Loader(Numbers(), None, workers=1, cache="none")
    val = Loader(Resident(fault_at=0, fault=pytest.fail), None, workers=train)
    opened += [train, val]
    training = train.batches(plan)
    next(training)

    assert len(list(val.batches(plan))) == 3
    assert len(list(training)) == 2


class Processes(Numbers):
    """Says which process read the sample."""

    def load(self, index: int) -> Sample:
        time.sleep(0.01)
        return Sample(torch.zeros(3, 2, 2, dtype=torch.uint8), {"pid": os.getpid()})


@pytest.mark.parametrize("workers", [0, 2])
def test_an_iteration_that_was_left_does_not_disturb_the_next(
    workers: int, opened: list[Loader]
) -> None:
    plan = epoch_batches(12, seed=0, epoch=0, batch_size=2)
    loader = Loader(Numbers(), None, workers=workers)
    opened.append(loader)
    next(iter(loader.batches(plan)))

    batches = list(loader.batches(plan[3:]))

    assert [list(batch.keys) for batch in batches] == list(plan[3:])


def test_an_empty_plan_gives_nothing(opened: list[Loader]) -> None:
    loader = Loader(Numbers(), None, workers=2)
    opened.append(loader)

    assert list(loader.batches([])) == []
    assert len(list(loader.batches(evaluation_batches(12, batch_size=4)))) == 3


def refuse() -> None:
    raise DataError("/photos/7.jpg is empty (0 bytes)", "Remove it.")


def crash() -> None:
    raise ValueError("wrong shape")


def hang() -> None:
    time.sleep(600)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    os._exit(3)


def segfault() -> None:
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("fault", "cause"),
    [(refuse, "/photos/7.jpg is empty"), (crash, "/photos/7.jpg: ValueError: wrong shape")],
)
def test_a_sample_that_fails_is_named_without_a_wall_of_words(
    workers: int, fault: Callable[[], object], cause: str, opened: list[Loader]
) -> None:
    loader = Loader(Numbers(7, fault), None, workers=workers, cache="none")
    opened.append(loader)

    with pytest.raises(DataError, match=cause) as caught:
        list(loader.batches(evaluation_batches(12, batch_size=4)))

    assert "Traceback" not in str(caught.value)


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """See to the workers often: a death is found soon, however long a batch may take."""
    monkeypatch.setattr(workers_module, "_LOOK_EVERY_S", 0.2)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (kill_itself, r"died while reading /photos/7.jpg \(SIGKILL\)"),
        (leave, r"died while reading /photos/7.jpg \(exit code 3\)"),
        (segfault, r"died while reading /photos/7.jpg \(SIGSEGV|died .*exit code"),
    ],
)
def test_a_worker_that_dies_ends_with_the_sample_and_leaves_nobody(
    fault: Callable[[], object], cause: str, opened: list[Loader], looks_often: None
) -> None:
    loader = Loader(Numbers(7, fault), None, workers=2, cache="none")
    opened.append(loader)

    with pytest.raises(DataError, match=cause):
        list(loader.batches(evaluation_batches(12, batch_size=4)))

    assert leftovers(loader) == []


def test_a_worker_that_hangs_ends_with_the_sample_and_leaves_nobody(opened: list[Loader]) -> None:
    loader = Loader(Numbers(7, hang), None, workers=2, cache="none", timeout_s=HANG_S)
    opened.append(loader)

    with pytest.raises(DataError, match=f"no batch for {HANG_S} s while reading /photos/7.jpg"):
        list(loader.batches(evaluation_batches(12, batch_size=4)))

    assert leftovers(loader) == []


def test_a_worker_that_dies_says_so_when_a_batch_is_asked_for_and_not_before(
    opened: list[Loader], looks_often: None
) -> None:
    loader = Loader(Numbers(5, kill_itself), None, workers=1, cache="none")
    opened.append(loader)
    batches = loader.batches(evaluation_batches(12, batch_size=2))
    next(batches)

    workers = [worker.sentinel for worker in multiprocessing.active_children()]
    assert wait(workers, timeout=60)  # it reads ahead and dies, and nothing is raised here

    with pytest.raises(DataError, match=r"died while reading /photos/5.jpg"):
        list(batches)


def test_a_loader_goes_on_after_a_worker_died(opened: list[Loader], looks_often: None) -> None:
    loader = Loader(Numbers(11, kill_itself), None, workers=2, cache="none")
    opened.append(loader)
    plan = evaluation_batches(12, batch_size=2)
    with pytest.raises(DataError, match="died"):
        list(loader.batches(plan))

    assert len(list(loader.batches(plan[:5]))) == 5


def test_a_fault_of_one_split_is_named_and_the_other_goes_on_with_new_workers(
    opened: list[Loader], looks_often: None
) -> None:
    plan = evaluation_batches(12, batch_size=4)
    train = Loader(Numbers(), None, workers=2, cache="none")
    val = Loader(Held(7, kill_itself), None, workers=train, cache="none")
    opened += [train, val]
    list(train.batches(plan))

    with pytest.raises(DataError, match=r"died while reading /held-out/7.jpg \(SIGKILL\)"):
        list(val.batches(plan))

    assert leftovers(val) == []
    assert len(list(train.batches(plan))) == 3


class Held(Numbers):
    """Other files."""

    def describe(self, index: int) -> str:
        return f"/held-out/{index}.jpg"


@pytest.mark.parametrize("closes", [0, 1], ids=["the first", "the second"])
def test_either_loader_closes_the_workers_that_they_share(
    closes: int, opened: list[Loader]
) -> None:
    plan = evaluation_batches(12, batch_size=4)
    train = Loader(Numbers(), None, workers=2, cache="none")
    val = Loader(Numbers(), None, workers=train, cache="none")
    opened += [train, val]
    list(train.batches(plan))
    list(val.batches(plan))

    opened[closes].close()

    assert leftovers(train) == []
    assert len(list(val.batches(plan))) == 3


def leftovers(loader: Loader) -> list[str]:
    """Workers that are still there, and memory that they shared."""
    pids = loader._pool._at[:, 0].tolist()
    # By process id: other tests may share memory of theirs at this very moment.
    shared = [path.name for pid in pids for path in Path("/dev/shm").glob(f"torch_{pid}_*")]
    return [f"process {pid}" for pid in pids if Path(f"/proc/{pid}").exists()] + shared


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cache", ["none", "memory", "auto"])
def test_pixels_are_the_same_for_every_way_of_reading(
    photos: Path, workers: int, cache: str, opened: list[Loader]
) -> None:
    from zoo.data.sources import read_folders

    dataset = read_folders(photos, channels=3)["all"]
    transforms = image_transforms(
        train=True, spec=SPEC, seed=5, num_classes=2, erase=0.5,
        auto_augment="rand-m7-mstd0.5-inc1", interpolation="random", mixup=0.2, cutmix=1.0,
    )  # fmt: skip
    plan = epoch_batches(20, seed=0, epoch=1, batch_size=20, pairs=True)
    expected = [
        transforms.batch(batch)
        for batch in Loader(dataset, transforms.sample, workers=0, cache="none").batches(plan)
    ]
    loader = Loader(dataset, transforms.sample, workers=workers, cache=cache)
    opened.append(loader)

    for _ in range(2):
        (batch,) = [transforms.batch(batch) for batch in loader.batches(plan)]

        assert torch.equal(batch.images, expected[0].images)
        assert torch.equal(batch.targets["mix_weight"], expected[0].targets["mix_weight"])


def test_the_cache_decodes_once_and_only_what_fits(
    photos: Path, monkeypatch: pytest.MonkeyPatch, opened: list[Loader]
) -> None:
    from zoo.data.datasets import _file_dataset
    from zoo.data.sources import read_folders

    decoded: list[Path] = []

    def counted(path: Path, *, channels: int) -> torch.Tensor:
        decoded.append(path)
        return decode_image(path, channels=channels)

    monkeypatch.setattr(_file_dataset, "decode_image", counted)
    dataset = read_folders(photos, channels=3)["all"]
    sample = image_transforms(train=False, spec=SPEC, seed=0, num_classes=2).sample
    plan = evaluation_batches(20, batch_size=8)

    kept = Loader(dataset, sample, workers=0, cache="memory")
    for _ in range(3):
        list(kept.batches(plan))
    with_cache = len(decoded)
    decoded.clear()
    monkeypatch.setattr(cache_module, "free_memory_bytes", lambda: 1000.0)
    not_kept = Loader(dataset, sample, workers=0, cache="auto")
    for _ in range(3):
        list(not_kept.batches(plan))

    assert with_cache == 20
    assert len(decoded) >= 60


def test_images_of_several_sizes_need_a_crop(photos: Path, opened: list[Loader]) -> None:
    from zoo.data.sources import read_folders

    loader = Loader(read_folders(photos, channels=3)["all"], None, workers=0)
    opened.append(loader)

    with pytest.raises(DataError, match=r"px with 3 channels, but .* is ") as caught:
        list(loader.batches(evaluation_batches(20, batch_size=8)))

    assert "transforms.crop" in caught.value.cure


def test_reading_changes_no_file(photos: Path, opened: list[Loader]) -> None:
    from zoo.data.sources import read_folders

    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in photos.rglob("*.png")}
    sample = image_transforms(train=True, spec=SPEC, seed=0, num_classes=2).sample
    loader = Loader(read_folders(photos, channels=3)["all"], sample, workers=2, cache="none")
    opened.append(loader)

    list(loader.batches(epoch_batches(20, seed=0, epoch=0, batch_size=4)))

    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in photos.rglob("*.png")}
    assert after == before
    assert len(before) == 20


@pytest.mark.cuda
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("dataset", [Numbers(), Resident()], ids=["files", "resident"])
@pytest.mark.parametrize("cache", ["auto", "none"])
def test_batches_for_cuda_are_there_and_the_same(
    dataset: Dataset, workers: int, cache: str, opened: list[Loader]
) -> None:
    plan = evaluation_batches(12, batch_size=4)
    on_cpu, on_cuda = (
        Loader(dataset, None, workers=workers, cache=cache, device=torch.device(device))
        for device in ("cpu", "cuda")
    )
    opened += [on_cpu, on_cuda]

    expected, batches = list(on_cpu.batches(plan)), list(on_cuda.batches(plan))

    assert all(batch.images.is_cuda and batch.ids.is_cuda for batch in batches)
    assert [batch.images.cpu().tolist() for batch in batches] == [
        batch.images.tolist() for batch in expected
    ]
    assert [batch.targets["labels"].cpu().tolist() for batch in batches] == [
        batch.targets["labels"].tolist() for batch in expected
    ]


@pytest.mark.cuda
def test_taking_a_batch_out_of_a_split_on_the_device_waits_for_nothing() -> None:
    reader = ResidentReader(Resident(), device=torch.device("cuda"))
    keys = evaluation_batches(12, batch_size=4)[0]
    torch.cuda.set_sync_debug_mode("error")

    try:
        batch = reader.read(keys)
    finally:
        torch.cuda.set_sync_debug_mode("default")

    assert batch.ids.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("free_bytes", "cache", "kept"),
    [(1 << 40, "auto", True), (1 << 40, "none", False), (100, "auto", False)],
    ids=["fits", "not wanted", "too large"],
)
def test_a_resident_split_is_kept_on_a_cuda_device_where_it_fits(
    monkeypatch: pytest.MonkeyPatch, free_bytes: int, cache: str, kept: bool
) -> None:
    cuda = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free_bytes, 1 << 40))

    assert _home(Resident(), cache, cuda) == (cuda if kept else None)


def test_a_resident_split_gives_batches_where_it_is_kept() -> None:
    reader = ResidentReader(Resident(), device=torch.device("meta"))

    batch = reader.read([SampleKey(0, 3), SampleKey(0, 1)])

    assert batch.images.device.type == "meta"
    assert batch.ids.device.type == batch.targets["labels"].device.type == "meta"
    assert batch.images.shape[0] == 2
    assert batch.sizes.device.type == "cpu"
