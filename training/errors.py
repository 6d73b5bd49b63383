"""The errors of training, as a tree; a message names the field, the actual value and the expected one."""

from collections.abc import Iterable
from difflib import get_close_matches


class TrainingError(Exception):
    """The run has to stop, and the user can mend the cause."""


class ConfigError(TrainingError):
    """The configuration is wrong; all faults are listed."""


class DataError(TrainingError):
    """The data are missing, damaged or of another kind than the task needs."""


class ChecksumError(DataError):
    """A file is not the published one."""


class RunError(TrainingError):
    """The run directory belongs to another configuration, or a step's artefact is missing."""


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """The end of a message on a word that nothing is called: `; did you mean --arch?`, empty where none is alike."""
    like = get_close_matches(word.lower(), list(known), n=1)
    return f"; did you mean {prefix}{like[0]}?" if like else ""
