"""Every error of training is one that the command tells without a traceback."""

import inspect

import pytest

from training import errors
from training.errors import TrainingError

KINDS = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_is_of_training_and_documented(kind: type[Exception]) -> None:
    assert issubclass(kind, TrainingError)
    assert kind.__doc__


def test_a_wrong_file_is_a_fault_of_the_data() -> None:
    assert issubclass(errors.ChecksumError, errors.DataError)
