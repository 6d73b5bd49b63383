"""Tables in 8 bits: small where they are looked up, untouched elsewhere, and of one answer in any company."""

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from inference.processors.base import StackingProcessor
from inference.runtime.session import OrtSession
from training.release.tables import shrink_tables
from training.release.verify import prove_company

TABLE = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
LOOK_UP = helper.make_node("Gather", ["table", "ids"], ["found"])


def graph_of(*nodes: NodeProto, table: np.ndarray = TABLE) -> ModelProto:
    """ids int64 [n, 4] → `y`, by these nodes and a sum of what was `found`."""
    total = helper.make_node("ReduceSum", ["found", "axis"], ["y"], keepdims=0)
    model = helper.make_model(
        helper.make_graph(
            [*nodes, total],
            "tables",
            [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", *table.shape[1:]])],
            [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1]), "axis")],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
    )
    checker.check_model(model)
    return model


def table_in(model: ModelProto) -> np.ndarray:
    return next(numpy_helper.to_array(one) for one in model.graph.initializer if one.name == "table")


def run(model: ModelProto, ids: np.ndarray) -> np.ndarray:
    found: np.ndarray = OrtSession(model.SerializeToString(), Path("tables")).run({"ids": ids})["y"]
    return found


def test_a_table_that_is_looked_up_is_a_quarter_and_nearly_as_good(tmp_path: Path) -> None:
    small = shrink_tables(graph_of(LOOK_UP))
    checker.check_model(small)
    assert table_in(small).dtype == np.int8
    ids = np.random.default_rng(1).integers(0, 400, (8, 4))
    step = np.abs(TABLE).max() / 127
    np.testing.assert_allclose(run(small, ids), TABLE[ids].sum(1), atol=4 * step / 2 + 1e-5)
    (tmp_path / "model.onnx").write_bytes(small.SerializeToString())
    rows = [{"ids": ids[row : row + 1]} for row in range(8)]
    assert prove_company(tmp_path / "model.onnx", rows, [], StackingProcessor()).worst == 0


def test_rows_looked_up_by_places_are_too() -> None:
    """As the bag of words looks its buckets up."""
    last = helper.make_node("Constant", [], ["last"], value_ints=[2])
    places = helper.make_node("Unsqueeze", ["ids", "last"], ["places"])
    model = graph_of(last, places, helper.make_node("GatherND", ["table", "places"], ["found"]))
    small = shrink_tables(model)
    assert table_in(small).dtype == np.int8
    ids = np.arange(8).reshape(2, 4)
    np.testing.assert_allclose(run(small, ids), run(model, ids), atol=0.1)


BOTH = helper.make_node("Identity", ["table"], ["copy"])
BRANCH = helper.make_graph(
    [helper.make_node("Identity", ["table"], ["inner"])],
    "branch",
    [],
    [helper.make_tensor_value_info("inner", TensorProto.FLOAT, TABLE.shape)],
)
YES = helper.make_node("Constant", [], ["yes"], value_int=1)
CAST = helper.make_node("Cast", ["yes"], ["sure"], to=TensorProto.BOOL)
INSIDE = helper.make_node("If", ["sure"], ["copy"], then_branch=BRANCH, else_branch=BRANCH)


@pytest.mark.parametrize(
    ("nodes", "table"),
    [
        pytest.param((LOOK_UP, BOTH), TABLE, id="read otherwise, too"),
        pytest.param((LOOK_UP, YES, CAST, INSIDE), TABLE, id="read in a branch"),
        pytest.param((LOOK_UP,), TABLE[:9], id="small"),
        pytest.param((LOOK_UP,), TABLE.astype(np.float32).reshape(-1), id="of one axis"),
    ],
)
def test_any_other_table_is_left_as_it_is(nodes: tuple[NodeProto, ...], table: np.ndarray) -> None:
    small = shrink_tables(graph_of(*nodes, table=table))
    assert table_in(small).dtype == np.float32


def test_a_table_of_zeros_stays_zeros() -> None:
    assert not run(shrink_tables(graph_of(LOOK_UP, table=np.zeros_like(TABLE))), np.zeros((1, 4), int)).any()


def test_the_graph_that_was_given_is_not_changed() -> None:
    model = graph_of(LOOK_UP)
    before = model.SerializeToString()
    shrink_tables(model)
    assert model.SerializeToString() == before
