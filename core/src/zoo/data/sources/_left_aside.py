"""What lies among class folders and is no image of theirs: told, so that nobody misses it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from zoo.data.decoding import IMAGE_SUFFIXES, suffix_of
from zoo.data.files import find_files, natural_key
from zoo.wording import counted

_OF_SYSTEMS = frozenset(("thumbs.db", "desktop.ini"))
_SHOWN = 3


def left_aside(root: Path, used: Iterable[str]) -> list[str]:
    """Sentences about the files below ``root`` that are not used.

    Args:
        root: folder of class folders, or of splits with class folders.
        used: names of the images, relative to it.
    """
    used = frozenset(used)
    others = [name for name in find_files(root) if name not in used]
    images = [name for name in others if suffix_of(name) in IMAGE_SUFFIXES]
    folders = {_folder(name) for name in used}
    suffixes = Counter(
        suffix_of(name) or "without a suffix"
        for name in others
        if _folder(name) in folders and suffix_of(name) not in IMAGE_SUFFIXES and not _is_junk(name)
    )
    sentences = []
    if images:
        shown = ", ".join(sorted(images, key=natural_key)[:_SHOWN]) + ", ..." * (
            len(images) > _SHOWN
        )
        sentences.append(
            f"Left aside: {counted(len(images), 'image')} in no class folder of a split ({shown})."
        )
    if suffixes:
        listed = ", ".join(f"{count:,} {suffix}" for suffix, count in suffixes.most_common())
        sentences.append(
            f"Left aside: {counted(suffixes.total(), 'file')} in class folders that are not of a"
            f" format that is read, by their names ({listed})."
        )
    return sentences


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _is_junk(name: str) -> bool:
    return name.rpartition("/")[2].lower() in _OF_SYSTEMS
