"""A picture of several runs: how good each is, how fast, and how large.

matplotlib is imported only here, and only when a picture is drawn; no window, no pyplot.
"""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo.errors import UsageError
from zoo.extras import import_extra
from zoo.reporting._format import format_count, is_fraction
from zoo.reporting._label_places import Box, Disc, place_labels
from zoo.runs import check_new_file, storage_errors, write_new_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
_SIZE_IN = (9.0, 5.6)
_DPI = 150
_LARGEST_AREA = 900.0
"""Of a point, in square points of 1/72 inch; the others are to scale."""
_LEAST_AREA = 14.0
_FONT_SIZE = 8.5
_GAP_PT = 3.0
"""Between a point and its label."""
_BEST, _OTHERS = "#1b6ca8", "#9aa5b1"
_LINE = {"arrowstyle": "-", "color": _OTHERS, "linewidth": 0.8, "shrinkA": 0}
"""From a label that is not beside its point."""
_LEAST_RANGE = 4.0
"""Longest by shortest time on the axis, so that runs of one speed do not look far apart."""


class PlottedRun(NamedTuple):
    """One point.

    Attributes:
        label: name of the run.
        value: of the metric.
        time_s: of one image.
        num_params: parameters, the area of the point.
    """

    label: str
    value: float
    time_s: float
    num_params: int


def check_picture_path(path: Path) -> None:
    """See that a picture can be drawn and written there, before work is spent on it.

    Raises:
        UsageError: its format is none of ours, a file is there, there is no such folder, or
            matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"{path}: a picture is a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file",
            f"For example {path.with_suffix('.png')}.",
        )
    check_new_file(path)
    import_extra(
        "matplotlib", library="matplotlib", purpose="a picture", install="zoo-core[pictures]"
    )


def save_tradeoff(
    path: Path,
    runs: Sequence[PlottedRun],
    *,
    metric: str,
    falling: bool,
    title: str,
    where: str,
) -> None:
    """Draw the metric against the time of an image, and write it to a new file.

    Runs that no other beats in both are blue and joined by a line.

    Args:
        path: a new .png, .svg or .pdf.
        runs: in any order; those with a value that is not finite are left out.
        metric: its name.
        falling: whether less of it is better.
        title: the data that were scored.
        where: device and precision of the times.

    Raises:
        UsageError: see ``check_picture_path``.
        StorageError: the file cannot be written.
    """
    check_picture_path(path)
    import matplotlib as mpl

    # Text stays text in SVG: it can be searched, and read out.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "zoo", "pdf.fonttype": 42}):
        figure = _draw(runs, metric=metric, falling=falling, title=title, where=where)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=_DPI)
    content = buffer.getvalue()
    with storage_errors(path, needed_bytes=len(content)):
        write_new_file(path, [content])


def _draw(
    runs: Sequence[PlottedRun], *, metric: str, falling: bool, title: str, where: str
) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_IN, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    scale = 100.0 if is_fraction(metric) else 1.0
    # Small points are drawn over large ones.
    points = sorted(
        (run._replace(value=run.value * scale) for run in runs if math.isfinite(run.value)),
        key=lambda run: -run.num_params,
    )
    axes.set_xlabel(
        f"time of one image in ms, on {where}\nblue: no other run is both better and faster"
    )
    axes.set_ylabel(f"{metric} in %" if scale != 1 else metric)
    axes.set_title(title, loc="left", fontweight="bold")
    if points:
        _add_points(axes, points, _unbeaten(points, falling))
        _scale_axes(axes, points)
        _add_size_legend(figure, axes, points)
        _add_labels(figure, axes, points)
    else:
        axes.text(0.5, 0.5, f"no run has a value of {metric}", ha="center")
    return figure


def _unbeaten(points: Sequence[PlottedRun], falling: bool) -> set[int]:
    """Those that no other beats in one of both figures without losing in the other."""

    def costs(run: PlottedRun) -> tuple[float, float]:
        return run.time_s, run.value if falling else -run.value

    return {
        i
        for i, run in enumerate(points)
        if not any(
            costs(other) != costs(run)
            and all(a <= b for a, b in zip(costs(other), costs(run), strict=True))
            for other in points
        )
    }


def _add_points(axes: Axes, points: Sequence[PlottedRun], best: Collection[int]) -> None:
    line = sorted((points[i].time_s * 1000, points[i].value) for i in best)
    axes.plot(*zip(*line, strict=True), color=_BEST, linewidth=1, alpha=0.5, zorder=1)
    axes.scatter(
        [run.time_s * 1000 for run in points],
        [run.value for run in points],
        s=_areas([run.num_params for run in points]),
        c=[_BEST if i in best else _OTHERS for i in range(len(points))],
        alpha=0.75,
        edgecolors="white",
        linewidths=0.8,
        zorder=2,
    )


def _areas(num_params: Sequence[int]) -> list[float]:
    largest = max(*num_params, 1)
    return [max(_LEAST_AREA, _LARGEST_AREA * count / largest) for count in num_params]


def _scale_axes(axes: Axes, points: Sequence[PlottedRun]) -> None:
    """Times on a log scale, with plain numbers, and room for points and labels."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    times_ms = [run.time_s * 1000 for run in points]
    middle = (min(times_ms) * max(times_ms)) ** 0.5
    half = max(max(times_ms) / min(times_ms), _LEAST_RANGE) ** 0.5 * 1.5
    axes.set_xscale("log")
    axes.set_xlim(middle / half, middle * half)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(y=0.15)
    axes.grid(visible=True, color="#e6e9ed", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _add_size_legend(figure: Figure, axes: Axes, points: Sequence[PlottedRun]) -> None:
    """What the areas mean: the largest and the smallest run."""
    counts = sorted({run.num_params for run in points}, reverse=True)
    shown = dict.fromkeys([counts[0], counts[-1]])
    areas = dict(zip(counts, _areas(counts), strict=True))
    handles = [
        axes.scatter([], [], s=areas[count], c=_OTHERS, alpha=0.75, label=format_count(count))
        for count in shown
    ]
    figure.legend(
        handles=handles,
        title="parameters",
        loc="outside right upper",
        frameon=False,
        labelspacing=1.2,
        handletextpad=1.0,
    )


def _add_labels(figure: Figure, axes: Axes, points: Sequence[PlottedRun]) -> None:
    """The names, beside their points or with a line to them."""
    figure.draw_without_rendering()  # settles the layout, which stays so
    figure.set_layout_engine("none")
    px = figure.dpi / 72
    areas = _areas([run.num_params for run in points])
    centres = axes.transData.transform([(run.time_s * 1000, run.value) for run in points])
    discs = [
        Disc(x, y, (area / math.pi) ** 0.5 * px)
        for (x, y), area in zip(centres, areas, strict=True)
    ]
    texts = [figure.text(0, 0, run.label, fontsize=_FONT_SIZE) for run in points]
    extents = [text.get_window_extent() for text in texts]
    for text in texts:
        text.remove()
    frame = Box(*axes.get_window_extent().extents)
    sizes = [(extent.width, extent.height) for extent in extents]
    for run, disc, place in zip(
        points, discs, place_labels(sizes, discs, frame, gap=_GAP_PT * px), strict=True
    ):
        far = place.distance(disc) > disc.radius + 2 * _GAP_PT * px
        x, y = (place.left + place.right) / 2 - disc.x, (place.bottom + place.top) / 2 - disc.y
        axes.annotate(
            run.label,
            (run.time_s * 1000, run.value),
            (x / px, y / px),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=_FONT_SIZE,
            arrowprops={**_LINE, "shrinkB": disc.radius / px} if far else None,
        )
