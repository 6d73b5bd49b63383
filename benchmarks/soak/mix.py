"""The requests of a month: every kind that clients send, right, wrong and rude, from one seed."""

import base64
import gzip
import json
import random
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

POOL = 48
"""Different requests of each kind."""
CROWD = 40
"""Requests at once in a crowd, which is more than the server lets in."""
_TOO_LONG = 1 << 30


class Manner(Enum):
    """The way in which a request is sent."""

    WHOLE = auto()
    SLOW = auto()
    """In pieces, with a moment between."""
    CUT = auto()
    """Its end never comes: the client goes away."""
    LEFT = auto()
    """Whole, and the client goes away without its answer."""
    CROWD = auto()
    """`CROWD` times at once, so that some are turned away."""


@dataclass(frozen=True, slots=True)
class Request:
    """Bytes to send, and the statuses that are right."""

    kind: str
    data: bytes
    statuses: tuple[int, ...] = (200,)
    model: str = ""
    """That is asked; empty where it is none."""
    counts: bool = False
    """Whether an answer of 200 is a success of the model in /metrics, and one of 400 a client's fault."""
    manner: Manner = Manner.WHOLE
    answers: int = 1
    """Requests in a row, each with its answer."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request: its share in the mix, and the pool that it is drawn from."""

    name: str
    share: float
    pool: tuple[Request, ...]


def mix(models: Path, seed: int) -> list[Kind]:
    """All kinds, for the shipped models in that folder; shares are parts of 1,000 or so."""
    make = _Maker(models, random.Random(seed))
    kinds = [
        Kind(name, share, tuple(replace(each, kind=name) for each in make.pool(one)))
        for name, share, one in make.kinds()
    ]
    by_name = {kind.name: kind for kind in kinds}
    rude = [
        _with(by_name["a text"], "pipelined", 12, _eight),
        _with(by_name["several texts"], "a slow client", 2, lambda one: replace(one, manner=Manner.SLOW)),
        _with(by_name["several texts"], "cut off in its body", 4, lambda one: _cut(one, 0.7)),
        _with(by_name["a text"], "cut off in its head", 3, lambda one: _cut(one, 0.2)),
        _with(
            by_name["a history"], "left before its answer", 3, lambda one: replace(one, manner=Manner.LEFT)
        ),
    ]
    return kinds + rude


def _with(kind: Kind, name: str, share: float, change: Callable[[Request], Request]) -> Kind:
    return Kind(name, share, tuple(replace(change(each), kind=name) for each in kind.pool))


def _eight(one: Request) -> Request:
    return replace(one, data=one.data * 8, answers=8)


def _cut(one: Request, share: float) -> Request:
    return replace(one, data=one.data[: int(len(one.data) * share)], manner=Manner.CUT)


def http(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """A request in HTTP/1.1."""
    lines = [f"{method} {path} HTTP/1.1", "Host: baton", *headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class _Maker:
    """Makes one request after another, each from the same generator."""

    def __init__(self, models: Path, draw: random.Random) -> None:
        self._draw = draw
        newest = {folder.name: max(folder.iterdir()) for folder in models.iterdir()}
        self._images = {name: sorted(newest[name].glob("golden/*.png")) for name in ("fashion", "photos")}
        texts = [file.read_text() for file in sorted(newest["reviews"].glob("golden/*.txt"))]
        self._words = " ".join(texts).split()
        examples = json.loads((newest["retail"] / "golden.json").read_text())["examples"]
        self._items = [item for each in examples for item in each["instance"]["history"]]

    def pool(self, one: Callable[[], Request]) -> Iterable[Request]:
        return (one() for _ in range(POOL))

    def kinds(self) -> list[tuple[str, float, Callable[[], Request]]]:
        """Name, share, and how one is made."""
        return [
            ("a text", 240, lambda: self._predict("reviews", [self._text()])),
            ("several texts", 50, lambda: self._predict("reviews", [self._text() for _ in range(self._few())])),
            ("a history", 180, lambda: self._predict("retail", [self._history()])),
            ("several histories", 40,
             lambda: self._predict("retail", [self._history() for _ in range(self._few())])),
            ("an image in JSON", 40, lambda: self._predict("fashion", [self._encoded("fashion")])),
            ("several images in JSON", 8,
             lambda: self._predict("fashion", [self._encoded("fashion") for _ in range(self._few())])),
            ("an image", 60, lambda: self._image("fashion")),
            ("an image in colours", 10, lambda: self._image("photos")),
            ("tensors in JSON", 70, self._json_tensors),
            ("binary tensors", 90, self._binary_tensors),
            ("a compressed body", 15, self._compressed),
            ("a compressed answer", 10, lambda: self._predict("reviews", [self._text()], "Accept-Encoding: gzip")),
            ("a chunked body", 10, self._chunked),
            ("an explained text", 1.5, lambda: self._explain("reviews", [self._text(6)])),
            ("an explained history", 0.5, lambda: self._explain("retail", [self._history(6)])),
            ("an explained image", 0.1, lambda: self._explain("fashion", [self._encoded("fashion")])),
            ("metadata", 20, lambda: self._get(self._any("/v2/models/{}", "/v1/models/{}"))),
            ("readiness", 30, lambda: self._get(self._any("/v2/health/ready", "/v2/health/live"))),
            ("the index", 1, lambda: self._plain("POST", "/v2/repository/index", b"{}")),
            ("statistics", 1, lambda: self._get("/v2/models/stats")),
            ("metrics", 0.5, lambda: self._get("/metrics")),
            ("no JSON", 20, lambda: self._wrong("reviews", b'{"instances": ["a"')),
            ("a wrong instance", 20, lambda: self._wrong("retail", b'{"instances": [{"history": 7}]}')),
            ("no image", 10, lambda: self._wrong("fashion", b"\x89PNG broken", "Content-Type: image/png")),
            ("an unknown model", 15, lambda: self._nowhere(f"/v1/models/{self._word()}:predict")),
            ("an unknown path", 10, lambda: self._nowhere(f"/{self._word()}/{self._draw.random()}")),
            ("too large a body", 5, self._too_large),
            ("a crowd", 0.05, self._crowd),
        ]  # fmt: skip

    def _few(self) -> int:
        return self._draw.randint(2, 8)

    def _word(self) -> str:
        return "".join(self._draw.choices("abcdefghijklmnop", k=8))

    def _any(self, *paths: str) -> str:
        return self._draw.choice(paths).format(self._draw.choice(("fashion", "photos", "retail", "reviews")))

    def _text(self, words: int | None = None) -> str:
        return " ".join(self._draw.choices(self._words, k=words or self._draw.randint(1, 120)))

    def _history(self, items: int | None = None) -> dict[str, Any]:
        return {"history": self._draw.choices(self._items, k=items or self._draw.randint(1, 40))}

    def _pixels(self, model: str) -> bytes:
        return self._draw.choice(self._images[model]).read_bytes()

    def _encoded(self, model: str) -> dict[str, str]:
        return {"b64": base64.b64encode(self._pixels(model)).decode()}

    def _headers(self) -> list[str]:
        """Every other client sends some of its own, of which no two are alike."""
        if self._draw.random() < 0.5:
            return []
        trace = f"traceparent: 00-{self._draw.randbytes(16).hex()}-{self._draw.randbytes(8).hex()}-01"
        return [f"X-Request-Id: {self._draw.random()}", trace][: self._draw.randint(1, 2)]

    def _predict(self, model: str, instances: list[Any], *headers: str) -> Request:
        body = json.dumps({"instances": instances}).encode()
        data = http("POST", f"/v1/models/{model}:predict", body, *self._headers(), *headers)
        return Request("", data, model=model, counts=True)

    def _explain(self, model: str, instances: list[Any]) -> Request:
        body = json.dumps({"instances": instances}).encode()
        return Request("", http("POST", f"/v1/models/{model}:explain", body), model=model)

    def _image(self, model: str) -> Request:
        sent = ("Content-Type: image/png", *self._headers())
        return Request(
            "",
            http("POST", f"/v1/models/{model}:predict", self._pixels(model), *sent),
            model=model,
            counts=True,
        )

    def _json_tensors(self) -> Request:
        length = self._draw.randint(1, 64)
        ids = [self._draw.randint(1, 2000) for _ in range(length)]
        tensor = {"name": "ids", "shape": [1, length], "datatype": "INT64", "data": ids}
        body = json.dumps({"id": self._word(), "inputs": [tensor]}).encode()
        return Request(
            "", http("POST", "/v2/models/reviews/infer", body, *self._headers()), model="reviews", counts=True
        )

    def _binary_tensors(self) -> Request:
        rows = self._draw.randint(1, 4)
        pixels = self._draw.randbytes(rows * 28 * 28)
        tensor = {"name": "image", "shape": [rows, 28, 28, 1], "datatype": "UINT8",
                  "parameters": {"binary_data_size": len(pixels)}}  # fmt: skip
        head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        sent = (f"Inference-Header-Content-Length: {len(head)}", "Content-Type: application/octet-stream")
        data = http("POST", "/v2/models/fashion/infer", head + pixels, *sent, *self._headers())
        return Request("", data, model="fashion", counts=True)

    def _compressed(self) -> Request:
        body = gzip.compress(json.dumps({"instances": [self._text(), self._text()]}).encode(), mtime=0)
        data = http("POST", "/v1/models/reviews:predict", body, "Content-Encoding: gzip")
        return Request("", data, model="reviews", counts=True)

    def _chunked(self) -> Request:
        body = json.dumps({"instances": [self._history()]}).encode()
        middle = len(body) // 2
        pieces = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:middle], body[middle:]))
        head = http("GET", "/v1/models/retail:predict", b"", "Transfer-Encoding: chunked")
        data = b"POST" + head.removeprefix(b"GET") + pieces + b"0\r\n\r\n"
        return Request("", data, model="retail", counts=True)

    def _get(self, path: str) -> Request:
        model = path.rpartition("/")[2] if "/models/" in path and not path.endswith("stats") else ""
        return Request("", http("GET", path, b"", *self._headers()), model=model)

    def _plain(self, method: str, path: str, body: bytes) -> Request:
        return Request("", http(method, path, body))

    def _wrong(self, model: str, body: bytes, *headers: str) -> Request:
        data = http("POST", f"/v1/models/{model}:predict", body, *headers)
        return Request("", data, (400,), model, counts=True)

    def _nowhere(self, path: str) -> Request:
        return Request("", http("POST", path, b"{}"), (404,))

    def _too_large(self) -> Request:
        head = http("GET", "/v1/models/reviews:predict", b"", f"Content-Length: {_TOO_LONG}")
        return Request("", b"POST" + head.removeprefix(b"GET"), (413,), "reviews", counts=True)

    def _crowd(self) -> Request:
        one = self._predict("reviews", [self._text(8) for _ in range(64)])
        return replace(one, statuses=(200, 429), manner=Manner.CROWD)


def draws(kinds: list[Kind], seed: int, number: int) -> list[Request]:
    """So many requests of the mix, in an order of their own."""
    draw = random.Random(struct.pack(">qq", seed, number))
    chosen = draw.choices(kinds, [kind.share for kind in kinds], k=number)
    return [draw.choice(kind.pool) for kind in chosen]
