"""Outputs of an answer: which are asked for, in JSON or binary, whole or as their largest elements."""

import json
import struct

import numpy as np
import pytest

from inference.errors import InvalidInput, Unsupported
from inference.values import DataType
from serving.codec.outputs import OutputEncoder
from serving.codec.request import OutputHead
from tests.serving.codec.manifests import manifest, spec

OUTPUTS = [spec('y"%d', DataType.FP32, -1, 2), spec("id", DataType.INT64, -1)]
ARRAYS = {'y"%d': np.array([[0.5, np.nan]], np.float32), "id": np.array([7])}


def encoder(*, strict: bool = False) -> OutputEncoder:
    return OutputEncoder(manifest([], OUTPUTS), {'y"%d': ("cat", "dog")}, strict=strict)


def test_all_outputs_come_in_the_manifests_order_as_json() -> None:
    made = encoder()
    answer = made.encode(made.requested(None, None), ARRAYS, "")
    assert answer.json_bytes is None
    assert answer.body == (
        b'{"model_name":"m","model_version":"1","outputs":['
        b'{"name":"y\\"%d","datatype":"FP32","shape":[1,2],"data":[0.5,NaN]},'
        b'{"name":"id","datatype":"INT64","shape":[1],"data":[7]}]}'
    )


def test_strict_json_has_null_for_nan() -> None:
    made = encoder(strict=True)
    told = json.loads(made.encode(made.requested([OutputHead('y"%d')], None), ARRAYS, 'a"').body)
    assert told["id"] == 'a"'
    assert told["outputs"][0]["data"] == [0.5, None]


def test_binary_outputs_follow_the_json_part_in_its_order() -> None:
    made = encoder()
    for requested in (
        made.requested(None, {"binary_data_output": True}),
        made.all_binary,
        made.requested([OutputHead(name, {"binary_data": True}) for name in ARRAYS], None),
    ):
        answer = made.encode(requested, ARRAYS, "")
        assert answer.json_bytes is not None
        told = json.loads(answer.body[: answer.json_bytes])
        assert [output["parameters"]["binary_data_size"] for output in told["outputs"]] == [8, 8]
        assert answer.body[answer.json_bytes :] == ARRAYS['y"%d'].tobytes() + struct.pack("<q", 7)


def test_named_outputs_are_json_unless_they_say_otherwise_themselves() -> None:
    (output,) = encoder().requested([OutputHead("id")], {"binary_data_output": True})
    assert not output.binary


def test_classes_become_texts_with_labels() -> None:
    made = encoder()
    asked = made.requested([OutputHead('y"%d', {"classification": 1})], None)
    told = json.loads(made.encode(asked, {'y"%d': np.array([[0.5, 2]], np.float32)}, "").body)
    assert told["outputs"] == [
        {"name": 'y"%d', "datatype": "BYTES", "shape": [1, 1], "data": ["2.000000:1:dog"]}
    ]


def test_an_output_that_is_not_there_or_not_offered_is_refused_by_field() -> None:
    with pytest.raises(InvalidInput, match=r'^outputs\[1\]\.name: got z, expected one of y"%d, id$'):
        encoder().requested([OutputHead("id"), OutputHead("z")], None)
    with pytest.raises(InvalidInput, match=r"^outputs\[0\]\.parameters\.classification: got -1"):
        encoder().requested([OutputHead("id", {"classification": -1})], None)
    with pytest.raises(Unsupported, match=r"^outputs\[0\]\.parameters\.shared_memory_region: "):
        encoder().requested([OutputHead("id", {"shared_memory_region": "r"})], None)
