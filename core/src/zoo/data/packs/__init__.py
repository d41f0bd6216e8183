"""A whole source in a few files, reduced: written once, read as any other."""

from zoo.data.packs._packed import Packed, altered_files, holds_pack, read_pack
from zoo.data.packs._sample import Packing
from zoo.data.packs._write import PackResult, write_pack

__all__ = [
    "PackResult",
    "Packed",
    "Packing",
    "altered_files",
    "holds_pack",
    "read_pack",
    "write_pack",
]
