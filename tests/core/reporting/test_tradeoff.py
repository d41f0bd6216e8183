"""The picture of a comparison, and where it may be written."""

import math
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from zoo.errors import UsageError
from zoo.reporting import PlottedRun, check_picture_path, save_tradeoff

pytest.importorskip("matplotlib")

RUNS = [
    PlottedRun(f"run-{number:02}", 0.9 + number % 7 / 100, 0.002 * (1 + number % 5), 10**number)
    for number in range(20)
]


def save(path: Path, runs: list[PlottedRun], metric: str = "top1") -> bytes:
    save_tradeoff(
        path,
        runs,
        metric=metric,
        falling="error" in metric,
        title="photos, val: 1,200 images",
        where="cpu (2 threads), fp32",
    )
    return path.read_bytes()


def test_a_png_has_the_size_of_a_page(tmp_path: Path) -> None:
    image = Image.open(BytesIO(save(tmp_path / "runs.png", RUNS[:3])))

    assert (image.format, image.size) == ("PNG", (1350, 840))
    assert len(image.convert("RGB").getcolors(2**20)) > 10


@pytest.mark.parametrize("count", [1, 2, 20])
def test_an_svg_names_every_run_the_split_and_the_device(tmp_path: Path, count: int) -> None:
    text = save(tmp_path / "runs.svg", RUNS[:count]).decode()

    assert [run.label for run in RUNS if f">{run.label}<" in text] == [
        run.label for run in RUNS[:count]
    ]
    assert "photos, val: 1,200 images" in text
    assert "cpu (2 threads), fp32" in text
    assert "top1 in %" in text


def test_a_pdf_is_one(tmp_path: Path) -> None:
    assert save(tmp_path / "runs.PDF", RUNS[:2]).startswith(b"%PDF")


@pytest.mark.parametrize(
    "runs",
    [
        [PlottedRun("a", 1.0, 0.01, 5), PlottedRun("b", 1.0, 0.01, 5)],
        [PlottedRun("a", 1.0, 1e-7, 0), PlottedRun("b", 0.0, 1000.0, 10**12)],
    ],
    ids=["equal in all", "far apart"],
)
def test_runs_may_be_equal_or_far_apart(tmp_path: Path, runs: list[PlottedRun]) -> None:
    text = save(tmp_path / "runs.svg", runs).decode()

    assert ">a<" in text
    assert ">b<" in text


def test_a_run_without_a_value_is_left_out(tmp_path: Path) -> None:
    runs = [PlottedRun("a", 3.0, 0.01, 5), PlottedRun("b", math.nan, 0.02, 5)]

    text = save(tmp_path / "runs.svg", runs, metric="mean_error_deg").decode()

    assert ">a<" in text
    assert ">b<" not in text
    assert ">mean_error_deg<" in text


def test_nothing_to_plot_is_an_empty_picture(tmp_path: Path) -> None:
    text = save(tmp_path / "runs.svg", [PlottedRun("a", math.nan, 0.01, 5)]).decode()

    assert "no run has a value" in text


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "runs.png"
    path.write_text("mine")

    with pytest.raises(UsageError, match=r"runs\.png is there already"):
        save(path, RUNS[:2])

    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("runs.jpg", r"a picture is a \.png, \.svg or \.pdf file"),
        ("runs", "For example .*runs.png"),
        ("there.png", "is there already, and is not overwritten"),
        ("dangling.png", "is there already"),
        ("missing/runs.png", "there is no folder .*missing"),
        ("there.png/runs.png", "there is no folder .*there.png"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "there.png").write_text("mine")
    (tmp_path / "dangling.png").symlink_to("nowhere")

    with pytest.raises(UsageError, match=said):
        check_picture_path(tmp_path / name)

    assert (tmp_path / "there.png").read_text() == "mine"


def test_a_folder_without_permission_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)

    with pytest.raises(UsageError, match="allows no new files"):
        check_picture_path(tmp_path / "runs.png")


def test_a_free_place_is_left_free(tmp_path: Path) -> None:
    check_picture_path(tmp_path / "runs.png")

    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_command_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(UsageError) as caught:
        check_picture_path(tmp_path / "runs.png")

    assert caught.value.cause == "a picture needs matplotlib, which is not installed"
    assert caught.value.cure == "pip install 'zoo-core[pictures]'"
