"""What every training test shares."""

import copy
import functools
from collections.abc import Iterator

import pytest
import torch
from torch.onnx._internal.exporter._registration import ONNXRegistry


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Nets this small gain nothing from threads, and OpenMP's barriers are slow on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _one_table_of_operators() -> Iterator[None]:
    """PyTorch reads its table of operators anew for every export, which is most of what a tiny one takes."""
    read = functools.cache(ONNXRegistry.from_torchlib)

    def copied(**opset: int) -> ONNXRegistry:
        table = copy.copy(read(**opset))
        table.functions = {operator: list(found) for operator, found in table.functions.items()}
        return table

    with pytest.MonkeyPatch.context() as patch:
        # Static: exports ask an instance for it, and it is a method of the class.
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(copied))
        yield
