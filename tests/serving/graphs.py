"""Small graphs, each made to show one part of the protocol."""

from collections.abc import Iterable

from onnx import TensorProto, helper

from tests.bundles import graph_bytes

TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16,
    "BYTES": TensorProto.STRING,
}
"""Every datatype, by the protocol's name."""

MIXED = tuple(name for name in TYPES if name != "BF16")
"""Those that one graph can have together."""


def identity_graph(kind: int, *axes: int | str) -> bytes:
    """x → y, unchanged."""
    infos = [helper.make_tensor_value_info(name, kind, list(axes)) for name in ("x", "y")]
    return graph_bytes([helper.make_node("Identity", ["x"], ["y"])], infos[:1], infos[1:], {})


def types_graph(names: Iterable[str]) -> bytes:
    """One pair in_T [batch, 2] → out_T for each of these datatypes T."""
    listed = list(names)
    nodes = [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in listed]
    inputs = [helper.make_tensor_value_info(f"in_{name}", TYPES[name], ["batch", 2]) for name in listed]
    outputs = [helper.make_tensor_value_info(f"out_{name}", TYPES[name], ["batch", 2]) for name in listed]
    return graph_bytes(nodes, inputs, outputs, {})
