"""The faults of data that are told before PyTorch is imported, which takes seconds.

Small data are read whole, by the readers that training uses, so that each of their faults comes at once. Of larger
data the path alone is looked at: their rows are read once, when PyTorch is there.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from training.config import TrainConfig
from training.data.files import ENDINGS
from training.data.public_sets import PUBLIC_SETS
from training.data.sources import local_files
from training.errors import DataError, did_you_mean

SMALL = 4 << 20
"""Bytes of data that are read here, and again by the task."""


class Kind(NamedTuple):
    """The data of one's own that a task takes: the words of a message, whether a path may be such, and its reader."""

    expected: str
    fits: Callable[[Path], bool]
    read: Callable[[TrainConfig], None]


def check_data(config: TrainConfig) -> None:
    """`DataError` where `config.data` is nothing that its task can read; the files of a named set are fetched.

    A task from elsewhere knows its own data.
    """
    kind, public = _KINDS.get(config.task), PUBLIC_SETS.get(config.data)
    if kind is None:
        return
    if public is not None:
        if public.task != config.task:
            raise DataError(f"data set {config.data!r} is for {public.task}, not for {config.task}")
        local_files(public)
        return
    path = Path(config.data)
    if not kind.fits(path):
        known = [one.name for one in PUBLIC_SETS.values() if one.task == config.task]
        beside = path.parent.iterdir() if path.parent.is_dir() and not path.exists() else ()
        like = did_you_mean(config.data, (*known, *map(str, beside)))
        raise DataError(
            f"--data {config.data!r} is neither {kind.expected} nor a named set ({', '.join(known)}){like}"
        )
    # A table's images lie beside it.
    whole = path.parent if config.task == "vision" and path.is_file() else path
    if _at_most(whole, SMALL):
        _read_quietly(kind, config)


def _read_quietly(kind: Kind, config: TrainConfig) -> None:
    log = logging.getLogger("training.data")
    level = log.level
    log.setLevel(logging.ERROR)  # the task reads the same data again, and then its warnings are told
    try:
        kind.read(config)
    finally:
        log.setLevel(level)


def _at_most(path: Path, most: int) -> bool:
    """Whether a file, or the files of a folder together, have at most so many bytes."""
    if path.is_file():
        return path.stat().st_size <= most
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            total += (Path(folder) / name).lstat().st_size
            if total > most:
                return False
    return True


def _images(config: TrainConfig) -> None:
    from training.data.configured import image_config, image_flags
    from training.data.image_folder import read_folder

    processor = image_config(config, *config.image_size)
    read_folder(Path(config.data), processor, strict=config.strict, flags=image_flags(config))


def _texts(config: TrainConfig) -> None:
    from training.data.configured import text_set

    text_set(config)


def _interactions(config: TrainConfig) -> None:
    from training.data.configured import log_reading
    from training.data.events import read_events
    from training.data.interactions import hold_out

    found = read_events(Path(config.data), log_reading(config))
    try:
        hold_out(found.log, config.validation, config.seed)
    except DataError as error:
        raise DataError(f"{found.name}: {error}") from error


_KINDS = {
    "vision": Kind("a folder, nor a file,", Path.exists, _images),
    "text": Kind("a file, nor a folder,", Path.exists, _texts),
    "recommendation": Kind(f"a file ({ENDINGS})", Path.is_file, _interactions),
}
