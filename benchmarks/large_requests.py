"""The longest wait of a small request beside one large one, for ten kinds of large requests, and of the probes.

A caller asks a small model every 2 ms over one connection, and another asks for readiness every 20 ms, both in
processes of their own. Meanwhile one large request is sent to another model. With `--against` the servers of both
versions take turns in one run.
"""

import base64
import gzip
import json
import multiprocessing
import re
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto, helper

from benchmarks.graphs import TINY, Builder, write_mlp
from benchmarks.result import Claim, parser, write
from benchmarks.server import Server, serving

ROOT = Path(__file__).resolve().parents[1]
_EVERY_S, _PROBE_EVERY_S = 0.002, 0.02
_WIDE = 8_000_000
_FLAGS = ("--max-body-bytes", str(256 << 20), "--no-access-log")
_SHARE, _ENOUGH_MS, _PROBE_MS = 20, 15.0, 100.0
_TIMEOUT_S = 120.0

Headers = Mapping[str, str]


class Large(NamedTuple):
    """A large request, and the status of its answer."""

    name: str
    path: str
    body: bytes
    headers: Headers
    status: int = 200


class Seen(NamedTuple):
    """Of one large request: the longest waits beside it in milliseconds, its status and its seconds."""

    wait_ms: float
    probe_ms: float
    status: int
    seconds: float


def main() -> int:
    """Measure and write."""
    cli = parser("large_requests", __doc__)
    cli.add_argument("--against", type=Path, help="a checkout of another version, measured by turns")
    cli.add_argument("--rounds", type=int, default=5)
    cli.add_argument("--mb", type=int, default=64, help="of the large bodies")
    cli.add_argument("--only", nargs="+", default=[], help="some of the requests, by their names")
    given = cli.parse_args()
    checkouts = {"this build": ROOT} | ({"before": given.against.resolve()} if given.against else {})
    found: dict[tuple[str, str], list[Seen]] = {}
    kinds: list[str] = []
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        models = _write_models(Path(scratch))
        servers = {
            name: stack.enter_context(serving(models, _FLAGS, checkout))
            for name, checkout in checkouts.items()
        }
        watches = {name: stack.enter_context(_Watch(server)) for name, server in servers.items()}
        for large in _requests(given.mb * 1_000_000):
            if given.only and large.name not in given.only:
                continue
            kinds.append(large.name)
            for _ in range(given.rounds):
                for name, server in servers.items():
                    seen = _measure(server, watches[name], large)
                    # The other version may take what this one refuses.
                    if name == "this build" and seen.status != large.status:
                        raise SystemExit(f"{large.name}: got status {seen.status}, expected {large.status}")
                    found.setdefault((large.name, name), []).append(seen)
            print(
                large.name, {n: _median(found[large.name, n]) for n in servers}, file=sys.stderr, flush=True
            )
    medians = {key: _median(seen) for key, seen in found.items()}
    rows = [_row(kind, [medians[kind, name] for name in checkouts]) for kind in kinds]
    columns = ["request", "longest wait, ms", "of the probes, ms", "answered after, s"]
    if given.against:
        columns += ["before: wait, ms", "probes, ms", "s"]
    return write(given.out, tuple(columns), rows, list(_claims(kinds, medians, given.against is not None)))


def _row(kind: str, seen: list[Seen]) -> tuple[str, ...]:
    cells = [kind]
    for each in seen:
        cells += [f"{each.wait_ms:.1f}", f"{each.probe_ms:.1f}", f"{each.seconds:.2f}"]
    return tuple(cells)


def _claims(kinds: list[str], medians: Mapping[tuple[str, str], Seen], against: bool) -> Iterator[Claim]:
    for kind in kinds:
        now = medians[kind, "this build"]
        most = max(_ENOUGH_MS, medians[kind, "before"].wait_ms / _SHARE) if against else 25.0
        yield Claim(
            text=f"{kind}: the longest wait beside it",
            expected=f"≤ {most:.1f} ms",
            actual=f"{now.wait_ms:.1f} ms",
            kept=now.wait_ms <= most,
        )
    worst = max((medians[kind, "this build"].probe_ms for kind in kinds), default=0.0)
    yield Claim(
        text="the probes' longest wait beside any of them",
        expected=f"≤ {_PROBE_MS:.0f} ms",
        actual=f"{worst:.1f} ms",
        kept=worst <= _PROBE_MS,
    )


def _median(seen: list[Seen]) -> Seen:
    return Seen(
        statistics.median(each.wait_ms for each in seen),
        statistics.median(each.probe_ms for each in seen),
        seen[-1].status,
        statistics.median(each.seconds for each in seen),
    )


def _measure(server: Server, watch: "_Watch", large: Large) -> Seen:
    time.sleep(0.3)
    watch.begin()
    time.sleep(0.1)
    began = time.perf_counter()
    status = _ask(server, large)
    seconds = time.perf_counter() - began
    time.sleep(0.1)
    wait_ms, probe_ms = watch.end()
    return Seen(wait_ms, probe_ms, status, seconds)


def _ask(server: Server, large: Large) -> int:
    """Send a request and read its answer into one buffer again and again, so that reading costs little."""
    head = [f"POST {large.path} HTTP/1.1", "Host: x", f"Content-Length: {len(large.body)}"]
    head += [f"{name}: {value}" for name, value in large.headers.items()]
    with socket.create_connection((server.url.hostname, server.url.port), timeout=_TIMEOUT_S) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + large.body[:1])
        connection.sendall(memoryview(large.body)[1:])
        buffer = bytearray(1 << 20)
        got = connection.recv_into(buffer)
        status, end = int(buffer[9:12]), buffer.index(b"\r\n\r\n") + 4
        (length,) = re.findall(rb"(?i)\r\ncontent-length: *(\d+)", buffer[:end])
        left = end + int(length) - got
        while left > 0:
            left -= connection.recv_into(buffer) or left
    return status


class _Watch:
    """Two processes that ask for something small, as long as a large request is under way."""

    def __init__(self, server: Server) -> None:
        body = json.dumps(
            {"inputs": [{"name": "x", "shape": [1, TINY[0]], "datatype": "FP32", "data": [0.5] * TINY[0]}]}
        )
        small = f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        probe = "GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n"
        self._askers = [
            _Asker(server.url.port or 0, small.encode(), _EVERY_S),
            _Asker(server.url.port or 0, probe.encode(), _PROBE_EVERY_S),
        ]

    def __enter__(self) -> "_Watch":
        return self

    def __exit__(self, *_: object) -> None:
        for asker in self._askers:
            asker.stop()

    def begin(self) -> None:
        for asker in self._askers:
            asker.pipe.send(True)

    def end(self) -> tuple[float, float]:
        for asker in self._askers:
            asker.pipe.send(False)
        small, probe = (asker.pipe.recv() for asker in self._askers)
        return 1e3 * small, 1e3 * probe


class _Asker:
    def __init__(self, port: int, request: bytes, every_s: float) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_keep_asking, args=(port, request, every_s, theirs), daemon=True
        )
        self._process.start()

    def stop(self) -> None:
        self.pipe.send(None)
        self._process.join(10)


def _keep_asking(port: int, request: bytes, every_s: float, pipe: Connection) -> None:
    """Between True and False: ask, and note the longest wait; then send it."""
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while pipe.recv():
            longest = 0.0
            while not pipe.poll():
                began = time.perf_counter()
                connection.sendall(request)
                answer = connection.recv(1 << 16)
                while not answer.endswith(b"}"):  # uvicorn writes head and body one after the other
                    answer += connection.recv(1 << 16)
                took = time.perf_counter() - began
                if not answer.startswith(b"HTTP/1.1 200"):
                    raise SystemExit(f"got {answer[:200]!r}, expected 200")
                longest = max(longest, took)
                time.sleep(every_s)
            pipe.recv()
            pipe.send(longest)


def _write_models(root: Path) -> Path:
    """The small model, graphs that take or give much and compute little, and links to the models of this build."""
    write_mlp(root, "tiny", TINY)
    _write(root, "mean", TensorProto.FLOAT, ["batch", "n"], lambda b: b.op("ReduceMean", "x", to="y", axes=[1]), [
        "batch", 1])  # fmt: skip
    _write(root, "wide", TensorProto.FLOAT, ["batch", 1], _wide, ["batch", _WIDE])
    _write(root, "count", TensorProto.STRING, ["batch", "n"], _count, ["batch", 1])
    for name in ("photos", "retail"):
        (root / name).symlink_to(ROOT / "models" / name, target_is_directory=True)
    return root


def _wide(builder: Builder) -> None:
    builder.op("Add", "x", builder.noise("w", 1, _WIDE, scale=1.0), to="y")


def _count(builder: Builder) -> None:
    shape = builder.op("Shape", "x")
    one = builder.op(
        "Slice", shape, builder.constant("from", [0], np.int64), builder.constant("to", [1], np.int64)
    )
    ends = builder.op("Concat", one, builder.constant("one", [1], np.int64), axis=0)
    builder.op("Expand", builder.constant("zero", [0.0]), ends, to="y")


def _write(
    root: Path, name: str, kind: int, axes: list[Any], build: Callable[[Builder], Any], y: list[Any]
) -> None:
    builder = Builder()
    build(builder)
    builder.write(root, name, helper.make_tensor_value_info("x", kind, axes), y)


def _requests(size: int) -> Iterator[Large]:
    """Ten large requests of about `size` bytes, one at a time."""
    number = np.random.default_rng(5)
    json_headers = {"Content-Type": "application/json"}

    def infer(model: str, shape: list[int], datatype: str, data: bytes) -> tuple[str, bytes]:
        head = json.dumps({"name": "x", "shape": shape, "datatype": datatype})[:-1].encode()
        return f"/v2/models/{model}/infer", b'{"inputs":[%b,"data":%b}]}' % (head, data)

    count = size // 8
    text = b",".join(b"%.5f" % value for value in number.random(count).tolist())
    yield Large("JSON in", *infer("mean", [1, count], "FP32", b"[%b]" % text), json_headers)
    yield Large("a refused shape", *infer("mean", [1, count, 1], "FP32", b"[%b]" % text), json_headers, 400)
    path, body = infer("mean", [1, count], "FP32", b"[[%b]]" % text)
    yield Large("nested JSON", path, body, json_headers)
    yield Large("gzip of JSON", path, gzip.compress(body, 1), {**json_headers, "Content-Encoding": "gzip"})
    del text, body
    wide = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [0.1]}
    yield Large("JSON out", "/v2/models/wide/infer", json.dumps({"inputs": [wide]}).encode(), json_headers)
    binary = {"inputs": [wide], "parameters": {"binary_data_output": True}}
    yield Large("binary out", "/v2/models/wide/infer", json.dumps(binary).encode(), json_headers)
    count = size // 4
    head = {
        "name": "x",
        "shape": [1, count],
        "datatype": "FP32",
        "parameters": {"binary_data_size": 4 * count},
    }
    body = json.dumps({"inputs": [head]}).encode()
    named = {"Inference-Header-Content-Length": str(len(body))}
    yield Large(
        "binary in", "/v2/models/mean/infer", body + number.random(count, np.float32).tobytes(), named
    )
    # At 16 MB each string is an object of 70 bytes; 64 rows are what the old version takes at most.
    count = size // 4 // 24 // 64 * 64
    words = b",".join(b'"%020d"' % value for value in number.integers(0, 1 << 60, count).tolist())
    yield Large("strings in JSON", *infer("count", [64, count // 64], "BYTES", b"[%b]" % words), json_headers)
    picture = base64.b64encode(_bitmap(size * 3 // 4))
    yield Large("a picture in base64", "/v1/models/photos:predict", b'{"instances":[{"b64":"%b"}]}' % picture,
                json_headers)  # fmt: skip
    ids = np.ones((1, size // 8), np.int64).tobytes()
    yield Large(
        "a raw history", "/v2/models/retail/infer", ids, {"Inference-Header-Content-Length": "0"}, 413
    )


def _bitmap(size: int) -> bytes:
    """A BMP of about so many bytes."""
    side = int((size / 3) ** 0.5) // 4 * 4
    pixels = np.random.default_rng(1).integers(0, 255, side * side * 3, np.uint8).tobytes()
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54) + info + pixels


if __name__ == "__main__":
    sys.exit(main())
