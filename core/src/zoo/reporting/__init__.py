"""Turn events and results into what people read: lines, tables, pictures, TensorBoard."""

from zoo.reporting._console import ConsoleReporter
from zoo.reporting._format import format_count, format_duration, format_metric, format_metrics
from zoo.reporting._json_lines import JsonLines
from zoo.reporting._profile import Profile
from zoo.reporting._profiler import Profiler
from zoo.reporting._summary import RunSummary
from zoo.reporting._tensorboard import TensorBoard
from zoo.reporting._tradeoff import PlottedRun, check_picture_path, save_tradeoff

__all__ = [
    "ConsoleReporter",
    "JsonLines",
    "PlottedRun",
    "Profile",
    "Profiler",
    "RunSummary",
    "TensorBoard",
    "check_picture_path",
    "format_count",
    "format_duration",
    "format_metric",
    "format_metrics",
    "save_tradeoff",
]
