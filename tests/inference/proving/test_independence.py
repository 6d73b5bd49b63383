"""What may share a run is proved by running it; each graph here has a first axis that could be taken for a batch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from inference.errors import InferenceFailed
from inference.processors.tensor import TensorProcessor
from inference.proving.independence import COMPARED, BatchProof, companies, confirm, prove
from inference.proving.sample_inputs import find_rows
from inference.runtime.session import OrtSession
from inference.store.bundle import Bundle
from inference.values import Array, Tensors
from tests.bundles import graph_bytes

HERE = Path("test/1")
RNG = np.random.default_rng(0)


def node(kind: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def tensor(name: str, *axes: int | str, kind: int = TensorProto.FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(axes))


class Case(NamedTuple):
    """A graph, and what the proof says of it: "" where rows may share a run."""

    nodes: Sequence[NodeProto]
    inputs: Sequence[ValueInfoProto]
    outputs: Sequence[ValueInfoProto]
    weights: dict[str, Array]
    reason: str


X, Y = tensor("x", "N", 6), tensor("y", "N", 6)
AXIS_0 = {"zero": np.array([0], np.int64)}
WEIGHT = {"w": RNG.normal(size=(6, 6)).astype(np.float32)}

CASES = {
    "a layer": Case([node("MatMul", "x w", "y")], [X], [Y], WEIGHT, ""),
    "its softmax over a row": Case([node("Softmax", "x", "y", axis=1)], [X], [Y], {}, ""),
    "unchanged": Case([node("Identity", "x", "y")], [X], [Y], {}, ""),
    "its softmax over the batch": Case([node("Softmax", "x", "y", axis=0)], [X], [Y], {}, "changes with its company"),
    "sums up to here": Case([node("CumSum", "x zero", "y")], [X], [Y], {"zero": np.array(0)}, "with its company"),
    "without the mean of the batch": Case(
        [node("ReduceMean", "x", "m", axes=[0], keepdims=1), node("Sub", "x m", "y")], [X], [Y], {}, "company"
    ),
    "over the largest of all": Case(
        [node("ReduceMax", "x", "m", keepdims=0), node("Div", "x m", "y")], [X], [Y], {}, "company"
    ),
    "over the sum of the batch": Case(
        [node("ReduceSum", "x zero", "s", keepdims=1), node("Div", "x s", "y")], [X], [Y], AXIS_0, "company"
    ),
    "in reverse": Case(
        [node("Slice", "x from to zero back", "y")], [X], [Y],
        {"from": np.array([-1]), "to": np.array([-(2**31)]), "back": np.array([-1]), **AXIS_0}, "company",
    ),
    "places of what is positive": Case(
        [node("NonZero", "x", "n"), node("Transpose", "n", "y", perm=[1, 0])],
        [X], [tensor("y", "K", 2, kind=TensorProto.INT64)], {}, "row(s) went in, and shape",
    ),
    "two rows for one": Case(
        [node("Reshape", "x s", "y")], [X], [tensor("y", "M", 3)], {"s": np.array([-1, 3])}, "1 row(s) went in"
    ),
    "one row for all": Case(
        [node("ReduceMean", "x", "y", axes=[0], keepdims=1)], [X], [tensor("y", "M", 6)], {}, "row(s) went in"
    ),
    "each with each": Case(
        [node("Transpose", "b", "t", perm=[1, 0]), node("MatMul", "a t", "y")],
        [tensor("a", "N", 6), tensor("b", "M", 6)], [tensor("y", "N", "M")], {}, "shape [1, 1] alone",
    ),
    "a table beside ids": Case(
        [node("Gather", "table ids", "y")],
        [tensor("table", "V", 6), tensor("ids", "N", kind=TensorProto.INT64)], [Y], {}, "cannot be run together",
    ),
    "time on the first axis": Case(
        [node("RNN", "x w r", "y", hidden_size=2)],
        [tensor("x", "T", 1, 6)], [tensor("y", "T", 1, 1, 2)],
        {"w": RNG.normal(size=(1, 2, 6)).astype(np.float32), "r": RNG.normal(size=(1, 2, 2)).astype(np.float32)},
        "company",
    ),
    "a scale over the batch": Case(
        [node("ReduceMax", "x", "m", keepdims=0), node("Div", "x m", "d"), node("Round", "d", "r"),
         node("Mul", "r m", "y")],
        [X], [Y], {}, "company",
    ),
    "the same whatever comes": Case(
        [node("Mul", "x nothing", "y")], [X], [Y], {"nothing": np.array(0, np.float32)}, "gave the same answer"
    ),
}  # fmt: skip


def rows_of(session: OrtSession) -> tuple[Tensors, ...]:
    return find_rows(session.attempt, session.inputs, session.axes, session.metadata)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_rows_share_a_run_only_where_each_comes_out_as_alone(case: Case) -> None:
    session = OrtSession(graph_bytes(*case[:4]), HERE)
    proof = prove(session, rows_of(session), TensorProcessor())
    assert (proof.batched, proof.reason) == (
        not case.reason,
        proof.reason if case.reason in proof.reason else "",
    )
    assert bool(proof.reason) == bool(case.reason)


def test_every_kind_of_company_is_tried() -> None:
    alone_or_two = [(0, 1, 2), (3, 4, 2, 1, 0), (1, 0, 1)]
    assert [*companies(5, 3)] == alone_or_two
    assert [*companies(7, 3)] == [*alone_or_two, (5, 0, 1), (6, 0, 1)]
    assert [*companies(1, 1)] == [(0,), (0,)]


def test_the_biggest_batch_is_proved_too() -> None:
    """Only the first four rows of a batch are computed: three together cannot show it."""
    weights = {"from": np.array([0]), "to": np.array([4]), "rest": np.array([2**31]), **AXIS_0}
    nodes = [
        node("Slice", "x from to zero", "first"),
        node("Slice", "x to rest zero", "others"),
        node("Sub", "others others", "nothing"),
        node("Concat", "first nothing", "y", axis=0),
    ]
    session = OrtSession(graph_bytes(nodes, [X], [Y], weights), HERE)
    rows = rows_of(session)
    assert prove(session, rows[:COMPARED], TensorProcessor()).batched
    assert "beside 7 others" in confirm(session, rows, TensorProcessor(), 8).reason


def test_company_that_a_graph_takes_from_nobody_is_no_reason() -> None:
    class NoNan:
        def run(self, tensors: Tensors) -> Tensors:
            if np.isnan(tensors["x"]).any():
                raise InferenceFailed("not a number")
            return session.run(tensors)

    session = OrtSession(graph_bytes(*CASES["a layer"][:4]), HERE)
    assert prove(NoNan(), rows_of(session), TensorProcessor()).batched


def test_a_number_that_is_none_may_not_spread() -> None:
    nodes = [node("ReduceSum", "x", "s", keepdims=0), node("Mul", "s zero", "z"), node("Add", "x z", "y")]
    session = OrtSession(graph_bytes(nodes, [X], [Y], {"zero": np.array(0, np.float32)}), HERE)
    assert "nan beside 2 others" in prove(session, rows_of(session), TensorProcessor()).reason


def test_a_masked_number_hides_no_difference() -> None:
    """One column is -1e9 whatever comes, the others move with the batch by a thousandth."""
    weights = {"mask": np.array([0, 0, 0, 0, 0, -1e9], np.float32), "bit": np.array(1e-3, np.float32)}
    nodes = [
        node("ReduceMean", "x", "m", axes=[0], keepdims=1),
        node("Mul", "m bit", "b"),
        node("Add", "x b", "moved"),
        node("Add", "moved mask", "y"),
    ]
    session = OrtSession(graph_bytes(nodes, [X], [Y], weights), HERE)
    rows = tuple({"x": RNG.normal(size=(1, 6)).astype(np.float32)} for _ in range(COMPARED))
    assert "with its company" in prove(session, rows, TensorProcessor()).reason
    still = OrtSession(graph_bytes([node("Add", "x mask", "y")], [X], [Y], {"mask": weights["mask"]}), HERE)
    assert prove(still, rows, TensorProcessor()).batched


def test_what_fails_together_is_a_reason() -> None:
    class OneOnly:
        def run(self, tensors: Tensors) -> Tensors:
            if len(tensors["x"]) > 1:
                session.run({"x": np.zeros((1, 5), np.float32)})
            return session.run(tensors)

    session = OrtSession(graph_bytes(*CASES["a layer"][:4]), HERE)
    proof = prove(OneOnly(), rows_of(session), TensorProcessor())
    assert not proof.batched
    assert proof.reason.startswith("rows cannot be run together: ")


def test_numbers_that_are_none_are_compared_by_their_kind() -> None:
    """log of negative numbers: nan at the same places; a neighbour that turns a number into nan is seen."""
    session = OrtSession(graph_bytes([node("Log", "x", "y")], [X], [Y], {}), HERE)
    assert prove(session, rows_of(session), TensorProcessor()).batched
    spoiling = [node("ReduceMin", "x", "m", keepdims=0), node("Sqrt", "m", "s"), node("Add", "x s", "y")]
    session = OrtSession(graph_bytes(spoiling, [X], [Y], {}), HERE)
    assert not prove(session, rows_of(session), TensorProcessor()).batched


def test_an_answer_that_changes_by_itself_is_told(tmp_path: Path) -> None:
    nodes = [node("RandomNormalLike", "x", "r"), node("Add", "x r", "y")]
    data = graph_bytes(nodes, [X], [Y], {})
    session = OrtSession(data, HERE)
    assert "changes run after run" in prove(session, rows_of(session), TensorProcessor()).reason
    (tmp_path / "model.onnx").write_bytes(data)
    assert Bundle.open(tmp_path).ops == {"RandomNormalLike", "Add"}


def test_a_proof_is_kept_with_a_profile() -> None:
    proof = BatchProof(batched=False, reason="it is so", worst=0.5)
    assert BatchProof.model_validate_json(proof.model_dump_json()) == proof
