"""On a GPU: what the CPU answers, for every bundle and datatype. Skipped where ONNX Runtime has no CUDA."""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from inference.predictor import Predictor
from inference.proving.golden import Golden, payload_of
from inference.runtime import binding
from inference.runtime.machine import gpus
from inference.runtime.providers import CUDA
from inference.runtime.session import OrtSession, SessionOptions
from inference.store.bundle import Bundle
from inference.values import Array, Tensors
from tests.bundles import sum_graph
from tests.devices import with_cuda
from tests.serving.graphs import TYPES, identity_graph

pytestmark = with_cuda

MODELS = Path("models")
BUNDLES = sorted(path.parent for path in MODELS.glob("*/*/manifest.json"))
HERE = Path("models/test/1")
ON_GPU = SessionOptions(device="cuda")


def pair(rows: int, seed: int) -> Tensors:
    """Inputs of `sum_graph`."""
    random = np.random.default_rng(seed)
    return {name: random.normal(size=(rows, 3)).astype(np.float32) for name in ("x", "y")}


def first(outputs: Tensors) -> Array:
    return next(iter(outputs.values()))


def bound(session: OrtSession) -> binding.BoundRuns:
    assert session._bound is not None
    return session._bound


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.parent.name)
def test_a_shipped_bundle_is_proved_and_answers_as_on_the_CPU(path: Path) -> None:  # noqa: N802
    here, there = Predictor.open(path, "fp32"), Predictor.open(path, "fp32", ON_GPU)
    assert there.session.provider == CUDA
    bundle = Bundle.open(path)
    payloads = [payload_of(bundle, example) for example in Golden.read(bundle).examples]
    for expected, seen in zip(here.rows(payloads * 3), there.rows(payloads * 3), strict=True):
        for name, array in expected[0].items():
            np.testing.assert_allclose(seen[0][name], array, rtol=5e-4, atol=5e-4)


@pytest.mark.parametrize("name", [name for name in TYPES if name != "BYTES"])
def test_every_datatype_passes_through(name: str) -> None:
    session = OrtSession(identity_graph(TYPES[name], "batch", 3), HERE, ON_GPU._replace(max_batch_size=4))
    random = np.random.default_rng(3)
    for rows in (1, 3, 4, 5):
        dtype = session.inputs[0].datatype.dtype
        given = random.integers(0, 2, (rows, 3)).astype(dtype)
        (seen,) = session.run({session.inputs[0].name: given}).values()
        np.testing.assert_array_equal(seen, given)


def test_each_batch_size_may_have_a_session_of_its_own() -> None:
    session = OrtSession(sum_graph(), HERE, ON_GPU._replace(max_batch_size=16, batch_sizes=(1, 4, 16)))
    for rows in (1, 3, 16, 2, 5, 20, 1):
        tensors = pair(rows, rows)
        np.testing.assert_array_equal(first(session.run(tensors)), tensors["x"] + tensors["y"])


def test_strings_are_run_beside_the_GPU() -> None:  # noqa: N802
    session = OrtSession(identity_graph(TensorProto.STRING, "batch", 1), HERE, ON_GPU)
    given = np.array([["a"], ["ö"]], object)
    np.testing.assert_array_equal(first(session.run({session.inputs[0].name: given})), given)


def test_runs_side_by_side_answer_their_own() -> None:
    session = OrtSession(sum_graph(), HERE, ON_GPU._replace(max_batch_size=8))

    def right(seed: int) -> bool:
        tensors = pair(1 + seed % 8, seed)
        return bool(np.array_equal(first(session.run(tensors)), tensors["x"] + tensors["y"]))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(right, range(2000)))


def test_buffers_are_pinned() -> None:
    session = OrtSession(sum_graph(), HERE, ON_GPU._replace(max_batch_size=8))
    session.run(pair(3, 0))
    runtime, kept = binding._cuda_runtime(), bound(session)._pool._idle
    assert runtime is not None
    assert kept

    def locked(buffer: Array) -> bool:
        flags = ctypes.c_uint()
        address = ctypes.c_void_p(buffer.ctypes.data)
        return binding._accepts(runtime, "cudaHostGetFlags", ctypes.byref(flags), address)

    assert all(locked(buffer) for buffers in kept.values() for buffer in buffers)
    assert not locked(np.empty(8192, np.uint8))


def test_memory_of_the_GPU_does_not_grow_with_requests() -> None:  # noqa: N802
    session = OrtSession(identity_graph(TensorProto.FLOAT, "batch", "length"), HERE, ON_GPU)
    random = np.random.default_rng(5)

    def free() -> int:
        runtime, left, whole = binding._cuda_runtime(), ctypes.c_size_t(), ctypes.c_size_t()
        assert runtime is not None
        assert runtime.cudaMemGetInfo(ctypes.byref(left), ctypes.byref(whole)) == 0
        return left.value

    def taken(runs: int) -> int:
        before = free()
        for _ in range(runs):
            given = random.normal(size=random.integers(1, 400, 2)).astype(np.float32)
            np.testing.assert_array_equal(first(session.run({"x": given})), given)
        return before - free()

    session.run({"x": np.zeros((400, 400), np.float32)})
    taken(200)
    # Others use the GPU too, but a leak would show in each of these.
    assert min(taken(400) for _ in range(5)) <= 4 << 20


def test_the_driver_names_the_GPU() -> None:  # noqa: N802
    assert gpus()
