"""The three ways to 8 bits, on a small graph."""

from pathlib import Path
from typing import get_args

import onnx
import pytest

from tests.training.release.graphs import linear_classifier
from training.config import load_config
from training.release.quantizers import write_quantized
from training.tasks.base import Int8Method
from training.tasks.registry import BUILT_IN, find_task


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return linear_classifier(tmp_path_factory.mktemp("graph") / "model.onnx")


@pytest.mark.parametrize(
    ("method", "sign", "smaller"),
    [
        ("static", "QuantizeLinear", True),
        ("dynamic", "DynamicQuantizeLinear", True),
        ("tables", "MatMul", False),
    ],
)
def test_each_method_leaves_its_sign_in_the_graph(
    graph: Path, tmp_path: Path, method: Int8Method, sign: str, smaller: bool
) -> None:
    task = find_task("vision")
    data = task.load(load_config("vision", ("--data", "digits", "--arch", "mlp")))
    write_quantized(method, task, graph, data, tmp_path / "int8.onnx")
    model = onnx.load(tmp_path / "int8.onnx")
    assert sign in {node.op_type for node in model.graph.node}
    stored = {one.data_type for one in model.graph.initializer if len(one.dims) > 1}
    assert (onnx.TensorProto.INT8 in stored) is smaller, "no table is in this graph"


def test_every_method_is_tried_by_some_task() -> None:
    assert {method for task in map(find_task, BUILT_IN) for method in task.int8_methods} == set(
        get_args(Int8Method)
    )
