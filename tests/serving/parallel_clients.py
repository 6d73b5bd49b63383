"""Clients who ask at the same moment, each on a connection of its own, with tensors as bytes on the wire.

Every request is sent before the first answer is read: whoever can meet in a batch, meets.
"""

import contextlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np

from inference.values import Array, DataType, Tensors

HEAD = "Inference-Header-Content-Length"


class ParallelClients:
    """So many connections to one server; `ask` takes at most one request for each of them."""

    def __init__(self, url: str, number: int) -> None:
        self._connections = [HTTPConnection(urlsplit(url).netloc, timeout=120) for _ in range(number)]

    def ask(self, model: str, requests: Sequence[Tensors]) -> list[Tensors]:
        """The outputs of each request, in order; the answer's words where it is an error."""
        asked = self._connections[: len(requests)]
        for connection, tensors in zip(asked, requests, strict=True):
            body, headers = request_of(tensors)
            connection.request("POST", f"/v2/models/{quote(model)}/infer", body, headers)
        answers = [connection.getresponse() for connection in asked]
        bodies = [(answer, answer.read()) for answer in answers]  # all, so that each connection can go on
        for answer, body in bodies:
            assert answer.status == 200, f"{model}: {answer.status} {body[:500]!r}"
        return [outputs_of(body, int(answer.headers[HEAD])) for answer, body in bodies]

    def batches(self, model: str) -> bool:
        """Whether the rows of several may share a run, as the model's configuration has it."""
        self._connections[0].request("GET", f"/v2/models/{quote(model)}/config")
        answer = self._connections[0].getresponse()
        told = json.loads(answer.read())
        assert answer.status == 200, told
        return int(told["max_batch_size"]) > 0

    def close(self) -> None:
        """Hang up."""
        for connection in self._connections:
            connection.close()


@contextlib.contextmanager
def parallel_clients(url: str, number: int) -> Iterator[ParallelClients]:
    """Connected for as long as the block lasts."""
    made = ParallelClients(url, number)
    try:
        yield made
    finally:
        made.close()


def request_of(tensors: Tensors) -> tuple[bytes, dict[str, str]]:
    """The body of an infer request for answers in binary, and its headers; made without the server's own code."""
    blobs = {name: _blob(array) for name, array in tensors.items()}
    head = {
        "inputs": [
            {
                "name": name,
                "shape": list(array.shape),
                "datatype": _datatype(array),
                "parameters": {"binary_data_size": len(blobs[name])},
            }
            for name, array in tensors.items()
        ],
        "parameters": {"binary_data_output": True},
    }
    text = json.dumps(head).encode()
    return text + b"".join(blobs.values()), {HEAD: str(len(text))}


def outputs_of(body: bytes, head: int) -> dict[str, Array]:
    """The tensors of a binary answer whose JSON takes `head` bytes."""
    found, at = {}, head
    for output in json.loads(body[:head])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        found[output["name"]] = _array(output, body[at : at + size])
        at += size
    return found


def same(got: Mapping[str, Array], expected: Mapping[str, Array], rtol: float = 0.0) -> bool:
    """Whether two answers are equal: name by name, in datatype, shape and bits, or but for rounding by `rtol`."""
    return got.keys() == expected.keys() and all(_equal(got[name], expected[name], rtol) for name in expected)


def _equal(got: Array, expected: Array, rtol: float) -> bool:
    if got.dtype != expected.dtype or got.shape != expected.shape:
        return False
    if rtol and np.issubdtype(expected.dtype, np.floating):
        # Relative to the biggest number, since what cancels out leaves the rounding of what it came from.
        most = float(np.abs(expected).max(initial=0.0))
        return bool(np.allclose(got, expected, rtol=rtol, atol=rtol * most, equal_nan=True))
    if expected.dtype == np.object_:
        return bool((got == expected).all())
    return got.tobytes() == expected.tobytes()


def _datatype(array: Array) -> str:
    named = {"b": "BOOL", "O": "BYTES", "f": "FP", "i": "INT", "u": "UINT"}[array.dtype.kind]
    return named if named[0] == "B" else f"{named}{8 * array.dtype.itemsize}"


def _blob(array: Array) -> bytes:
    if array.dtype != np.object_:
        return array.tobytes()
    texts = [text.encode() for text in array.ravel()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _array(output: Mapping[str, Any], blob: bytes) -> Array:
    shape = output["shape"]
    if output["datatype"] != "BYTES":
        return np.frombuffer(blob, DataType(output["datatype"]).dtype).reshape(shape)
    texts, at = [], 0
    while at < len(blob):
        (size,) = struct.unpack_from("<I", blob, at)
        texts.append(blob[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return np.array(texts, object).reshape(shape)
