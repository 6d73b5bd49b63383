"""The task protocol, KServe's v1: the body of a `:predict` as payloads, and the answers to it."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from inference.errors import InputTooLarge, InvalidInput, UnsupportedMediaType, counted
from inference.processors.occlusion import Explanation
from inference.values import JsonValue, Payload, Prediction
from serving.codec.json_faults import json_fault
from serving.codec.long_instances import long_payloads
from serving.codec.multipart import decode_parts
from serving.codec.outline import MAX_REST_BYTES
from serving.codec.scan import Pace, trimmed

_FORM = "application/x-www-form-urlencoded"  # curl's for a body, unless it is told another
_COPIED = 1 << 20
_JSON = ("", _FORM, "application/json")
_TEXT = "text/plain"  # a browser's fetch, for a string


class Instances(msgspec.Struct, gc=False):
    """The JSON body of `:predict`; fields that KServe or TensorFlow Serving add are ignored."""

    instances: list[Any]


class Named(msgspec.Struct, gc=False):
    """The two names that a JSON body may give its inputs, each set if it is there."""

    instances: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    inputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Parameters(msgspec.Struct, gc=False):
    """The fields that a JSON body of `:explain` may have beside its instances."""

    parameters: dict[str, Any] = {}


_decode = msgspec.json.Decoder(Instances).decode
_decode_named = msgspec.json.Decoder(Named).decode
_decode_parameters = msgspec.json.Decoder(Parameters).decode


def decode_payloads(body: bytes, content_type: str, limit: int) -> list[Payload]:
    """One payload an instance: of a JSON body, of a form's parts in order, or the body itself as one.

    At most `limit` of them. `content_type` is the header's value, "" where there is none. A text that is a JSON object
    with `instances` or `inputs` is read as JSON: a browser's fetch calls every string a text.
    """
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip().lower()
    if media_type in _JSON or media_type.endswith("+json"):
        return _from_json(body, media_type, limit)
    if media_type == "multipart/form-data":
        parts = decode_parts(body, content_type, limit)
        if not parts:
            raise InvalidInput("body", "a form without parts", "at least one file")
        return [
            Payload(part.data, _plain(part.media_type), field=part.name or f"part {index}")
            for index, part in enumerate(parts)
        ]
    if parameters:
        _check_charset(parameters, content_type)
    if media_type == _TEXT and _names_inputs(body):
        return _from_json(body, media_type, limit)
    return [Payload(body, media_type)]


def decode_long_payloads(
    body: memoryview, content_type: str, limit: int, pace: Pace, *, takes_bytes: bool
) -> tuple[bytes, list[Payload]]:
    """`decode_payloads` of a large body on a thread, which calls `pace` between pieces of its work.

    Also the JSON beside the instances, for `decode_parameters`. `takes_bytes`: whether a payload may be the bytes that
    the base64 of an instance stands for.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    is_json = media_type in _JSON or media_type.endswith("+json")
    if is_json or (media_type == _TEXT and _begins_object(body)):
        if media_type in ("", _FORM) and not _begins_object(body):
            raise _no_json(media_type)
        found = long_payloads(body, limit, pace, takes_bytes=takes_bytes)
        if found is not None:
            return found[0], found[1]
        if len(body) > MAX_REST_BYTES:
            if media_type == _TEXT:
                return b"", [Payload(body, media_type)]
            actual = f"{counted(len(body), 'byte')} without it at its beginning"
            raise InvalidInput("instances", actual, "a list of instances")
    if not is_json and media_type != "multipart/form-data" and media_type != _TEXT:
        return b"", [Payload(whole(body, pace), media_type)]
    content = whole(body, pace)
    return content, decode_payloads(content, content_type, limit)


def decode_parameters(body: bytes, payloads: Sequence[Payload]) -> Mapping[str, JsonValue]:
    """The `parameters` beside the instances that `payloads` were; none where the body was no JSON."""
    if payloads[0].media_type is not None:
        return {}
    try:
        return _decode_parameters(body).parameters
    except msgspec.MsgspecError as error:
        raise json_fault(error, body) from None


def encode_explanations(explanations: Sequence[Explanation]) -> bytes:
    """`{"explanations": [...]}`."""
    return orjson.dumps({"explanations": explanations}, option=orjson.OPT_SERIALIZE_NUMPY)


def encode_predictions(predictions: Sequence[Prediction]) -> bytes:
    """`{"predictions": [...]}`."""
    return orjson.dumps({"predictions": predictions}, option=orjson.OPT_SERIALIZE_NUMPY)


def whole(body: memoryview, pace: Pace) -> bytes:
    """The bytes of a body; copied a piece at a time where they are in other memory."""
    if isinstance(body.obj, bytes) and len(body.obj) == len(body):
        return body.obj
    copied = io.BytesIO()
    for start in range(0, len(body), _COPIED):
        copied.write(body[start : start + _COPIED])
        pace()
    return copied.getvalue()


def _begins_object(body: bytes | memoryview) -> bool:
    start, _ = trimmed(memoryview(body), 0, len(body))
    return bytes(body[start : start + 1]) == b"{"


def _no_json(media_type: str) -> UnsupportedMediaType:
    expected = "the media type of the body, such as image/png, or JSON as body"
    return UnsupportedMediaType("Content-Type", media_type or "none", expected)


def _from_json(body: bytes, media_type: str, limit: int) -> list[Payload]:
    if media_type in ("", _FORM) and not _begins_object(body):
        raise _no_json(media_type)
    try:
        instances = _decode(body).instances
    except (msgspec.MsgspecError, RecursionError) as error:
        other = None if isinstance(error, RecursionError) else _other_name(body)
        raise other or json_fault(error, body) from None
    if not instances:
        raise InvalidInput("instances", "an empty list", "at least one instance")
    if len(instances) > limit:
        raise InputTooLarge("instances", counted(len(instances), "instance"), f"at most {limit}")
    return [Payload(instance, field=f"instances[{index}]") for index, instance in enumerate(instances)]


def _names_inputs(body: bytes) -> bool:
    """Whether a body is a JSON object with `instances` or `inputs`."""
    if not _begins_object(body):
        return False
    try:
        named = _decode_named(body)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return named.instances is not msgspec.UNSET or named.inputs is not msgspec.UNSET


def _other_name(body: bytes) -> InvalidInput | None:
    """The fault of a body that has `inputs` instead of `instances`, as TensorFlow Serving's column format has."""
    try:
        named = _decode_named(body)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if named.instances is not msgspec.UNSET or named.inputs is msgspec.UNSET:
        return None
    expected = (
        "instances, a list with one element a row; inputs are tensors, which /v2/models/{name}/infer takes"
    )
    return InvalidInput("instances", "inputs in their place", expected)


def _plain(content_type: str) -> str:
    media_type, _, parameters = content_type.partition(";")
    _check_charset(parameters, content_type)
    return media_type.strip().lower()


def _check_charset(parameters: str, content_type: str) -> None:
    key, _, value = parameters.strip().partition("=")
    if key.strip().lower() == "charset" and value.strip(' "').lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType("Content-Type", content_type, "charset=utf-8")
