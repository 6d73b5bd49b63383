"""Bound runs on the CPU provider: the same answers as unbound ones, from buffers that are used again and again."""

import gc
import mmap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from inference.errors import GraphInvalid, InferenceFailed
from inference.runtime import binding
from inference.runtime.binding import MAX_IDLE, BoundRuns, BufferPool, bucket_of
from inference.runtime.session import OrtSession
from inference.values import Array, Tensors
from tests.bundles import graph_bytes, sum_graph
from tests.devices import without_cuda
from tests.serving.graphs import TYPES, identity_graph, types_graph

HERE = Path("models/test/1")


def bound(session: OrtSession, max_batch_size: int) -> BoundRuns:
    return BoundRuns({0: session._session}, session.inputs, session.outputs, max_batch_size)


def pair(rows: int, seed: int = 0) -> dict[str, Array]:
    """Inputs of `sum_graph`."""
    random = np.random.default_rng(seed)
    return {name: random.normal(size=(rows, 3)).astype(np.float32) for name in ("x", "y")}


@pytest.mark.parametrize(
    ("rows", "limit", "bucket"),
    [(1, 8, 1), (2, 8, 2), (3, 8, 4), (5, 8, 8), (8, 8, 8), (5, 6, 6), (4, 6, 4), (9, 8, 9), (3, 0, 3)],
)
def test_a_batch_runs_as_the_next_power_of_two_that_the_limit_allows(
    rows: int, limit: int, bucket: int
) -> None:
    assert bucket_of(rows, limit) == bucket


def test_every_batch_is_answered_as_without_binding_and_few_shapes_are_run() -> None:
    session = OrtSession(sum_graph(), HERE)
    runs = bound(session, 8)
    for rows in (5, 2, 8, 3, 1, 6, 4, 7):  # a smaller batch after a bigger one finds its rows in the buffers
        tensors = pair(rows, seed=rows)
        (total,) = runs.run(tensors)
        assert total.shape == (rows, 3)
        np.testing.assert_array_equal(total, tensors["x"] + tensors["y"])


def test_several_parts_are_one_batch() -> None:
    session = OrtSession(sum_graph(), HERE)
    runs = bound(session, 8)
    for sizes in ((1,), (1, 1, 1), (2, 1, 4), (3, 5), (8, 8)):
        parts = [pair(rows, seed=place) for place, rows in enumerate(sizes)]
        (total,) = runs.run(*parts)
        np.testing.assert_array_equal(total, np.concatenate([part["x"] + part["y"] for part in parts]))


def test_parts_of_one_shape_are_laid_where_they_are_used_and_others_are_collated() -> None:
    infos = [helper.make_tensor_value_info(name, TensorProto.BFLOAT16, ["batch", "length"]) for name in "xy"]
    graph = graph_bytes([helper.make_node("Identity", ["x"], ["y"])], infos[:1], infos[1:], {})
    session = OrtSession(graph, HERE)
    collated: list[int] = []

    def collate(parts: Sequence[Tensors]) -> Tensors:
        collated.append(len(parts))
        longest = max(part["x"].shape[1] for part in parts)
        rows = [np.pad(part["x"], ((0, 0), (0, longest - part["x"].shape[1]))) for part in parts]
        return {"x": np.concatenate(rows)}

    def of(*lengths: int) -> list[Tensors]:
        return [{"x": np.full((1, length), 1 + place, np.uint16)} for place, length in enumerate(lengths)]

    assert session.run_together(of(1, 1), collate)["y"].tolist() == [[1], [2]]
    assert collated == [2]  # BF16 is bound on a CPU too, but there every batch is run as it comes
    collated.clear()
    session._bound = bound(session, 4)
    assert session.run_together(of(3, 3), collate)["y"].tolist() == [[1, 1, 1], [2, 2, 2]]
    assert session.run_together(of(2), collate)["y"].tolist() == [[1, 1]]
    assert collated == []
    assert session.run_together(of(2, 3), collate)["y"].tolist() == [[1, 1, 0], [2, 2, 2]]
    assert collated == [2]
    with pytest.raises(InferenceFailed):
        session.run_together([{"x": np.zeros((1, 2, 2), np.uint16)}] * 2, collate)


def test_the_graph_sees_few_batch_sizes() -> None:
    """Its output tells the rows that it was run with, in every row."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1])
    found = helper.make_tensor_value_info("rows", TensorProto.INT64, ["batch", 1])
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["count"]),
        helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Mul", ["whole", "count"], ["rows"]),
    ]
    graph = graph_bytes(nodes, [given], [found], {"first": np.array([0], np.int64)})
    runs = bound(OrtSession(graph, HERE), 6)
    seen = [runs.run({"x": np.ones((rows, 1), np.float32)})[0][:, 0].tolist() for rows in range(1, 8)]
    assert seen == [[1], [2] * 2, [4] * 3, [4] * 4, [6] * 5, [6] * 6, [7] * 7]


def test_each_batch_size_has_a_session_that_sees_no_other() -> None:
    sessions = {size: OrtSession(sum_graph(), HERE) for size in (1, 4, 16)}
    seen: list[tuple[int, tuple[int, ...]]] = []

    class Watched:
        """A session that tells the shapes it is run with."""

        def __init__(self, size: int) -> None:
            self.size, self.inner = size, sessions[size]._session

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def run_with_iobinding(self, bound: Any) -> None:
            self.inner.run_with_iobinding(bound)
            seen.append((self.size, tuple(bound.get_outputs()[0].shape())))

    first = sessions[1]
    watched: Any = {size: Watched(size) for size in sessions}
    runs = BoundRuns(watched, first.inputs, first.outputs, 16)
    for rows in (1, 5, 4, 2, 16, 1):
        tensors = pair(rows, seed=rows)
        (total,) = runs.run(tensors)
        np.testing.assert_array_equal(total, tensors["x"] + tensors["y"])
    assert [size for size, _ in seen] == [1, 16, 4, 4, 16, 1]
    assert all(shape == (size, 3) for size, shape in seen)
    assert len(runs.run(pair(20))[0]) == 20  # more than the biggest, as it is


def test_rows_that_fill_a_batch_up_are_valid_rows() -> None:
    given = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch"])
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])
    nodes = [helper.make_node("Gather", ["table", "ids"], ["y"])]
    graph = graph_bytes(nodes, [given], [found], {"table": np.arange(4, dtype=np.float32)})
    runs = bound(OrtSession(graph, HERE), 8)
    runs._pool.give_back([np.full(4096, 0x7F, np.uint8)])  # what is left in it is no place of the table
    np.testing.assert_array_equal(runs.run({"ids": np.array([3, 0, 2])})[0], [3, 0, 2])


def test_an_answer_is_the_callers_own() -> None:
    runs = bound(OrtSession(sum_graph(), HERE), 8)
    (first,) = runs.run(pair(2, seed=1))
    kept = first.copy()
    runs.run(pair(2, seed=2))
    np.testing.assert_array_equal(first, kept)


def test_runs_side_by_side_have_buffers_of_their_own() -> None:
    runs = bound(OrtSession(sum_graph(), HERE), 8)

    def right(seed: int) -> bool:
        tensors = pair(1 + seed % 8, seed)
        return np.array_equal(runs.run(tensors)[0], tensors["x"] + tensors["y"])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(right, range(400)))


def test_buffers_are_used_again_whatever_the_shape() -> None:
    runs = bound(OrtSession(identity_graph(TensorProto.FLOAT, "batch", "length"), HERE), 4)
    for length in range(1, 500):
        row = np.arange(length, dtype=np.float32)[None]
        np.testing.assert_array_equal(runs.run({"x": row})[0], row)
    kept = runs._pool._idle
    assert all(len(buffers) == 1 for buffers in kept.values())
    (used,) = kept[4096]
    runs.run({"x": np.zeros((1, 7), np.float32)})
    assert kept[4096] == [used]


def test_what_is_kept_is_bounded() -> None:
    pool = BufferPool(pinned=False)
    pool.give_back([pool.take(1) for _ in range(MAX_IDLE)])
    biggest = pool.take(1 << 20)
    assert biggest.nbytes == 1 << 20
    pool.give_back([biggest])
    assert pool._idle == {1 << 20: [biggest]}


def test_a_run_that_fails_leaves_the_others_as_they_were() -> None:
    runs = bound(OrtSession(sum_graph(), HERE), 8)
    tensors = pair(2)
    for _ in range(2):
        with pytest.raises(Exception, match="invalid dimensions"):
            runs.run({"x": np.zeros((2, 4), np.float32), "y": tensors["y"]})
        np.testing.assert_array_equal(runs.run(tensors)[0], tensors["x"] + tensors["y"])


def test_every_datatype_that_can_be_bound_passes_through() -> None:
    names = [name for name in TYPES if name != "BYTES"]
    session = OrtSession(types_graph(names), HERE)
    tensors = {spec.name: np.array([[0, 1]] * 3).astype(spec.datatype.dtype) for spec in session.inputs}
    for seen, spec in zip(bound(session, 4).run(tensors), session.outputs, strict=True):
        assert seen.dtype == spec.datatype.dtype
        np.testing.assert_array_equal(seen, tensors[spec.name.replace("out", "in")])


def test_a_graph_without_a_batch_axis_is_run_as_it_is() -> None:
    runs = bound(OrtSession(identity_graph(TensorProto.FLOAT, 2, 3), HERE), 0)
    for seed in (1, 2):
        pixels = np.random.default_rng(seed).normal(size=(2, 3)).astype(np.float32)
        np.testing.assert_array_equal(runs.run({"x": pixels})[0], pixels)


def test_an_output_whose_shape_depends_on_the_data_may_change_it() -> None:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    found = helper.make_tensor_value_info("y", TensorProto.INT64, [1, "found"])
    session = OrtSession(graph_bytes([helper.make_node("NonZero", ["x"], ["y"])], [given], [found], {}), HERE)
    runs = bound(session, 0)
    for row in ([1, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1]):
        places = runs.run({"x": np.array(row, np.float32)})[0]
        np.testing.assert_array_equal(places, [np.flatnonzero(row)])


# BF16


def bits(*values: float) -> Array:
    """BF16 as the upper half of a float32."""
    return (np.array(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)


@pytest.mark.parametrize("axes", [("batch", 2), ("batch", "length"), (3, 2)], ids=str)
def test_bf16_is_computed_with(axes: tuple[int | str, ...]) -> None:
    infos = [helper.make_tensor_value_info(name, TensorProto.BFLOAT16, list(axes)) for name in ("x", "y")]
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["wide", "wide"], ["square"]),
        helper.make_node("Cast", ["square"], ["y"], to=TensorProto.BFLOAT16),
    ]
    session = OrtSession(graph_bytes(nodes, infos[:1], infos[1:], {}), HERE)
    given = bits(1, 2, -3, 0.5, 0, 16).reshape(3, 2)
    np.testing.assert_array_equal(session.run({"x": given})["y"], bits(1, 4, 9, 0.25, 0, 256).reshape(3, 2))


def test_bf16_may_be_empty_and_come_from_memory_that_nobody_may_write() -> None:
    session = OrtSession(identity_graph(TensorProto.BFLOAT16, "batch", "length"), HERE)
    assert session.run({"x": np.empty((1, 0), np.uint16)})["y"].shape == (1, 0)
    fixed = np.frombuffer(bits(1, 2).tobytes(), np.uint16)[None]
    np.testing.assert_array_equal(session.run({"x": fixed})["y"], fixed)


def test_a_run_of_bf16_that_fails_says_what_the_runtime_said() -> None:
    session = OrtSession(identity_graph(TensorProto.BFLOAT16, "batch", 2), HERE)
    with pytest.raises(InferenceFailed, match="invalid dimensions"):
        session.run({"x": np.empty((1, 3), np.uint16)})


def test_bf16_beside_strings_cannot_be_run_and_is_refused() -> None:
    graph = types_graph(["BF16", "BYTES"])
    with pytest.raises(GraphInvalid, match="BF16 and strings"):
        OrtSession(graph, HERE)


# Pinned memory


@pytest.mark.parametrize("refused", [False, True])
def test_memory_is_unlocked_before_it_is_freed_if_it_was_locked(
    monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    told: list[tuple[Any, ...]] = []

    def register(address: Any, size: Any, flags: int) -> int:
        told.append(("lock", address.value, size.value, flags))
        return int(refused)

    def unregister(address: Any) -> int:
        told.append(("unlock", address.value))
        return 0

    def last_error() -> int:
        told.append(("forget",))  # or ONNX Runtime would find it behind its next kernel
        return 1

    runtime = SimpleNamespace(
        cudaHostRegister=register, cudaHostUnregister=unregister, cudaGetLastError=last_error
    )
    monkeypatch.setattr(binding, "_cuda_runtime", lambda: runtime)
    buffer = BufferPool(pinned=True).take(5000)
    address = buffer.ctypes.data
    assert address % mmap.PAGESIZE == buffer.nbytes % mmap.PAGESIZE == 0
    assert told == [("lock", address, 8192, 0), *([("forget",)] if refused else [])]
    told.clear()
    view = buffer[:12].view(np.float32)
    del buffer
    gc.collect()
    assert told == []  # somebody may still write to it
    del view
    gc.collect()
    assert told == ([] if refused else [("unlock", address)])


@without_cuda
def test_without_cuda_nothing_is_locked() -> None:
    assert binding._cuda_runtime() is None
    assert BufferPool(pinned=True).take(1).nbytes == 4096
