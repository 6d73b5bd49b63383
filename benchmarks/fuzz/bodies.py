"""Bodies of `infer`, `:predict` and `:explain`: right ones with the arrays that must come back, and wrong ones.

A right body is made from arrays by NumPy and `json` alone, so that it is a reference for the server's own codecs. A
wrong one is a right one in which something is exchanged: a value of its JSON, a byte, a header, its end.
"""

import base64
import gzip
import io
import json
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

DTYPES: dict[str, str] = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
"""NumPy's types of the protocol's, but for BF16, which it has not, and BYTES."""
MIXED = (*DTYPES, "BYTES")
"""Those that one graph can have together: the inputs and outputs of the model `types`."""

Sent = NDArray[Any] | list[bytes]
"""The elements of a tensor: an array, or of BYTES a list."""


@dataclass(slots=True)
class Body:
    """A request: what it is for, and what it sends. `expected`: by output, of one that is right."""

    model: str
    verb: str
    content: bytes
    headers: dict[bytes, bytes] = field(default_factory=dict)
    expected: Mapping[str, Sent] | None = None
    right: bool = False
    """Whether 200 must come."""


class Raw(str):
    """JSON as it is written, which may be none."""

    __slots__ = ()


ODD_VALUES = (
    "null", "true", "-1", "0", "-0", "0.1", "1.0", "1e400", "-1e400", "1e-400", "1" * 400, "1" + "0" * 5000,
    "NaN", "Infinity", "-Infinity", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
    "18446744073709551616", "4294967296", '""', '"\\ud800"', '"\\udcff"', '"\\u0000"',
    '"' + "x" * 3000 + '"', '"\U0001f98a"', '"FP32"', '"BYTES"', '"FP8"', "[]", "{}", "[" * 60 + "]" * 60,
    "[" * 3000 + "]" * 3000, "[" * 50, '{"a":' * 200 + "1" + "}" * 200, "[[1,2],[3]]", "[1,null]", "[-1,2]",
    "[0,2]", "[4294967296,4294967296]", "[1,9223372036854775807]", "[1e2,2]", '["1","2"]', "[true,false]",
    '{"b64":"!!"}', '{"b64":""}', '{"b64":5}', '{"a":1,"a":2}', "01", "+1", "1.", ".5", "'x'", "//", "/*",
    "\t1 ", "nul", "\ufeff1",
)  # fmt: skip
_KEYS = (
    "name", "shape", "datatype", "data", "parameters", "inputs", "outputs", "id", "binary_data_size",
    "binary_data", "binary_data_output", "classification", "timeout", "priority", "sequence_id",
    "sequence_start", "triton_x", "headers", "shared_memory_region", "shared_memory_byte_size", "instances",
    "b64", "history", "k", "exclude", "user", "text", "model_name", "grid", "\ud800", "", "signature_name",
)  # fmt: skip


def _write(value: Any) -> bytes:
    """JSON, with what is `Raw` as it is."""
    pieces: list[str] = []

    def mark(part: Any) -> Any:
        if isinstance(part, Raw):
            pieces.append(part)
            return f"@@{len(pieces) - 1}@@"
        if isinstance(part, dict):
            return {key: mark(each) for key, each in part.items()}
        if isinstance(part, list):
            return [mark(each) for each in part]
        return part

    text = json.dumps(mark(value))
    return re.sub(r'"@@(\d+)@@"', lambda found: pieces[int(found[1])], text).encode("utf-8", "surrogatepass")


# Right tensors


def _elements(random: Random, datatype: str, count: int, *, texts: bool) -> Sent:
    """`texts`: BYTES are UTF-8, as JSON's are."""
    if datatype == "BYTES":
        pool = (b"", b"a", "ü\U0001f98a".encode(), b"\0", b'"\\', b"x" * 300)
        return [
            random.choice(pool) if texts or random.random() < 0.7 else random.randbytes(3)
            for _ in range(count)
        ]
    if datatype == "BF16":
        upper = np.frombuffer(random.randbytes(2 * count), "<u2").astype(np.uint32)
        return np.nan_to_num((upper << 16).view(np.float32), nan=np.nan)
    dtype = np.dtype(DTYPES[datatype])
    if datatype == "BOOL":
        return np.array([random.random() < 0.5 for _ in range(count)])
    return np.frombuffer(random.randbytes(dtype.itemsize * count), dtype)


def _as_json(datatype: str, values: Sent) -> list[Any]:
    if isinstance(values, list):
        return [each.decode() for each in values]
    listed: list[Any] = values.tolist()
    return listed


def _as_bytes(datatype: str, values: Sent) -> bytes:
    if isinstance(values, list):
        return b"".join(struct.pack("<I", len(each)) + each for each in values)
    if datatype == "BF16":
        return (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    return values.tobytes()


def _nested(values: list[Any], shape: Sequence[int]) -> list[Any]:
    if len(shape) <= 1:
        return values
    size = len(values) // shape[0] if shape[0] else 0
    return [_nested(values[place * size : (place + 1) * size], shape[1:]) for place in range(shape[0])]


def _signature(random: Random) -> tuple[str, list[tuple[str, str, str, list[int]]]]:
    """A model, and of each input: its name, that of the output which gives it back, its type and a shape."""
    rows = random.choice((1, 1, 1, 2, 5, 9))
    match random.randrange(6):
        case 0:
            return "types", [(f"in_{name}", f"out_{name}", name, [rows, 2]) for name in MIXED]
        case 1:
            return "half", [("x", "y", "BF16", [rows, random.choice((1, 3, 8))])]
        case 2:
            return "echo", [("x", "y", "BYTES", [rows, 1])]
        case 3:
            return "whole", [("x", "y", "FP32", [2, 3])]
    return "flex", [("x", "y", "FP32", [rows, random.choice((1, 3, 8, 300))])]


def right_tensors(random: Random) -> tuple[Body, dict[str, Any], bytes]:
    """A right body of `infer`, its JSON as a value, and the binary part behind it."""
    model, tensors = _signature(random)
    if random.random() < 0.4:
        random.shuffle(tensors)
    inputs: list[dict[str, Any]] = []
    expected: dict[str, Sent] = {}
    blobs: list[bytes] = []
    for name, output, datatype, shape in tensors:
        binary = random.random() < 0.4
        count = int(np.prod(shape))
        values = _elements(random, datatype, count, texts=not binary)
        expected[output] = values
        one: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        if binary:
            blob = _as_bytes(datatype, values)
            blobs.append(blob)
            one["parameters"] = {"binary_data_size": len(blob)}
        else:
            listed = _as_json(datatype, values)
            one["data"] = _nested(listed, shape) if random.random() < 0.4 else listed
        inputs.append(one)
    head: dict[str, Any] = {"inputs": inputs}
    if random.random() < 0.3:
        head["id"] = random.choice(("", "7", "ü", "x" * 200))
    if random.random() < 0.3:
        head["parameters"] = random.choice(
            ({"binary_data_output": True}, {"binary_data_output": False}, {"priority": 2}, {"mine": None})
        )
    if random.random() < 0.3:
        head["outputs"] = [
            {"name": output, "parameters": {"binary_data": random.random() < 0.5}} for output in expected
        ]
    return Body(model, "infer", b"", expected=expected, right=True), head, b"".join(blobs)


def _sealed(random: Random, body: Body, head: Any, blobs: bytes) -> Body:
    text = _write(head)
    body.content = text + blobs
    if blobs or random.random() < 0.2:
        body.headers[b"inference-header-content-length"] = b"%d" % len(text)
    return body


# Instances of the shipped models

_WORDS = (
    "a",
    "good",
    "book",
    "film",
    "not",
    "ü",
    "\U0001f98a",
    "\t",
    "'",
    "x" * 50,
    "7",
    "\u200f",
    "e\u0301",
)
_MODES = ("L", "RGB", "RGBA", "P", "1", "LA", "CMYK", "I;16", "F", "I")
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "ICO")
_MEDIA = (
    "image/png", "image/jpeg", "image/gif", "image/webp", "text/plain", "application/json", "", "a/b", "text/csv",
    "application/x-www-form-urlencoded", "application/cloudevents+json", "text/plain; charset=latin-1", ";", "\xff",
)  # fmt: skip


def _pictures() -> tuple[bytes, ...]:
    noise = np.random.default_rng(5).integers(0, 256, (24, 20, 4), np.uint8)
    files: list[bytes] = []
    for mode in _MODES:
        picture = Image.fromarray(noise).convert("L").convert(mode) if mode in ("I;16", "F") else None
        picture = picture or Image.fromarray(noise).convert("RGB" if mode == "P" else mode)
        for form in _FORMATS:
            buffer = io.BytesIO()
            try:
                picture.save(buffer, form)
            except (OSError, ValueError, KeyError):
                continue  # no such mode in this format
            files.append(buffer.getvalue())
    return tuple(files)


PICTURES = _pictures()


def _instance(random: Random, model: str) -> Any:
    if model == "reviews":
        text = " ".join(random.choice(_WORDS) for _ in range(random.choice((0, 1, 5, 300))))
        return text if random.random() < 0.8 else {"b64": base64.b64encode(text.encode()).decode()}
    if model == "retail":
        ids = ("22423", "84879", "85123A", "", "none", 22423, -1, 2**64, 1.5, None, True, ["x"], "\udcff")
        history = [random.choice(ids[: random.choice((3, 6, len(ids)))]) for _ in range(random.randrange(9))]
        wish: dict[str, Any] = {"history": history}
        if random.random() < 0.3:
            wish["k"] = random.choice((1, 3, 0, -1, 2**70, 1e9, "3", None, 3.5))
        if random.random() < 0.3:
            wish["exclude"] = [random.choice(ids)]
        return wish
    return {"b64": base64.b64encode(_picture(random)).decode()}


def _picture(random: Random) -> bytes:
    picture = bytearray(random.choice(PICTURES))
    if random.random() < 0.6:
        for _ in range(random.randint(1, 5)):
            picture[random.randrange(len(picture))] = random.randrange(256)
    if random.random() < 0.2:
        del picture[random.randrange(len(picture)) :]
    return bytes(picture)


def _instances(random: Random) -> Body:
    model = random.choice(("reviews", "reviews", "retail", "retail", "fashion"))
    verb = "predict" if random.random() < 0.9 else "explain"
    form = random.random()
    if form < 0.7 or model == "retail":
        value: dict[str, Any] = {
            "instances": [_instance(random, model) for _ in range(random.choice((1, 1, 2, 4)))]
        }
        if verb == "explain":
            value["parameters"] = {"grid": random.choice((2, 7, 0, -1, 10**9, "3", None))}
        if random.random() < 0.4:
            value = _exchanged(random, value)
        return Body(model, verb, _write(value), {b"content-type": b"application/json"})
    content = (
        _picture(random) if model == "fashion" else random.choice((b"a good book", b"\xff\xfe", b"", b"{"))
    )
    if form < 0.85:
        return Body(model, verb, content, {b"content-type": random.choice(_MEDIA).encode("latin-1")})
    return _form(random, model, verb, content)


def _form(random: Random, model: str, verb: str, content: bytes) -> Body:
    disposition = random.choice(
        ('form-data; name="f"', 'form-data; name="f"; filename="\xfc.png"', "form-data", "", "form-data; name=\"a", ";")
    )  # fmt: skip
    media = random.choice(_MEDIA)
    part = f"Content-Disposition: {disposition}\r\nContent-Type: {media}\r\n\r\n".encode("latin-1") + content
    count = random.choice((0, 1, 1, 2, 9))
    body = b"".join(b"--b\r\n" + part + b"\r\n" for _ in range(count)) + random.choice(
        (b"--b--\r\n", b"--b", b"")
    )
    boundary = random.choice(
        ("boundary=b", 'boundary="b"', "boundary=", "", "boundary=" + "b" * 200, "boundary=\xff")
    )
    kind = f"multipart/form-data; {boundary}".encode("latin-1")
    return Body(model, verb, body, {b"content-type": kind})


# Wrong ones


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, part in value.items():
            found += _places(part, (*path, key))
    elif isinstance(value, list):
        for place, part in enumerate(value[:4]):
            found += _places(part, (*path, place))
    return found


def _exchanged(random: Random, value: Any) -> Any:
    """The value with some of its parts exchanged, taken away, or put where they do not belong."""
    value = json.loads(json.dumps(value))
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        path = random.choice(_places(value))
        odd = Raw(random.choice(ODD_VALUES))
        if not path:
            if random.random() < 0.1:
                return odd
            continue
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        match random.randrange(5):
            case 0:
                del holder[path[-1]]
            case 1 if isinstance(holder, dict):
                holder[random.choice(_KEYS)] = odd if random.random() < 0.7 else holder[path[-1]]
            case 2 if isinstance(holder, list):
                holder.insert(path[-1], holder[path[-1]])
            case _:
                holder[path[-1]] = odd
    return value


def _exchanged_bytes(random: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(changed) + 1)
        match random.randrange(4):
            case 0:
                del changed[at : at + random.choice((1, 4, 50))]
            case 1:
                changed[at:at] = random.randbytes(random.choice((1, 4, 40)))
            case 2:
                changed[at : at + 1] = random.choice(
                    (b'"', b"{", b"[", b",", b"\\", b"\0", b"\xff", b"9", b"e", b"-")
                )
            case _:
                del changed[at:]
    return bytes(changed)


_LENGTHS = (b"0", b"1", b"-1", b"+5", b"99999", b"1" * 30, b"x", b"", b"\xb2", b" 3")
_TIMEOUTS = (b"60000", b"0", b"-1", b"nan", b"inf", b"1e400", b"x", b"", b"\xff", b"9" * 400)
_ENCODINGS = (b"gzip", b"deflate", b"br", b"identity", b"", b"gzip, gzip", b"GZIP", b"\xff", b"gzip;q=1")
_ACCEPTS = (b"gzip", b"deflate", b"gzip;q=x", b"*", b";;,", b"gzip;q=1e999", b"\xff", b"identity;q=0", b"")


def make_body(random: Random) -> Body:
    """A body; two of five are right."""
    kind = random.random()
    if kind < 0.4:
        body = _sealed(random, *right_tensors(random))
        _pack(random, body)
        return body
    if kind < 0.65:
        made, head, blobs = right_tensors(random)
        body = _sealed(random, made, _exchanged(random, head), blobs)
    elif kind < 0.75:
        body = _sealed(random, *right_tensors(random))
        body.content = _exchanged_bytes(random, body.content)
    elif kind < 0.8:
        body = Body(random.choice(("flex", "echo", "half", "types", "whole", "retail")), "infer", b"")
        body.content = random.randbytes(random.choice((0, 1, 4, 6, 8, 24, 301)))
        body.headers[b"inference-header-content-length"] = b"0"
    else:
        body = _instances(random)
        if random.random() < 0.1:
            body.content = _exchanged_bytes(random, body.content)
    body.right, body.expected = False, None
    if random.random() < 0.1:
        body.headers[b"inference-header-content-length"] = random.choice(_LENGTHS)
    if random.random() < 0.1:
        body.headers[b"x-request-timeout-ms"] = random.choice(_TIMEOUTS)
    if random.random() < 0.1:
        body.headers[b"content-encoding"] = random.choice(_ENCODINGS)
    _pack(random, body)
    return body


def _pack(random: Random, body: Body) -> None:
    """Compress some bodies, and ask for compressed answers to some; names and ids that any request may have."""
    if b"content-encoding" not in body.headers and random.random() < 0.1:
        name = random.choice(("gzip", "deflate"))
        content = body.content
        body.content = gzip.compress(content, 1, mtime=0) if name == "gzip" else zlib.compress(content, 1)
        body.headers[b"content-encoding"] = name.encode()
    if random.random() < 0.1:
        body.headers[b"accept-encoding"] = random.choice(_ACCEPTS)
    if random.random() < 0.1:
        body.headers[b"x-request-id"] = random.choice((b"7", b"\xff", b"a\tb", b"", b"x" * 500))
