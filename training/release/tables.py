"""Lookup tables in 8 bits: they stay small in memory, and a row becomes floats once it is looked up.

Everything else is computed as before, in float32, so that no row's answer depends on its company.

A table has one scale. One for each column is a little closer: 0.0026 of the largest logit instead of 0.0031 (`bag` on
`tickets`). It costs a tenth of a batch's time, since ONNX Runtime then multiplies number by number.

Matrices are left alone. Stored in 8 bits and turned into floats at load, they have the speed and memory of fp32. Kept
in 8 bits (MatMulNBits, or a scale for each row in the graph), they were 1.1 to 1.4 times as slow on the recommenders
and transformers here.
"""

from collections.abc import Container, Iterator

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

LOOKUPS = ("Gather", "GatherND")
LEAST_ELEMENTS = 1024
"""Of a table: a smaller one does not show in the size."""

LARGEST_CODE = 127
"""Not -128: a symmetric scale needs no zero point."""


def shrink_tables(model: ModelProto) -> ModelProto:
    """A copy in which float32 tables that only lookups read are int8, and each looked-up row is scaled."""
    small = ModelProto()
    small.CopyFrom(model)
    graph = small.graph
    tables = {one.name for one in graph.initializer if _is_large(one)}
    tables &= {node.input[0] for node in graph.node if node.op_type in LOOKUPS}
    tables -= set(_read_otherwise(graph))
    nodes = [each for node in graph.node for each in _with_scale(node, tables)]
    del graph.node[:]
    graph.node.extend(nodes)
    for table in [one for one in graph.initializer if one.name in tables]:
        codes, scale = _codes(numpy_helper.to_array(table))
        table.CopyFrom(numpy_helper.from_array(codes, table.name))
        graph.initializer.append(numpy_helper.from_array(scale, _scale_of(table.name)))
    return small


def _is_large(table: TensorProto) -> bool:
    dims = list(table.dims)
    return table.data_type == TensorProto.FLOAT and len(dims) > 1 and np.prod(dims) >= LEAST_ELEMENTS


def _read_otherwise(graph: GraphProto) -> Iterator[str]:
    """Names that are outputs, or that any node but a lookup in this very graph reads."""
    yield from (output.name for output in graph.output)
    for node in graph.node:
        yield from node.input[1 if node.op_type in LOOKUPS else 0 :]
        for inner in _graphs_in(node):
            yield from _read_in(inner)


def _read_in(graph: GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from node.input
        for inner in _graphs_in(node):
            yield from _read_in(inner)
    yield from (output.name for output in graph.output)


def _graphs_in(node: NodeProto) -> Iterator[GraphProto]:
    """The branches of an If, or the body of a Loop or Scan."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _with_scale(node: NodeProto, tables: Container[str]) -> Iterator[NodeProto]:
    """A node as it is, or a lookup of codes followed by their dequantization."""
    own = NodeProto()
    own.CopyFrom(node)
    yield own
    if node.op_type in LOOKUPS and node.input[0] in tables:
        own.output[0] = f"{node.output[0]}.codes"
        yield helper.make_node(
            "DequantizeLinear", [own.output[0], _scale_of(node.input[0])], [node.output[0]]
        )


def _scale_of(table: str) -> str:
    return f"{table}.scale"


def _codes(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 codes and their scale, a float32 scalar."""
    scale = np.float32(np.abs(table).max() / LARGEST_CODE) or np.float32(1)
    return np.rint(table / scale).astype(np.int8), np.asarray(scale, np.float32)
