"""Inputs are found for graphs that say little of what they take."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from inference.errors import InferenceFailed
from inference.proving.independence import COMPARED
from inference.proving.sample_inputs import find_rows, rows_like
from inference.runtime.session import OrtSession
from inference.store.bundle import Bundle
from inference.values import Array, Tensors
from tests.bundles import graph_bytes, write_bare
from tests.inference.proving.test_independence import node, tensor

HERE = Path("test/1")
INT, STRING = TensorProto.INT64, TensorProto.STRING
IMAGE = tensor("x", "N", 3, "H", "W")


def found(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    weights: dict[str, Array],
    output: ValueInfoProto,
    **metadata: str,
) -> tuple[Tensors, ...]:
    session = OrtSession(graph_bytes(nodes, inputs, [output], weights), HERE)
    return find_rows(session.attempt, session.inputs, session.axes, metadata)


def shape(rows: Sequence[Tensors], name: str = "x") -> tuple[int, ...]:
    return rows[0][name].shape


def test_sides_are_multiples_of_what_a_network_halves_them_by() -> None:
    nodes = [
        node("AveragePool", "x", "p", kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Resize", ["p", "", "s"], ["u"], mode="nearest"),
        node("Add", "x u", "y"),
    ]
    rows = found(nodes, [IMAGE], {"s": np.array([1, 1, 32, 32], np.float32)}, tensor("y", "N", 3, "H", "W"))
    assert shape(rows) == (1, 3, 224, 224)


def test_sides_that_the_file_names_come_first() -> None:
    nodes = [node("Identity", "x", "y")]
    for metadata, side in (({"imgsz": "[96, 96]"}, 96), ({"stride": "32"}, 256), ({"imgsz": "much"}, 224)):
        rows = found(nodes, [IMAGE], {}, tensor("y", "N", 3, "H", "W"), **metadata)
        assert shape(rows) == (1, 3, side, side)


def test_a_length_that_has_to_be_long_enough_is_found() -> None:
    window = {"from": np.array([0]), "to": np.array([500]), "axis": np.array([1]), "s": np.array([-1, 500])}
    nodes = [node("Slice", "x from to axis", "part"), node("Reshape", "part s", "y")]
    rows = found(nodes, [tensor("x", "N", "T")], window, tensor("y", "N", 500))
    assert shape(rows) == (1, 512)


def test_ids_stay_inside_their_table() -> None:
    for size, most in ((20, 9), (3, 1), (1, 0)):
        table = {"t": np.zeros((size, 4), np.float32)}
        rows = found(
            [node("Gather", "t x", "y")], [tensor("x", "N", "T", kind=INT)], table, tensor("y", "N", "T", 4)
        )
        assert max(row["x"].max() for row in rows[:-1]) == most
        assert rows[-1]["x"].min() > size  # company that a table takes from nobody


def test_ids_that_begin_later_are_found() -> None:
    weights = {"t": np.zeros((11, 4), np.float32), "nine": np.array(20)}
    nodes = [node("Sub", "x nine", "i"), node("Gather", "t i", "y")]
    rows = found(nodes, [tensor("x", "N", kind=INT)], weights, tensor("y", "N", 4))
    assert rows[0]["x"].min() >= 9


def test_axes_of_one_name_have_one_size_and_a_state_may_have_another() -> None:
    same = found(
        [node("Add", "a b", "y")], [tensor("a", "N", "T"), tensor("b", "N", "T")], {}, tensor("y", "N", "T")
    )
    assert shape(same, "a") == shape(same, "b")
    state = tensor("state", 2, "", 3)
    state.type.tensor_type.shape.dim[1].Clear()  # an axis without a name
    weights = {"s": np.array([6])}
    nodes = [
        node("Reshape", "state s", "r"),
        node("ReduceSum", "x", "t", keepdims=0),
        node("Add", "r t", "y"),
    ]
    rows = found(nodes, [tensor("x", "N", "T"), state], weights, tensor("y", 6))
    assert shape(rows, "state") == (2, 1, 3)


def test_text_that_has_to_be_numbers_is_found() -> None:
    nodes = [node("Cast", "x", "y", to=TensorProto.FLOAT)]
    rows = found(nodes, [tensor("x", "N", 2, kind=STRING)], {}, tensor("y", "N", 2))
    assert all(float(word) is not None for row in rows for word in row["x"].flat)


def test_several_rows_at_once_are_tried_where_one_is_not_taken() -> None:
    rows = found(
        [node("Reshape", "x s", "y")], [tensor("x", "N", 4)], {"s": np.array([-1, 3])}, tensor("y", "M", 3)
    )
    assert shape(rows) == (3, 4)


def test_where_nothing_is_taken_the_last_reason_is_told() -> None:
    nodes = [node("Reshape", "x s", "y")]
    with pytest.raises(InferenceFailed, match=r"none of \d+ inputs .* cannot be reshaped"):
        found(nodes, [tensor("x", "A", "B")], {"s": np.array([7, 11, 13])}, tensor("y", 7, 11, 13))


def test_an_input_without_a_shape_is_tried_in_several_ranks(tmp_path: Path) -> None:
    x, y = tensor("x"), tensor("y")
    for info in (x, y):
        info.type.tensor_type.ClearField("shape")
    # onnx's checker wants a shape, exporters do not always write one, and ONNX Runtime does not ask.
    graph = helper.make_graph([node("Slice", "x a b axis", "y")], "any", [x], [y], [
        numpy_helper.from_array(np.array([value]), name) for name, value in (("a", 0), ("b", 4), ("axis", 3))
    ])  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder = write_bare(tmp_path, "any", model.SerializeToString())
    bundle = Bundle.open(folder)
    assert bundle.session is not None
    assert bundle.manifest.inputs[0].any_shape
    rows = find_rows(bundle.session.attempt, bundle.manifest.inputs, bundle.session.axes, {})
    assert (shape(rows)[0], len(shape(rows))) == (1, 4)


def test_rows_like_a_request_have_its_shape_and_range() -> None:
    x, y = (tensor(name, "N", "T", kind=INT) for name in "xy")
    session = OrtSession(graph_bytes([node("Identity", "x", "y")], [x], [y], {}), HERE)
    asked = np.array([[40, 41, 50], [44, 44, 44]])
    rows = rows_like(session.inputs, {"x": asked})
    assert {row["x"].shape for row in rows} == {(1, 3)}
    assert min(row["x"].min() for row in rows[:-1]) >= 40
    assert max(row["x"].max() for row in rows[:-1]) <= 50


def test_a_flag_differs_between_rows_and_between_their_company() -> None:
    flag = tensor("x", "N", 1, kind=TensorProto.BOOL)
    rows = found([node("Not", "x", "y")], [flag], {}, tensor("y", "N", 1, kind=TensorProto.BOOL))
    assert len({bool(row["x"].item()) for row in rows[:2]}) == 2
    assert len({bool(row["x"].item()) for row in rows[COMPARED:]}) == 2
