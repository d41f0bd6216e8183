"""Turn events and results into what people read: console, JSON lines, TensorBoard, tables."""

from zoo.reporting._console import ConsoleReporter
from zoo.reporting._format import format_count, format_duration, format_metric, format_metrics
from zoo.reporting._json_lines import JsonLines
from zoo.reporting._profile import Profile
from zoo.reporting._profiler import Profiler
from zoo.reporting._summary import RunSummary
from zoo.reporting._tensorboard import TensorBoard

__all__ = [
    "ConsoleReporter",
    "JsonLines",
    "Profile",
    "Profiler",
    "RunSummary",
    "TensorBoard",
    "format_count",
    "format_duration",
    "format_metric",
    "format_metrics",
]
