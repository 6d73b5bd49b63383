"""What is read from a file without `onnx`, held against what `onnx` reads."""

import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from inference.store.graph_file import GraphFile
from tests.bundles import MODELS, graph_bytes, sum_graph
from tests.inference.proving.test_independence import node, tensor


def operators(graph: onnx.GraphProto) -> set[str]:
    found = set()
    for each in graph.node:
        found.add(each.op_type)
        for attribute in each.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                found |= operators(inner)
    return found


@pytest.mark.parametrize(
    "path", sorted(MODELS.glob("*/*/*.onnx")), ids=lambda path: f"{path.parent.parent.name}"
)
def test_shipped_graphs_are_read_as_onnx_reads_them(path: Path) -> None:
    model, found = onnx.load(path), GraphFile.read(path)
    assert found.ir_version == model.ir_version
    assert found.opsets == {each.domain: each.version for each in model.opset_import}
    assert found.ops == operators(model.graph)
    floats = [each for each in model.graph.initializer if each.data_type == TensorProto.FLOAT]
    assert found.elements.get("fp32", 0) >= sum(int(np.prod(each.dims)) for each in floats)
    assert not found.rankless


def test_operators_of_branches_are_found(tmp_path: Path) -> None:
    def branch(kind: str) -> onnx.GraphProto:
        return helper.make_graph([node(kind, "x", "b")], kind, [], [tensor("b", "N", 2)])

    chosen = node("If", "c", "y", then_branch=branch("Abs"), else_branch=branch("Neg"))
    data = graph_bytes([chosen], [tensor("x", "N", 2)], [tensor("y", "N", 2)], {"c": np.array(True)})
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    assert GraphFile.read(path).ops == {"If", "Abs", "Neg"}


def test_half_precision_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    half = {"w": np.zeros((4, 3), np.float16), "b": np.zeros(3, np.float16)}
    kinds = TensorProto.FLOAT16
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b", "y")]
    path.write_bytes(
        graph_bytes(nodes, [tensor("x", "N", 4, kind=kinds)], [tensor("y", "N", 3, kind=kinds)], half)
    )
    found = GraphFile.read(path)
    assert (found.precision, found.elements) == ("fp16", {"fp16": 15})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"no model at all", "wire type|cut off|behind"),
        (b"\x3a\xff\xff\x03", "behind the end"),
        (b"\x08", "cut off"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=words):
        GraphFile.read(path)


@pytest.mark.parametrize("size", [1, 40, 100, 200])
def test_a_file_that_is_cut_off_is_told_and_let_go_of(tmp_path: Path, size: int) -> None:
    data = (MODELS / "retail" / "2" / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(data[: len(data) - size])
    with pytest.raises(ValueError, match=r"behind the end|cut off"):
        GraphFile.read(tmp_path / "model.onnx")


def test_a_graph_that_is_cut_off_anywhere_is_a_fault_in_words(tmp_path: Path) -> None:
    path, data = tmp_path / "model.onnx", sum_graph()
    for end in range(1, len(data)):
        path.write_bytes(data[:end])
        with contextlib.suppress(ValueError):  # and nothing else, such as BufferError of the mapped file
            GraphFile.read(path)
