"""Photos of dials that people have, and a table that says where their hands point."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.data.datasets import FileDataset
from zoo.errors import DataError
from zoo.structures import Sample


@dataclass(frozen=True, kw_only=True)
class Photos(FileDataset):
    """Image files with an angle each, ``angles_deg``."""

    truth_word = "angle"
    angles_deg: Sequence[float]

    def load(self, index: int) -> Sample:
        """Decode one photo."""
        image = self.image(index)
        return Sample(image, {"angles_deg": self.angles_deg[index]})

    def truths(self) -> list[float]:
        """The angles."""
        return list(self.angles_deg)

    def only(self, chosen: Iterable[int]) -> Photos:
        """The photos with these indices; zoo holds some out to score on."""
        chosen = list(chosen)
        return replace(
            self,
            names=[self.names[index] for index in chosen],
            sizes_bytes=[self.sizes_bytes[index] for index in chosen],
            angles_deg=[self.angles_deg[index] for index in chosen],
        )


def dial_photos(*, root: Path) -> dict[str, Photos]:
    """One split, named "all".

    Args:
        root: a .csv file with the columns ``path``, from where the file is, and ``angle_deg``.
    """
    try:
        with root.open(newline="", encoding="utf-8-sig") as file:
            angles_deg = {row["path"]: float(row["angle_deg"]) for row in csv.DictReader(file)}
        sizes_bytes = [(root.parent / name).stat().st_size for name in angles_deg]
    except (OSError, KeyError, TypeError, ValueError) as error:
        cure = "Say --data dial-photos:TABLE.csv, with the columns path and angle_deg."
        raise DataError(f"{root} is no table of photos: {error}", cure) from error
    photos = Photos(
        root=root.parent,
        names=list(angles_deg),
        sizes_bytes=sizes_bytes,
        classes=(),
        angles_deg=list(angles_deg.values()),
    )
    return {"all": photos}
