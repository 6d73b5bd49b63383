"""Requests and answers as they stand on the wire, made without the server's own code."""

import json
import struct
from typing import Any

import httpx

SUM = {
    "inputs": [
        {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]},
        {"name": "y", "shape": [1, 3], "datatype": "FP32", "data": [10, 20, 30]},
    ]
}


def echo(
    data: object, shape: list[int] | None = None, datatype: str = "FP32", **extra: Any
) -> dict[str, Any]:
    """A request for `flex`, which gives back what it gets."""
    return {"inputs": [{"name": "x", "shape": shape or [1, 2], "datatype": datatype, "data": data}], **extra}


def refused(answer: httpx.Response, status: int, *words: str) -> None:
    """An error as clients expect it: JSON with one text, which names what is wrong."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert isinstance(told["error"], str)
    for word in words:
        assert word in told["error"]


def infer(http: httpx.Client, model: str, body: object) -> httpx.Response:
    return http.post(f"/v2/models/{model}/infer", content=json.dumps(body))


def packed(head: dict[str, Any], *blobs: bytes) -> tuple[bytes, dict[str, str]]:
    """A body with binary tensors, and the header that says where they begin."""
    text = json.dumps(head).encode()
    return text + b"".join(blobs), {"Inference-Header-Content-Length": str(len(text))}


def unpacked(answer: httpx.Response) -> tuple[dict[str, Any], bytes]:
    length = int(answer.headers["inference-header-content-length"])
    told: dict[str, Any] = json.loads(answer.content[:length])
    return told, answer.content[length:]


VALUES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "UINT8": [0, 255],
    "UINT16": [0, 65535],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1],
    "INT8": [-128, 127],
    "INT16": [-(2**15), 2**15 - 1],
    "INT32": [-(2**31), 2**31 - 1],
    "INT64": [-(2**63), 2**63 - 1],
    "FP16": [-1.5, 65504.0],
    "FP32": [-1.5, 0.1],
    "FP64": [-1.5, 0.1],
    "BYTES": ["", "naïve"],
}
FIXED = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h",
    "INT32": "i", "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip


def blob_of(datatype: str, values: list[Any]) -> bytes:
    """The bytes of a tensor as the protocol describes them, made without the server's own code."""
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in values)
    return struct.pack(f"<{len(values)}{FIXED[datatype]}", *values)


def binary_head(size: int | None = 8, **extra: Any) -> dict[str, Any]:
    parameters = {} if size is None else {"binary_data_size": size}
    return {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": parameters}], **extra}


BLOB = struct.pack("<2f", 1, 2)
