"""Models whose requests are logged."""

from pathlib import Path

import pytest

from tests.bundles import sum_graph, write_bare, write_brightness


@pytest.fixture
def models(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    write_brightness(root)
    write_bare(root, "sum", sum_graph())
    return root
