"""What can go wrong in training, as a tree; every message names the thing, what was seen and what was expected."""


class TrainingError(Exception):
    """The run cannot go on, and the user can do something about it."""


class ConfigError(TrainingError):
    """The configuration is wrong; all faults are listed."""


class DataError(TrainingError):
    """The data are missing, damaged or not what the task needs."""


class ChecksumError(DataError):
    """A file is not the published one."""


class RunError(TrainingError):
    """The run directory belongs to another configuration, or a step's artefact is missing."""
