"""Graphs that are written by hand are read by ONNX as they were meant."""

import onnx
from onnx import helper

from inference.runtime import protobuf


def test_a_graph_is_read_as_it_was_meant() -> None:
    nodes = [
        protobuf.node("Concat", ["a", "c"], ["b"], axis=1),
        protobuf.node("StringSplit", ["b"], ["y", "n"], delimiter=b"\xff"),
    ]
    constant = protobuf.strings("c", [b"", b"\xfe" * 300], [1, 2])
    graph = protobuf.model(
        nodes, [("a", protobuf.STRING), ("k", protobuf.INT64)], [("y", (1, 300)), ("n", None)], [constant]
    )
    read = onnx.load_from_string(graph)
    assert [(node.op_type, list(node.input), list(node.output)) for node in read.graph.node] == [
        ("Concat", ["a", "c"], ["b"]),
        ("StringSplit", ["b"], ["y", "n"]),
    ]
    given = [helper.get_attribute_value(node.attribute[0]) for node in read.graph.node]
    assert given == [1, b"\xff"]
    kinds = [each.type.tensor_type.elem_type for each in read.graph.input]
    assert kinds == [onnx.TensorProto.STRING, onnx.TensorProto.INT64]
    whole, unknown = (each.type.tensor_type for each in read.graph.output)
    assert [axis.dim_value for axis in whole.shape.dim] == [1, 300]
    assert not unknown.HasField("shape")
    (tensor,) = read.graph.initializer
    assert list(tensor.dims) == [1, 2]
    assert list(tensor.string_data) == [b"", b"\xfe" * 300]


def test_an_operator_set_that_knows_every_node() -> None:
    nodes = [protobuf.node("StringSplit", ["c"], ["y", "n"], delimiter=b" ")]
    graph = protobuf.model(nodes, (), [("y", (1, 2))], [protobuf.strings("c", [b"a b"], [1])])
    onnx.checker.check_model(onnx.load_from_string(graph))
