"""The errors of training, as a tree; a message names the field, the actual value and the expected one."""


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
