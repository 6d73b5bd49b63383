"""Pictures of results are drawn from their data alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.plots import draw_grid
from benchmarks.result import Grid

pytest.importorskip("matplotlib")


@pytest.mark.slow
def test_a_case_that_failed_is_seen_without_colours(tmp_path: Path) -> None:
    light = []
    for name, outcomes in (("held", (True, True)), ("failed", (True, False))):
        draw_grid(Grid(rows=("a", "b"), columns={"x": outcomes}), tmp_path / f"{name}.png")
        grey = np.asarray(Image.open(tmp_path / f"{name}.png").convert("L"))
        light.append((grey < 128).mean())
    assert light[1] < 0.7 * light[0]
