"""Epochs and batch by the size of the data."""

import pytest

from training.config import TrainConfig, make_config
from training.fit.budget import MOST_EPOCHS, settled


def _config(**settings: int) -> TrainConfig:
    own = {"task": "text", "data": "none", "arch": "bag", "epochs": 3, "batch_size": 64}
    return make_config({**own, "least_steps": 600, "least_batches": 8, **settings})


@pytest.mark.parametrize(
    ("rows", "batch_size", "epochs"),
    [
        (100_000, 64, 3),
        (6_400, 64, 6),
        (512, 64, 75),
        (300, 32, 67),
        (20, 2, 60),
        (3, 2, MOST_EPOCHS),
    ],
)
def test_a_small_set_has_smaller_batches_and_more_epochs(rows: int, batch_size: int, epochs: int) -> None:
    found = settled(_config(), rows)
    assert (found.batch_size, found.epochs) == (batch_size, epochs)
    assert settled(found, rows) == found


def test_processes_share_the_steps() -> None:
    assert settled(_config(devices=2), 6_400).epochs == 12


def test_without_rules_a_configuration_is_its_own() -> None:
    config = _config(least_steps=0, least_batches=0)
    assert settled(config, 5) == config
