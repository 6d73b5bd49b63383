"""What every training test shares."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Nets this small gain nothing from threads, and OpenMP's barriers are slow on a busy machine."""
    torch.set_num_threads(1)
