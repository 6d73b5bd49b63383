"""Runs of many strings, which go into ONNX Runtime and come out of it in pieces.

Its binding converts an array of strings in one call that holds the interpreter: 90 ms for a million, in which nobody
else is answered. A piece goes in as one text, which a graph of one StringSplit cuts at bytes that no UTF-8 has. Other
graphs join pieces and cut outputs. ONNX Runtime lets go of the interpreter while graphs run.

This is for runs on threads: behind each piece a thread rests, and the event loop has its turn. Alone it would only take
longer: 330 ns a string on its way in, instead of 90.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from math import prod
from threading import Lock

import numpy as np
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import OrtValueVector

from inference.runtime import protobuf
from inference.values import Array, Tensors

MANY = 16 * 1024
"""Elements of a tensor of strings over which it goes in pieces: 1 to 2 ms in one call."""

PIECE = 8 * 1024
"""Elements of a piece, at most: 0.4 ms with the interpreter held."""

_PIECE_CHARACTERS = 1 << 20
_REST_S = 50e-6  # `sleep(0)` does not hand the interpreter over
_BETWEEN = b"\xff"
_turn = Lock()


def has_many(tensors: Tensors) -> bool:
    """Whether one of them has more strings than go at once."""
    return any(array.size > MANY and array.dtype == np.object_ for array in tensors.values())


def run_in_pieces(
    session: ort.InferenceSession,
    outputs: Sequence[str],
    tensors: Tensors,
    options: ort.RunOptions | None = None,
) -> list[Array]:
    """What `session.run` gives and raises, for a session on the CPU."""
    values: dict[str, ort.OrtValue] = {}
    fetched: list[ort.OrtValue] = []
    try:
        for name, array in tensors.items():
            values[name] = _value(array)
        fetched += session.run_with_ort_values(outputs, values, options)
        return [_array(value) for value in fetched]
    finally:
        fetched += values.values()
        values.clear()
        _release(fetched)


def _value(array: Array) -> ort.OrtValue:
    if array.dtype != np.object_:
        return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
    if array.size < 2:  # beside an input of many
        few = protobuf.strings("y", [str(element).encode() for element in array.flat], array.shape)
        return _run(_session(protobuf.model((), (), [("y", array.shape)], [few])), {})
    pieces: list[ort.OrtValue] = []
    flat = array.reshape(-1)
    for begin, end in _ends(flat.size):
        with _taking_turns():
            pieces += map(_split, _halved([str(element) for element in flat[begin:end].tolist()]))
    # One after the other: all that were needed at once would be a copy of the strings more.
    joined = [_joined(pieces)]
    _release(pieces)
    whole = _run(_reshaping(), {"x": joined[0], "shape": _numbers(*array.shape)})
    _release(joined)
    return whole


def _joined(pieces: Sequence[ort.OrtValue]) -> ort.OrtValue:
    """Strings [1, all of them]."""
    names = [f"piece{place}" for place in range(len(pieces))]
    nodes = [protobuf.node("Concat", names, ["y"], axis=1)]
    joining = _session(protobuf.model(nodes, [(name, protobuf.STRING) for name in names], [("y", None)]))
    return _run(joining, dict(zip(names, pieces, strict=True)))


def _ends(size: int) -> Iterator[tuple[int, int]]:
    """Where pieces begin and end, each of two elements at least: StringSplit makes nothing of a single empty one."""
    count = -(-size // PIECE)
    return pairwise(size * place // count for place in range(count + 1))


def _halved(texts: list[str]) -> Iterator[list[str]]:
    """Smaller ones, where the strings are long."""
    if len(texts) < 4 or sum(map(len, texts)) <= _PIECE_CHARACTERS:
        yield texts
        return
    yield from _halved(texts[: len(texts) // 2])
    yield from _halved(texts[len(texts) // 2 :])


def _split(texts: Sequence[str]) -> ort.OrtValue:
    """Strings [1, texts]; `UnicodeError` where one has no UTF-8."""
    joined = _BETWEEN.join([text.encode() for text in texts])
    nodes = [protobuf.node("StringSplit", ["joined"], ["y", "counts"], delimiter=_BETWEEN)]
    constant = protobuf.strings("joined", [joined], [1])
    splitting = _session(protobuf.model(nodes, (), [("y", (1, len(texts)))], [constant]))
    return _run(splitting, {})


def _array(value: ort.OrtValue) -> Array:
    """What `value.numpy()` gives."""
    shape = value.shape()
    if value.data_type() != "tensor(string)" or prod(shape) <= MANY:
        array: Array = value.numpy()
        return array
    flat = np.empty(prod(shape), np.object_)
    whole = [_run(_reshaping(), {"x": value, "shape": _numbers(-1)})]
    for begin, end in _ends(flat.size):
        piece = _run(_slicing(), {"x": whole[0], "begin": _numbers(begin), "end": _numbers(end)})
        with _taking_turns():
            flat[begin:end] = piece.numpy()
    _release(whole)
    return flat.reshape(shape)


@contextmanager
def _taking_turns() -> Iterator[None]:
    """For a piece of work that holds the interpreter, with a rest behind it: one thread's at a time.

    From several that want the interpreter the event loop would get it back only when each has had it.
    """
    with _turn:
        yield
        time.sleep(_REST_S)


def _release(values: list[ort.OrtValue]) -> None:
    """Free the values of a list, which nobody else holds; Python would hold the interpreter meanwhile.

    Each is set as the output of a graph that gives back its input, and replaced by that while the graph runs.
    """
    given, on_cpu = OrtValueVector(), ort.OrtDevice.make("cpu", 0)._get_c_device()
    given.push_back(_short()._get_c_value())
    while values:
        value = values.pop()
        if value.data_type() == "tensor(string)":
            replaced = OrtValueVector()
            replaced.push_back(value._get_c_value())
            del value
            _giving_back().run_with_ortvaluevector(ort.RunOptions(), ["x"], given, ["x"], replaced, [on_cpu])


@cache
def _short() -> ort.OrtValue:
    return _split(["", ""])


@cache
def _giving_back() -> ort.InferenceSession:
    nodes = [protobuf.node("Identity", ["x"], ["y"])]
    return _session(protobuf.model(nodes, [("x", protobuf.STRING)], [("x", None)]))


@cache
def _reshaping() -> ort.InferenceSession:
    nodes = [protobuf.node("Reshape", ["x", "shape"], ["y"])]
    return _session(protobuf.model(nodes, [("x", protobuf.STRING), ("shape", protobuf.INT64)], [("y", None)]))


@cache
def _slicing() -> ort.InferenceSession:
    nodes = [protobuf.node("Slice", ["x", "begin", "end"], ["y"])]
    inputs = [("x", protobuf.STRING), ("begin", protobuf.INT64), ("end", protobuf.INT64)]
    return _session(protobuf.model(nodes, inputs, [("y", None)]))


def _run(session: ort.InferenceSession, feeds: Mapping[str, ort.OrtValue]) -> ort.OrtValue:
    (value,) = session.run_with_ort_values(["y"], dict(feeds))
    return value


def _numbers(*numbers: int) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(np.array(numbers, np.int64))


def _session(graph: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it would keep the memory of the most strings that ever came
    options.log_severity_level = 4
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
