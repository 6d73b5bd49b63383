"""From an exchange to two CloudEvents, in the types and attributes of KServe's inference logger.

Unless the raw payload is asked for, a digest and a size stand for the payload of clients: instances, the data of
tensors, images, and whatever an answer repeats of them. A digest tells which payloads were equal. One that can be
guessed can be found by it, so it is no anonymity.
"""

import base64
import hashlib
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from inference.values import JsonValue
from serving.codec.binary import JSON_LENGTH
from serving.codec.compression import decompress
from serving.codec.nonfinite import may_hold_nonfinite, with_null
from serving.engine.observers import RawHeaders

REQUEST = "org.kubeflow.serving.inference.request"
RESPONSE = "org.kubeflow.serving.inference.response"

REDACTED = "[redacted]"

_OK = 200
_JSON = "application/json"
_BINARY = "application/octet-stream"


class Exchanged(NamedTuple):
    """A request and its answer as they were on the wire, the request's body decompressed."""

    model: str
    path: str
    headers: RawHeaders
    body: bytes
    status: int
    answer_headers: RawHeaders
    answer: bytes
    at: float
    """Unix time of the answer, seconds."""

    @property
    def size(self) -> int:
        """Bytes of both bodies."""
        return len(self.body) + len(self.answer)


class Event(NamedTuple):
    """A CloudEvent 1.0: its attributes, and its data as they are."""

    attributes: Mapping[str, str]
    data: bytes

    def as_line(self) -> bytes:
        """The event in its JSON format, on one line."""
        content: dict[str, Any] = dict(self.attributes)
        if self.attributes["datacontenttype"] == _JSON:
            content["data"] = orjson.Fragment(self.data)
        else:
            content["data_base64"] = base64.b64encode(self.data).decode()
        return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)


class Redaction(NamedTuple):
    """The logged part of a payload: `raw` all of it, else digests; never the fields named."""

    raw: bool
    fields: frozenset[str]

    def request(self, body: bytes, headers: RawHeaders) -> tuple[str, bytes]:
        """Media type and data of the request's event."""
        return self._data(body, headers, _ask)

    def response(self, body: bytes, headers: RawHeaders) -> tuple[str, bytes]:
        """The same of the answer's."""
        encoding = headers.get(b"content-encoding", b"").decode("latin-1")
        return self._data(decompress(body, encoding, limit=1 << 62), headers, _told)

    def _data(self, body: bytes, headers: RawHeaders, hide: "_Hide") -> tuple[str, bytes]:
        head, rest = _split(body, headers)
        content = _parsed(head)
        if not isinstance(content, dict):
            media_type = headers.get(b"content-type", _BINARY.encode()).decode("latin-1")
            return (media_type, body) if self.raw else (_JSON, orjson.dumps(_digest(body, media_type)))
        if self.raw and rest and not self.fields:
            return _BINARY, body
        told = _without(content, self.fields)
        if not self.raw:
            told = hide(told)
        if rest:
            told["binary"] = _digest(rest, _BINARY)
        return _JSON, orjson.dumps(told)


_Hide = Callable[[dict[str, Any]], dict[str, Any]]


def make_events(kept: Exchanged, redaction: Redaction, source: str) -> list[Event]:
    """The request's event and, where it was answered well, the answer's; both have the request's id."""
    shared = {
        "specversion": "1.0",
        "id": _id(kept.headers),
        "source": source,
        "time": datetime.fromtimestamp(kept.at, UTC).isoformat(timespec="milliseconds"),
        "inferenceservicename": kept.model,
        "component": "predictor",
        "endpoint": kept.path,
    }
    if trace := _printable(kept.headers.get(b"traceparent", b"")):
        shared["traceparent"] = trace
    parts = [(REQUEST, redaction.request(kept.body, kept.headers))]
    if kept.status == _OK:
        parts.append((RESPONSE, redaction.response(kept.answer, kept.answer_headers)))
    return [
        Event({**shared, "type": kind, "datacontenttype": media_type}, data)
        for kind, (media_type, data) in parts
    ]


def _id(headers: RawHeaders) -> str:
    return _printable(headers.get(b"ce-id") or headers.get(b"x-request-id", b"")) or str(uuid.uuid4())


def _printable(value: bytes) -> str:
    text = value[:128].decode("ascii", "replace")
    return text if text.isascii() and text.isprintable() else ""


def _parsed(head: bytes) -> JsonValue:
    """JSON as a log may have it: NaN and Infinity, which tensors may hold, are null. None where it is no JSON."""
    try:
        return orjson.loads(with_null(head) if may_hold_nonfinite(head) else head)
    except ValueError:
        return None


def _split(body: bytes, headers: RawHeaders) -> tuple[bytes, bytes]:
    """The JSON part of a body, and the binary tensors after it."""
    length = headers.get(JSON_LENGTH, b"")
    return (body[: int(length)], body[int(length) :]) if length.isdigit() else (body, b"")


def _ask(content: dict[str, Any]) -> dict[str, Any]:
    """A request: its instances one by one, and the elements of its tensors."""
    told = dict(content)
    if isinstance(instances := told.get("instances"), list):
        told["instances"] = [_digest_of(instance) for instance in instances]
    told.update(_hide_data(told, "inputs", lambda _: True))
    return told


def _told(content: dict[str, Any]) -> dict[str, Any]:
    """An answer: explanations, which repeat the input; ids that the model did not know; tensors of texts."""
    told = dict(content)
    if isinstance(explanations := told.get("explanations"), list):
        told["explanations"] = [_digest_of(explanation) for explanation in explanations]
    if isinstance(predictions := told.get("predictions"), list):
        told["predictions"] = [_hide_unknown(prediction) for prediction in predictions]
    told.update(_hide_data(told, "outputs", lambda tensor: tensor.get("datatype") == "BYTES"))
    return told


def _hide_data(content: dict[str, Any], name: str, which: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    tensors = content.get(name)
    if not isinstance(tensors, list):
        return {}
    return {
        name: [
            {**tensor, "data": _digest_of(tensor["data"])}
            if isinstance(tensor, dict) and "data" in tensor and which(tensor)
            else tensor
            for tensor in tensors
        ]
    }


def _hide_unknown(prediction: JsonValue) -> JsonValue:
    if isinstance(prediction, dict) and isinstance(prediction.get("unknown"), list):
        return {**prediction, "unknown": _digest_of(prediction["unknown"])}
    return prediction


def _digest_of(value: JsonValue) -> dict[str, Any]:
    """Of a text its own bytes, of an image those that its base64 stands for, else those of its JSON."""
    if isinstance(value, str):
        return _digest(value.encode("utf-8", "replace"), "text/plain")
    if isinstance(value, dict) and isinstance(value.get("b64"), str):
        try:
            return _digest(base64.b64decode(value["b64"], validate=True), _BINARY)
        except ValueError:
            return _digest_of(value["b64"])
    return _digest(orjson.dumps(value), _JSON)


def _digest(data: bytes, media_type: str) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "media_type": media_type}


def _without(value: JsonValue, fields: frozenset[str]) -> Any:
    """The same without the values of the named fields, at any depth."""
    if not fields:
        return value
    if isinstance(value, dict):
        return {
            name: REDACTED if name in fields else _without(inner, fields) for name, inner in value.items()
        }
    return [_without(inner, fields) for inner in value] if isinstance(value, list) else value
