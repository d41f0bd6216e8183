"""Answer what is on images: files, folders of them, packs, or glob patterns."""

from __future__ import annotations

import glob
import io
import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from zoo.data.sources import ImageAlone, images_at
from zoo.errors import DataError
from zoo.runs import storage_errors, write_new_file
from zoo.wording import to_nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from zoo.inference import Predictor
    from zoo.structures import Sample

_DECODERS = 4
"""Threads; Pillow decodes outside Python's lock."""
_LONGEST_STEM = 80
_PICTURE = "picture"
"""The task's picture whose file is named as the image is."""


@dataclass(frozen=True)
class Prediction:
    """One image and what became of it.

    Attributes:
        path: of the image.
        answer: the task's; None where the image could not be read.
        fault: why it could not be read.
        pictures: the files that were written for it, by what each shows.
    """

    path: Path
    answer: Any = None
    fault: str = ""
    pictures: Mapping[str, Path] = field(default_factory=dict)


def collect_images(
    paths: Sequence[str], *, message: Callable[[str], None] = to_nobody
) -> list[ImageAlone]:
    """The images that paths name, each once, in the order of the paths.

    Args:
        paths: files, whatever their suffix; folders, searched with those inside them; packs; and
            glob patterns, in which ``**`` crosses folders.
        message: told what else a person should know of them.

    Raises:
        DataError: a path that names nothing, or a folder without images.
    """
    found = (image for path in paths for image in _images_of(path, message))
    return list({image.path: image for image in found}.values())


def predict(
    predictor: Predictor,
    images: Sequence[ImageAlone],
    *,
    batch_size: int = 32,
    save: Path | None = None,
    on_bad_image: Literal["fail", "skip"] = "fail",
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Prediction]:
    """The answers, in the order of the images, as they come.

    Args:
        predictor: answers.
        images: as from ``collect_images``.
        batch_size: images of a forward pass.
        save: folder for the task's pictures of each answer, made where it is missing; a file that
            is there already keeps its name and content, and the new ones get a number.
        on_bad_image: "fail" at the first image that cannot be read, or "skip" it: its prediction
            says why.
        progress: called with the images done and to do.

    Raises:
        DataError: an image that cannot be read.
        StorageError: a picture cannot be written.
    """
    if save is not None:
        _make_folder(save)

    def prepare(image: ImageAlone) -> Sample | DataError:
        try:
            return predictor.prepare(image.read(channels=predictor.record.input.channels))
        except DataError as error:
            if on_bad_image == "fail":
                raise
            return error

    done = 0
    with ThreadPoolExecutor(_DECODERS) as pool:
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            samples = list(pool.map(prepare, batch))
            good = [sample for sample in samples if not isinstance(sample, DataError)]
            answers = iter(predictor.answers(good, of=len(images)) if good else ())
            for image, sample in zip(batch, samples, strict=True):
                if isinstance(sample, DataError):
                    yield Prediction(image.path, fault=sample.cause)
                else:
                    answer = next(answers)
                    pictures = _save_pictures(predictor, image, answer, save) if save else {}
                    yield Prediction(image.path, answer, pictures=pictures)
            done += len(batch)
            if progress is not None:
                progress(done, len(images))


def _images_of(path: str, message: Callable[[str], None]) -> list[ImageAlone]:
    if not path:
        raise DataError("an empty path names no image", "Is a variable of the shell not set?")
    here = Path(path).expanduser()
    if found := images_at(here, message=message):
        return found
    if here.is_dir():
        raise DataError(f"{path} holds no images", "Looked in its folders too.")
    if not glob.has_magic(path):
        raise DataError(f"{path}: there is no such file or folder")
    matches = sorted(glob.glob(str(here), recursive=True))  # noqa: PTH207 - absolute ones too
    if not matches:
        raise DataError(f"{path}: the pattern matches nothing", "** crosses folders.")
    # A folder that a pattern matched may hold none.
    return [image for match in matches for image in images_at(Path(match), message=message)]


def _make_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file, not a folder for pictures", "Name another folder.")
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _save_pictures(
    predictor: Predictor, source: ImageAlone, answer: Any, folder: Path
) -> dict[str, Path]:
    pixels = source.read(channels=predictor.record.in_channels).permute(1, 2, 0).numpy()
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    contents = {}
    for name, picture in predictor.task.pictures(image, answer).items():
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        contents["" if name == _PICTURE else f"-{name}"] = buffer.getvalue()
    written = _write_under_free_name(folder, source.stem[:_LONGEST_STEM], contents)
    return {ending.removeprefix("-") or _PICTURE: target for ending, target in written.items()}


def _write_under_free_name(
    folder: Path, stem: str, contents: Mapping[str, bytes]
) -> dict[str, Path]:
    """``stem.png``, or ``stem-2.png``, ... where that is taken; nothing is ever replaced.

    Args:
        contents: of the files, by the ending behind the stem; all of them get one number.
    """
    for number in itertools.count(1):
        name = stem if number == 1 else f"{stem}-{number}"
        targets = {ending: folder / f"{name}{ending}.png" for ending in contents}
        written: list[Path] = []
        for ending, target in targets.items():
            if target.exists() or not _write_new(target, contents[ending]):
                break
            written.append(target)
        else:
            return targets
        for target in written:  # the name is taken for one of them: try the next for all
            target.unlink()
    raise AssertionError("numbers do not end")


def _write_new(target: Path, content: bytes) -> bool:
    """Whether the file was written; False where there is one already."""
    with storage_errors(target, needed_bytes=len(content)):
        try:
            write_new_file(target, [content])
        except FileExistsError:
            return False
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return True
