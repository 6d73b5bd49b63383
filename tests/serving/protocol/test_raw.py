"""2.5 Raw request: the whole body is the one input's data."""

import struct

import httpx

from tests.serving.protocol.wire import blob_of, refused, unpacked

RAW = {"Inference-Header-Content-Length": "0"}


def test_a_raw_request_is_the_one_inputs_data(http: httpx.Client) -> None:
    answer = http.post("/v2/models/flex/infer", content=struct.pack("<5f", *range(5)), headers=RAW)
    told, rest = unpacked(answer)
    assert told["outputs"][0]["shape"] == [1, 5]
    assert struct.unpack("<5f", rest) == (0, 1, 2, 3, 4)
    told, rest = unpacked(http.post("/v2/models/whole/infer", content=bytes(24), headers=RAW))
    assert told["outputs"][0]["shape"] == [2, 3]
    told, rest = unpacked(http.post("/v2/models/echo/infer", content="naïve".encode(), headers=RAW))
    assert told["outputs"][0]["shape"] == [1, 1]
    assert rest == blob_of("BYTES", ["naïve"])


def test_a_raw_request_that_does_not_fit_is_refused(http: httpx.Client) -> None:
    refused(http.post("/v2/models/flex/infer", content=b"123", headers=RAW), 400, "body", "3 bytes")
    refused(http.post("/v2/models/whole/infer", content=bytes(20), headers=RAW), 400, "body", "24")
    refused(http.post("/v2/models/sum/infer", content=bytes(12), headers=RAW), 400, "2 inputs")


def test_a_raw_request_may_be_of_any_datatype(http: httpx.Client) -> None:
    told, rest = unpacked(http.post("/v2/models/half/infer", content=b"\x80?\x00@", headers=RAW))
    assert (told["outputs"][0]["datatype"], told["outputs"][0]["shape"]) == ("BF16", [1, 2])
    assert rest == b"\x80?\x00@"
