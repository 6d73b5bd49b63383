"""The learning-rate finder: steepest descent on the rate's logarithm, and nothing of the run is claimed."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.training.fixed import ALIKE
from training.__main__ import main
from training.errors import RunError
from training.fit.find_rate import steepest

FIXED = ("--seed", "5", "--precision", "32-true", *ALIKE)


def test_the_suggestion_is_where_the_loss_falls_fastest_by_the_logarithm_of_the_rate() -> None:
    rates = np.geomspace(1e-6, 10, 140)
    falling = 2 - 1 / (1 + np.exp(-6 * (np.log10(rates) + 3)))  # a logistic fall, steepest at 1e-3
    rising = np.where(rates > 0.1, 50 * (rates - 0.1), 0)
    noisy = falling + rising + np.where(rates < 1e-5, 1e-3 * np.random.default_rng(0).normal(size=140), 0)
    suggestion, lowest = steepest(rates, noisy)
    assert suggestion == pytest.approx(1e-3, rel=0.2)
    assert 0.05 < lowest < 0.15


def test_chance_between_neighbours_is_no_descent() -> None:
    rates = np.geomspace(1e-6, 10, 140)
    falling = 0.06 - 0.01 * np.clip(np.log10(rates) + 2, 0, None)
    falling[:40] += 1e-3 * np.random.default_rng(1).normal(
        size=40
    )  # up to 16 times as steep from one to the next
    suggestion, _ = steepest(rates, falling)
    assert suggestion > 5e-3


def test_a_sweep_without_enough_losses_says_so() -> None:
    with pytest.raises(RunError, match="2 finite losses, expected 3"):
        steepest(np.array([1e-6, 1e-5]), np.array([1.0, 1.0]))


@pytest.mark.slow
def test_finding_a_rate_prints_it_draws_it_and_leaves_the_run_free(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = ("vision", "--data", "digits", "--arch", "mlp", *FIXED, "--run", str(tmp_path))
    assert main(["train", *flags, "--find-rate"]) == 0
    printed = capfd.readouterr().out
    rate = float(printed.split("try --learning-rate ")[1].split()[0])
    assert 1e-4 < rate < 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["learning_rate.png"]
    # The suggested rate then trains in the same place.
    again = main(
        [
            "train",
            *flags,
            "--learning-rate",
            str(rate),
            "--epochs",
            "1",
            "--models",
            str(tmp_path / "m"),
            "--no-baseline",
        ]
    )
    assert again == 0
    assert json.loads((tmp_path / "config.json").read_text())["learning_rate"] == rate
