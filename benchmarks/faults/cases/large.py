"""One large request, and everybody else: a caller who asks every 2 ms, the probes, and other large ones."""

import base64
import gzip
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

from onnx import TensorProto, helper

from benchmarks.faults.bench import Bench, Response, Server
from benchmarks.faults.matrix import case, expect
from benchmarks.graphs import Builder, write_strings

_COUNT = 4_000_000
_WIDE = 5_000_000
_MOST_MS = 350.0
"""A machine that CI shares stops a process for 100 ms now and then; 32 MB of JSON took the event loop for 700."""
_ANSWERED = (200, 400, 413, 429)


@case(
    "a caller every 2 ms beside 32 MB of numbers in JSON, flat, nested and gzipped",
    f"waits ≤ {_MOST_MS:.0f} ms",
)
def numbers_in_json(bench: Bench) -> str:
    numbers = b",".join([b"0.12345"] * _COUNT)
    flat = _infer("mean", [1, _COUNT], "FP32", b"[%b]" % numbers)
    nested = _infer("mean", [1, _COUNT], "FP32", b"[[%b]]" % numbers)
    with _serving(bench) as server:
        seen = {
            "flat": _beside(server, lambda: _send(server, "mean", flat)),
            "nested": _beside(server, lambda: _send(server, "mean", nested)),
            "gzip": _beside(
                server, lambda: _send(server, "mean", gzip.compress(flat, 1), {"Content-Encoding": "gzip"})
            ),
        }
        return _judged(seen)


@case("a caller every 2 ms beside 32 MB of JSON whose shape is wrong", f"400; waits ≤ {_MOST_MS:.0f} ms")
def a_refused_shape(bench: Bench) -> str:
    body = _infer("mean", [1, _COUNT, 1], "FP32", b"[%b]" % b",".join([b"0.12345"] * _COUNT))
    with _serving(bench) as server:
        return _judged({"refused": _beside(server, lambda: _send(server, "mean", body))}, 400)


@case("a caller every 2 ms beside an answer of 50 MB in JSON", f"waits ≤ {_MOST_MS:.0f} ms", short=False)
def an_answer_in_json(bench: Bench) -> str:
    body = _infer("wide", [1, 1], "FP32", b"[0.12345678]")
    with _serving(bench, wide=True) as server:
        return _judged({"answer": _beside(server, lambda: _send(server, "wide", body))})


@case(
    "a caller every 2 ms beside 500,000 strings in JSON, and in binary",
    f"waits ≤ {_MOST_MS:.0f} ms",
    short=False,
)
def many_strings(bench: Bench) -> str:
    count = 500_000
    body = _infer("texts", [1, count], "BYTES", b"[%b]" % b",".join([b'"0123456789"'] * count))
    blob = (b"\n\0\0\0" + b"0123456789") * count
    head = {
        "name": "x",
        "shape": [1, count],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(blob)},
    }
    text = json.dumps({"inputs": [head]}).encode()
    named = {"Inference-Header-Content-Length": str(len(text))}
    with _serving(bench, wide=True) as server:
        return _judged(
            {
                "JSON": _beside(server, lambda: _send(server, "texts", body)),
                "binary": _beside(server, lambda: _send(server, "texts", text + blob, named)),
            }
        )


@case("a caller every 2 ms beside a picture of 30 MB in base64", f"waits ≤ {_MOST_MS:.0f} ms")
def a_picture_in_base64(bench: Bench) -> str:
    body = b'{"instances":[{"b64":"%b"}]}' % base64.b64encode(_bitmap(3200))
    with _serving(bench, "photos") as server:
        return _judged(
            {"picture": _beside(server, lambda: server.post("/v1/models/photos:predict", body, timeout_s=60))}
        )


@case(
    "8 requests of 8 MB of JSON at once, beside a small one every 2 ms",
    "each 200 or 429, the small ones all 200",
)
def a_crowd_of_large_ones(bench: Bench) -> str:
    count = _COUNT // 4
    body = _infer("mean", [1, count], "FP32", b"[%b]" % b",".join([b"0.12345"] * count))
    statuses: list[int] = []
    with _serving(bench) as server:

        def crowd() -> Response:
            askers = [
                threading.Thread(target=lambda: statuses.append(_send(server, "mean", body).status))
                for _ in range(8)
            ]
            for asker in askers:
                asker.start()
            for asker in askers:
                asker.join()
            return Response(200, {}, b"")

        _, longest_ms = _beside(server, crowd)
        seen = f"{statuses.count(200)} of {len(statuses)} answered, longest wait {longest_ms:.0f} ms"
        expect(set(statuses) <= {200, 429} and len(statuses) == 8 and longest_ms <= 2 * _MOST_MS, seen)
        return seen


@case("32 MB of JSON with a deadline of 50 ms", "504 within a second")
def a_deadline_while_it_is_decoded(bench: Bench) -> str:
    body = _infer("mean", [1, _COUNT], "FP32", b"[%b]" % b",".join([b"0.12345"] * _COUNT))
    with _serving(bench) as server:
        began = time.monotonic()
        answer = _send(server, "mean", body, {"X-Request-Timeout-Ms": "50"})
        seconds = time.monotonic() - began
        seen = f"{answer.status} after {seconds:.1f} s"
        expect(answer.status == 504 and seconds <= 1.0, seen)
        return seen


@contextmanager
def _serving(bench: Bench, *names: str, wide: bool = False) -> Iterator[Server]:
    models = bench.models(*names)
    write_strings(models, "texts")
    builder = Builder()
    builder.op("ReduceMean", "x", to="y", axes=[1])
    _write(builder, models, "mean", "n", 1)
    if wide:
        builder = Builder()
        builder.op("Add", "x", builder.noise("w", 1, _WIDE, scale=1.0), to="y")
        _write(builder, models, "wide", 1, _WIDE)
    with bench.serve(models, "--max-body-bytes", str(128 << 20)) as server:
        served = [folder.name for folder in models.iterdir()]
        expect(server.wait(lambda: all(map(server.serves, served)), 60), f"not all of {served} are served")
        yield server


def _write(builder: Builder, models: Path, name: str, wide: int | str, narrow: int) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", wide])
    builder.write(models, name, x, ["batch", narrow])


def _infer(model: str, shape: list[int], datatype: str, data: bytes) -> bytes:
    head = json.dumps({"name": "x", "shape": shape, "datatype": datatype})[:-1].encode()
    return b'{"inputs":[%b,"data":%b}]}' % (head, data)


def _send(server: Server, model: str, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    return server.post(f"/v2/models/{model}/infer", body, headers=headers, timeout_s=60)


def _beside(server: Server, work: Callable[[], Response]) -> tuple[int, float]:
    """The status of some work, and the longest wait in ms of one who asks every 2 ms meanwhile."""
    small = _infer("mean", [1, 1], "FP32", b"[0.5]")
    request = (
        b"POST /v2/models/mean/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(small) + small
    )
    over = threading.Event()
    longest: list[float] = [0.0]
    wrong: list[bytes] = []

    def ask() -> None:
        with server.connect(60) as connection:
            while not over.is_set():
                began = time.perf_counter()
                connection.sendall(request)
                answer = connection.recv(1 << 16)
                longest.append(time.perf_counter() - began)
                if b" 200 " not in answer[:16]:
                    wrong.append(answer[:100])
                time.sleep(0.002)

    asker = threading.Thread(target=ask)
    asker.start()
    time.sleep(0.2)
    del longest[1:]  # the first request of a model may prove it
    status = work().status
    over.set()
    asker.join()
    expect(not wrong, f"the small one got {wrong[:1]}")
    return status, 1e3 * max(longest)


def _judged(seen: Mapping[str, tuple[int, float]], status: int = 200) -> str:
    words = ", ".join(f"{name}: {got}, {longest_ms:.0f} ms" for name, (got, longest_ms) in seen.items())
    held = all(got == status and longest_ms <= _MOST_MS for got, longest_ms in seen.values())
    expect(held, words)
    return words


def _bitmap(side: int) -> bytes:
    pixels = Random(1).randbytes(side * side * 3)
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54) + info + pixels
