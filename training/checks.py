"""The paths of a configuration, before any work: those to read are there, and those to write can be written to."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from training.config import TrainConfig
from training.errors import ConfigError
from training.run import already_published, open_run


def check_paths(config: TrainConfig) -> None:
    """`ConfigError` with a line for each fault; nothing is left in a folder."""
    faults = [
        *_missing(config),
        *_unwritable("models", config.models),
        *_unwritable("run", config.run_directory),
    ]
    if not faults:
        faults += _taken(config)
    if faults:
        raise ConfigError("\n".join(faults))


def _missing(config: TrainConfig) -> Iterator[str]:
    """A fault for each other model that is named and is not there."""
    sources = {
        "init_from": (config.init_from, "a bundle, a run or a checkpoint"),
        "teacher": (config.teacher, "a bundle"),
    }
    for setting, (path, expected) in sources.items():
        if path and not Path(path).exists():
            yield f"{setting}: {path} does not exist, expected {expected}"


def _unwritable(setting: str, folder: Path) -> Iterator[str]:
    """A fault where no file can be made in the folder, or in the nearest one above that is there."""
    whole = folder.absolute()
    there = next(one for one in (whole, *whole.parents) if os.path.lexists(one))
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        yield f"{setting}: got {str(folder)!r}, expected a folder to write to: {there}: {error.strerror}"


def _taken(config: TrainConfig) -> Iterator[str]:
    """A fault where the version that is asked for is published, and by another run."""
    target = config.models / config.bundle_name / str(config.version)
    if config.version and os.path.lexists(target) and not already_published(config, open_run(config)):
        yield f"version: {target} exists, and a published version is never overwritten; choose another --version"
