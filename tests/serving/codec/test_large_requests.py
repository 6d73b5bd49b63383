"""Whole requests in pieces: what `decode` and `encode` give, and refusals before anything is decoded."""

import json
from typing import Any

import numpy as np
import pytest

from inference.errors import BatonError, InputTooLarge, InvalidInput
from inference.values import DataType
from serving.codec import outline as outline_module
from serving.codec.infer import InferCodec
from serving.codec.outputs import OutputEncoder
from serving.codec.scan import Pace, unpaced
from tests.serving.codec.manifests import manifest, spec

FLOATS = manifest([spec("x", DataType.FP32, -1, -1)], [spec("x", DataType.FP32, -1, -1)])
TWO = manifest([spec("a", DataType.INT64, -1, 2), spec("s", DataType.BYTES, -1, 1)])
EVERY = manifest([], [spec(kind.value, kind, -1, 5) for kind in DataType])


def body(*inputs: dict[str, Any], **rest: Any) -> bytes:
    return json.dumps({"inputs": list(inputs), **rest}).encode()


def x(data: Any, shape: list[int], **more: Any) -> dict[str, Any]:
    return {"name": "x", "shape": shape, "datatype": "FP32", "data": data, **more}


def whole(codec: InferCodec, text: bytes, json_bytes: int | None = None) -> Any:
    try:
        request = codec.decode(text, json_bytes)
    except BatonError as error:
        return type(error), str(error)
    return {name: array.tolist() for name, array in request.tensors.items()}, request.rows, request.id


def in_pieces(codec: InferCodec, text: bytes, json_bytes: int | None = None, pace: Pace = unpaced) -> Any:
    try:
        request = codec.decode_outlined(codec.outline(memoryview(text), json_bytes, pace), pace)
    except BatonError as error:
        return type(error), str(error)
    return {name: array.tolist() for name, array in request.tensors.items()}, request.rows, request.id


@pytest.mark.parametrize(
    "text",
    [
        body(x([1, 2, 3, 4], [2, 2]), id="seven"),
        body(x([[1, 2], [3, 4]], [2, 2])),
        body(x([1, 2], [1, 2]), outputs=[{"name": "x"}], parameters={"binary_data_output": True}),
        body(x([1, 2], [1, 2], extra={"data": 3})),
        b'{"inputs":[{"data" : [1,2],"name":"x","shape":[1,2],"datatype":"FP32"}]}',
        b'{"inputs":[{"data":[-Infinity,Infinity],"name":"x","shape":[1,2],"datatype":"FP32"}]}',
        body(x([1, 2], [1, 2]), id='a "data":[ b'),
        body(x([1, 2], [3, 2])),
        body(x([1, "a"], [1, 2])),
        body(x([1, None], [1, 2])),
        body(x(None, [1, 2])),
        body(x("text", [1, 2])),
        body(x(7, [1, 2])),
        body({"name": "x", "shape": [1, 2], "datatype": "FP32"}),
        body(x([1, 2], [1, 2], name="y")),
        body(x([1, 2], [1, 2], datatype="INT64")),
        body(x([1, 2], [1, -2])),
        body(x([1, 2], [0, 2])),
        body(x([1, 2], [1, 2]), x([1, 2], [1, 2])),
        body(x([1, 2], [1, 2]), outputs=[{"name": "z"}]),
        body(x([1, 2], [1, 2]), parameters={"triton_x": 1}),
        body(x([1, 2], [1, 2]), parameters={"timeout": 10**400}),
        body(),
        b"{}",
        b"",
        b"[1]",
        b'{"inputs": 5}',
        body(x([1, 2], [1, 2]))[:-1],
        body(x([1, 2], [1, 2])) + b"x",
        body(x([1, 2], [1, 2])).replace(b'"shape"', b"shape"),
        b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2',
        b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2}]}',
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_a_request_is_read_as_ever(text: bytes, strict: bool) -> None:
    codec = InferCodec(FLOATS, strict=strict)
    assert in_pieces(codec, text) == whole(codec, text)


def test_inputs_of_several_kinds_and_binary_ones_are_read_as_ever() -> None:
    a = {"name": "a", "shape": [2, 2], "datatype": "INT64", "data": [[1, 2.0], [3, 4]]}
    s = {"name": "s", "shape": [2, 1], "datatype": "BYTES", "data": ["a,]", "\U0001f600"]}
    codec = InferCodec(TWO)
    text = body(a, s)
    assert in_pieces(codec, text) == whole(codec, text)
    binary = {"name": "s", "shape": [2, 1], "datatype": "BYTES", "parameters": {"binary_data_size": 11}}
    head = body(a, binary)
    blob = b"\x03\0\0\0a\xffb\0\0\0\0"
    assert in_pieces(codec, head + blob, len(head)) == whole(codec, head + blob, len(head))
    assert in_pieces(codec, head + blob[:-1], len(head)) == whole(codec, head + blob[:-1], len(head))


def test_a_raw_request_is_read_as_ever() -> None:
    codec = InferCodec(FLOATS)
    blob = np.arange(6, dtype=np.float32).tobytes()
    assert in_pieces(codec, blob, 0) == whole(codec, blob, 0)
    strings = InferCodec(manifest([spec("s", DataType.BYTES, -1, 1)]))
    text = ("é" * 400_000).encode() + b"\xff"
    assert in_pieces(strings, text, 0) == whole(strings, text, 0)


def test_a_shape_is_refused_before_an_element_is_looked_at() -> None:
    text = body(x(["no number"] * 50, [1, 2, 3]))
    with pytest.raises(InvalidInput, match=r"inputs\[0\].shape"):
        InferCodec(FLOATS).outline(memoryview(text), None, unpaced)


def test_the_memory_of_the_tensors_is_told_before_they_are_made() -> None:
    codec = InferCodec(FLOATS)
    told = codec.outline(memoryview(body(x([1] * 1000, [1, 1000]))), None, unpaced)
    assert told.decoded_bytes == 4000
    lie = codec.outline(memoryview(body(x([1], [10**9, 10**9]))), None, unpaced)
    assert lie.decoded_bytes <= 4


@pytest.mark.parametrize("more", [{"extra": "e" * 5000}, {"shape": [1] * 2000}])
def test_a_text_that_is_long_beside_its_data_is_refused(
    more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outline_module, "MAX_REST_BYTES", 1000)
    text = body(x([1] * 2000, [1, 2000]) | more)
    with pytest.raises(
        InputTooLarge, match=r"body: got .* of JSON or more beside the long lists, expected at most"
    ):
        InferCodec(FLOATS).outline(memoryview(text), None, unpaced)


def test_a_list_that_no_input_has_is_refused_since_nobody_would_read_it() -> None:
    text = body(x([1, 2], [1, 2]), extra={"data": [1, 2]})
    with pytest.raises(InvalidInput, match="body: got a list of 4 bytes named data that no input has"):
        InferCodec(FLOATS).outline(memoryview(text), None, unpaced)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 9000])
def test_an_answer_in_pieces_has_the_same_bytes(rows: int, strict: bool, binary: bool) -> None:
    number = np.random.default_rng(3)
    outputs: dict[str, np.ndarray[Any, Any]] = {}
    for kind in DataType:
        if kind is DataType.BYTES:
            words = np.array(["a", 'b"\\', "\udcff", "é" * 3, "\U0001f600" * 70_000], np.object_)
            outputs[kind] = np.tile(words[: 5 if rows < 9 else 4], (rows, 2))[:, :5]
        else:
            outputs[kind] = number.integers(0, 2, (rows, 5)).astype(kind.dtype)
    outputs["FP32"][0, :3] = np.nan, np.inf, -np.inf
    parts = OutputEncoder(EVERY, {}, strict=strict)
    requested = parts.all_binary if binary else parts.requested(None, None)
    expected = parts.encode(requested, outputs, "q")
    answer = parts.encode_large(requested, outputs, "q", unpaced)
    assert b"".join([answer.body, *answer.rest]) == expected.body
    assert answer.json_bytes == expected.json_bytes
