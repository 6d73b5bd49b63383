"""Plots: the points that are drawn, and that each becomes a file."""

from pathlib import Path

import pytest
from PIL import Image

from training.evaluate.figures import (
    confusion_matrix,
    learning_curves,
    rate_curve,
    read_curves,
    reliability_diagram,
)
from training.evaluate.metrics import ReliabilityBin


def attempt(logs: Path, number: int, text: str) -> None:
    path = logs / "csv" / f"version_{number}" / "metrics.csv"
    path.parent.mkdir(parents=True)
    path.write_text(text)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Two attempts of one run, the second of which repeats a step; and a tenth, which sorts behind them."""
    attempt(tmp_path, 2, "step,train/loss,val/loss\n5,2.5,\n10,2.0,1.5\n")
    attempt(tmp_path, 0, "step,train/loss,val/loss\n5,3.0,\n")
    attempt(tmp_path, 10, "step,train/loss,val/loss\n10,1.0,\n")
    return tmp_path


def test_the_latest_attempt_wins_a_step(logs: Path) -> None:
    curves = read_curves(logs)
    assert curves["train/loss"] == [(5.0, 2.5), (10.0, 1.0)]
    assert curves["val/loss"] == [(10.0, 1.5)]
    assert curves["nothing of this name"] == []


@pytest.mark.slow
def test_every_plot_becomes_an_image(logs: Path, tmp_path: Path) -> None:
    learning_curves(logs, tmp_path / "curves.png", "val/accuracy", "max")
    rate_curve([(1e-4, 2.0), (1e-3, 1.0), (1e-2, 9.0)], 5e-4, tmp_path / "rates.png")
    confusion_matrix([[3, 0], [1, 2]], ("cat", "dog"), tmp_path / "confusion.png")
    bins = [ReliabilityBin(0.6, 0.5, 10), ReliabilityBin(0.9, 0.95, 30)]
    reliability_diagram({"before": bins, "after": bins}, tmp_path / "reliability.png")
    sizes = {}
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as image:
            sizes[path.stem] = image.size
    assert sizes["curves"] == (1080, 432)
    assert sizes.keys() == {"curves", "rates", "confusion", "reliability"}
