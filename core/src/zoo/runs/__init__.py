"""The run folder and where each thing in it came from; no torch."""

from zoo.runs._environment import describe_environment
from zoo.runs._folder import RunFolder
from zoo.runs._json import JSON, dump_json, parse_json
from zoo.runs._lock import folder_lock, turn
from zoo.runs._names import is_safe_name, printable
from zoo.runs._storage import (
    WrittenFile,
    check_free_space,
    check_new_file,
    format_bytes,
    storage_errors,
    sync_folder,
    temporary_name,
    write_atomically,
    write_new_file,
)

__all__ = [
    "JSON",
    "RunFolder",
    "WrittenFile",
    "check_free_space",
    "check_new_file",
    "describe_environment",
    "dump_json",
    "folder_lock",
    "format_bytes",
    "is_safe_name",
    "parse_json",
    "printable",
    "storage_errors",
    "sync_folder",
    "temporary_name",
    "turn",
    "write_atomically",
    "write_new_file",
]
