"""Whole HTTP requests, made from the model's own metadata or from a file."""

import http.client
import json
import math
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import numpy as np
from pydantic import BaseModel, ValidationError

from inference.values import Array, DataType
from serving.bench.load import LoadTarget
from serving.bench.values import BenchError

_VARIANTS = 16  # different random requests, so that no cache on the way helps
_UNKNOWN_AXIS = 16
_VOCABULARY = 1000  # random whole numbers stay below it, since they are often indices into a table


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body and the headers that describe it."""

    data: bytes
    headers: Mapping[str, str]


class _Tensor(BaseModel):
    name: str
    datatype: DataType
    shape: list[int]


class ModelMetadata(BaseModel):
    """The part of a model's metadata that its requests need."""

    name: str
    inputs: list[_Tensor]


def parse_url(text: str) -> SplitResult:
    """The address of a server; `BenchError` if it is none."""
    url = urlsplit(text)
    try:
        valid = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:  # a port that is no number
        valid = False
    if not valid:
        raise BenchError(f"URL: got {text!r}, expected http://host:port")
    return url


def read_metadata(url: SplitResult, model: str, timeout_s: float) -> ModelMetadata:
    """The model's inputs, from its server."""
    path = f"/v2/models/{quote(model)}"
    status, body = fetch(url, "GET", path, None, timeout_s)
    if status != 200:
        raise BenchError(f"{url.geturl()}{path}: got status {status}, expected 200: {_excerpt(body)}")
    try:
        return ModelMetadata.model_validate_json(body)
    except ValidationError as error:
        raise BenchError(
            f"{url.geturl()}{path}: expected metadata of the Open Inference Protocol: {error}"
        ) from None


def read_server(url: SplitResult, timeout_s: float) -> str:
    """The name and version that a server gives itself; empty if it speaks another protocol."""
    status, body = fetch(url, "GET", "/v2", None, timeout_s)
    try:
        said = json.loads(body) if status == 200 else {}
    except ValueError:
        return ""
    return f"{said.get('name', '')} {said.get('version', '')}".strip() if isinstance(said, dict) else ""


def random_bodies(
    metadata: ModelMetadata, rows: int, shapes: Mapping[str, Sequence[int]], *, binary: bool, seed: int = 0
) -> list[Body]:
    """Bodies of `infer` with random numbers; `shapes` overrides an input's, by name, with its batch axis."""
    unknown = shapes.keys() - {tensor.name for tensor in metadata.inputs}
    if unknown:
        names = ", ".join(sorted(tensor.name for tensor in metadata.inputs))
        raise BenchError(f"--shape: got input {min(unknown)!r}, expected one of {metadata.name!r}: {names}")
    generator = np.random.default_rng(seed)
    return [
        _infer_body(
            [
                (tensor, _random(tensor, shapes.get(tensor.name) or _shape(tensor, rows), generator))
                for tensor in metadata.inputs
            ],
            binary=binary,
        )
        for _ in range(_VARIANTS)
    ]


def file_body(path: Path, content_type: str | None) -> Body:
    """A file as it is, such as a JPEG for `:predict`; its type goes by its name unless it is given."""
    guessed = content_type or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    try:
        return Body(path.read_bytes(), {"Content-Type": guessed})
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from None


def build_target(
    url: SplitResult, path: str, bodies: Sequence[Body], headers: Mapping[str, str]
) -> LoadTarget:
    """POST requests, ready to send."""
    return LoadTarget(url, tuple(_render(url, path, body, headers) for body in bodies))


def check(target: LoadTarget, path: str, body: Body, headers: Mapping[str, str], timeout_s: float) -> None:
    """Send one request; `BenchError` with the server's answer if its status is not 200."""
    merged = {**body.headers, **headers}
    status, answer = fetch(target.url, "POST", path, body.data, timeout_s, merged)
    if status != 200:
        raise BenchError(
            f"{target.url.geturl()}{path}: got status {status}, expected 200: {_excerpt(answer)}"
        )


def fetch(
    url: SplitResult,
    method: str,
    path: str,
    body: bytes | None,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """One request on its own connection; `BenchError` if no answer comes."""
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=timeout_s)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise BenchError(f"{url.geturl()}: cannot connect: {reason}") from None
    finally:
        connection.close()


def _render(url: SplitResult, path: str, body: Body, headers: Mapping[str, str]) -> bytes:
    fields = {"Host": url.netloc, "Content-Length": str(len(body.data)), **body.headers, **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body.data


def _shape(tensor: _Tensor, rows: int) -> list[int]:
    """Its shape with `rows` for an open batch axis, and a guess for every other open one."""
    known = [_UNKNOWN_AXIS if axis < 0 else axis for axis in tensor.shape]
    return [rows, *known[1:]] if tensor.shape[:1] == [-1] else known


def _random(tensor: _Tensor, shape: Sequence[int], generator: np.random.Generator) -> Array:
    if tensor.datatype is DataType.BYTES:
        raise BenchError(f"input {tensor.name!r}: got BYTES, expected numbers; give a whole body with --data")
    if tensor.datatype in (DataType.FP16, DataType.BF16):
        raise BenchError(
            f"input {tensor.name!r}: got {tensor.datatype}, expected FP32 or FP64; give a whole body with --data"
        )
    dtype = tensor.datatype.dtype
    if dtype.kind == "f":
        return generator.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(dtype)
    return generator.integers(0, min(_VOCABULARY, np.iinfo(dtype).max), shape).astype(dtype)


def _infer_body(tensors: Sequence[tuple[_Tensor, Array]], *, binary: bool) -> Body:
    inputs: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for tensor, array in tensors:
        described = {"name": tensor.name, "datatype": tensor.datatype.value, "shape": list(array.shape)}
        if binary:
            blobs.append(array.tobytes())
            inputs.append({**described, "parameters": {"binary_data_size": len(blobs[-1])}})
        else:
            inputs.append({**described, "data": _shortest(array)})
    request: dict[str, Any] = {"inputs": inputs}
    if not binary:
        return Body(json.dumps(request).encode(), {"Content-Type": "application/json"})
    head = json.dumps({**request, "parameters": {"binary_data_output": True}}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return Body(head + b"".join(blobs), headers)


def _shortest(array: Array) -> list[Any]:
    """Elements as a client would write them: the shortest text that reads as the same number."""
    flat = array.reshape(-1)
    if flat.dtype == np.float32:
        return [float(str(value)) for value in flat]
    elements: list[Any] = flat.tolist()
    return elements


def _excerpt(body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    return text if len(text) <= 200 else text[:200] + "…"


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """`name:1,3,224,224` as its parts; `BenchError` if it is no shape."""
    name, _, axes = text.rpartition(":")
    try:
        shape = tuple(int(axis) for axis in axes.split(","))
    except ValueError:
        shape = ()
    if not name or not shape or min(shape) < 1 or math.prod(shape) > 1 << 28:
        raise BenchError(f"--shape: got {text!r}, expected name:1,3,224,224")
    return name, shape
