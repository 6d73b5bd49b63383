"""Memory: what requests hold is bounded, whatever form it has, and nobody pays for somebody else's."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException

from benchmarks.attacks import huge_image, post
from benchmarks.faults.bench import Bench, Server, read_until_silent, statuses
from benchmarks.faults.matrix import case, expect

MB, MiB = 1_000_000, 1 << 20
_LIMIT = 64
"""MiB that requests may hold in the servers of most cases."""
_MOST = _LIMIT + 32
"""MiB that a server may grow by: the limit, and what Python's and ONNX Runtime's own objects take."""
_RETAIL, _REVIEWS = "/v2/models/retail/infer", "/v1/models/reviews:predict"
_JSON = "Content-Type: application/json"
_GOOD = json.dumps({"instances": ["a good book"]})
_MEGABYTE = bytes(MB)


@contextmanager
def _serving(bench: Bench, *models: str, flags: Sequence[str] = ()) -> Iterator[Server]:
    """A server with the limit, where its checkout knows one; its first requests are over."""
    if "max_inflight_bytes" in (bench.checkout / "serving/settings.py").read_text():
        flags = ("--max-inflight-bytes", f"{_LIMIT}MiB", *flags)
    with bench.serve(bench.models("reviews", *models), *flags) as server:
        for _ in range(3):
            server.post(_REVIEWS, _GOOD)
        yield server


def _grows(server: Server, act: Callable[[], object]) -> float:
    """MiB by which the server's peak was over its memory before."""
    before = server.rss_bytes()
    server.forget_peak()
    act()
    return (server.peak_bytes() - before) / MiB


def _judge(mib: float, seen: str, most: float = _MOST) -> str:
    expect(mib <= most, f"{mib:.0f} MiB more, {seen}")
    return f"{mib:.0f} MiB more, {seen}"


def _send(connection: socket.socket, *parts: bytes) -> None:
    """As much as the server takes: it may close in the middle."""
    connection.settimeout(5.0)
    with suppress(OSError):
        for part in parts:
            connection.sendall(part)


def _at_once(server: Server, count: int, parts: Sequence[bytes], wait_s: float = 1.0) -> list[int]:
    """Send the same on many connections, hold them, and read what came; the statuses."""
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect(20.0)) for _ in range(count)]
        threads = [threading.Thread(target=_send, args=(each, *parts)) for each in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(wait_s)
        return sorted(status for each in connections for status in statuses(_now(each)))


def _now(connection: socket.socket) -> bytes:
    return read_until_silent(connection, 0.05)


def _counts(seen: Sequence[int]) -> str:
    return ", ".join(f"{seen.count(status)} of {status}" for status in sorted(set(seen))) or "no answer"


@case("19 of 20 MB on 10 connections, then nothing", f"at most {_MOST} MiB more; some are answered 429")
def half_bodies(bench: Bench) -> str:
    with _serving(bench) as server:
        seen: list[int] = []
        parts = [post(_REVIEWS, 20 * MB, _JSON), *[_MEGABYTE] * 19]
        mib = _grows(server, lambda: seen.extend(_at_once(server, 10, parts)))
        expect(429 in seen, f"{mib:.0f} MiB more, {_counts(seen)}")
        return _judge(mib, _counts(seen))


@case("half bodies fill all there is; others ask small things meanwhile", "every one is answered 200")
def small_ones_beside_half_bodies(bench: Bench) -> str:
    with _serving(bench) as server, ExitStack() as stack:
        for _ in range(12):
            connection = stack.enter_context(server.connect())
            _send(connection, post(_REVIEWS, 20 * MB, _JSON), *[_MEGABYTE] * 8)
        large = json.dumps({"instances": ["a good book " * 20]}).encode() + b" " * 300_000
        seen = [server.post(_REVIEWS, _GOOD).status for _ in range(20)]
        seen += [
            server.post(_REVIEWS, large, headers={"Content-Type": "application/json"}).status
            for _ in range(5)
        ]
        expect(set(seen) == {200}, _counts(seen))
        return _counts(seen)


@case("100 bytes of 60 MB on 30 connections, and a body of 2 MB beside them", "the 2 MB are read: no 429")
def declared_and_not_sent(bench: Bench) -> str:
    with _serving(bench) as server, ExitStack() as stack:
        for _ in range(30):
            _send(stack.enter_context(server.connect()), post(_REVIEWS, 60 * MB, _JSON) + bytes(100))
        status = server.post(_REVIEWS, _GOOD + " " * (2 * MB)).status
        expect(status == 200, str(status))
        return str(status)


def _chunked(path: str, pieces: int) -> list[bytes]:
    piece = b"%x\r\n" % MB + _MEGABYTE + b"\r\n"
    return [post(path, None, _JSON), *[piece] * pieces, b"0\r\n\r\n"]


@case("100 MB in chunks into `repository/index`", f"413, and at most {_MOST} MiB more")
def chunks_into_an_ordinary_route(bench: Bench) -> str:
    with _serving(bench) as server:
        seen: list[int] = []
        mib = _grows(server, lambda: seen.extend(_at_once(server, 1, _chunked("/v2/repository/index", 100))))
        expect(seen == [413], f"{mib:.0f} MiB more, {_counts(seen)}")
        return _judge(mib, "413")


@case("120 MB in chunks into log and trace settings, a path that is none, and a method that is none",
      f"no 200, and at most {_MOST} MiB more")  # fmt: skip
def chunks_into_every_other_route(bench: Bench) -> str:
    paths = (
        "/v2/logging",
        "/v2/trace/setting",
        "/v2/models/reviews/trace/setting",
        "/nowhere",
        "/v2/health/live",
    )
    with _serving(bench) as server:
        seen: list[int] = []

        def act() -> None:
            for path in paths:
                seen.extend(_at_once(server, 1, _chunked(path, 120), 0.3))

        mib = _grows(server, act)
        expect(len(seen) == len(paths) and 200 not in seen, f"{mib:.0f} MiB more, {_counts(seen)}")
        return _judge(mib, _counts(seen))


@case("50 MB in chunks into `:predict` on 4 connections", f"413 or 429, and at most {_MOST} MiB more")
def chunks_into_predict(bench: Bench) -> str:
    with _serving(bench) as server:
        seen: list[int] = []
        mib = _grows(server, lambda: seen.extend(_at_once(server, 4, _chunked(_REVIEWS, 50))))
        expect(bool(seen) and set(seen) <= {413, 429}, f"{mib:.0f} MiB more, {_counts(seen)}")
        return _judge(mib, _counts(seen))


@case("60 MB of blanks in gzip of 60 kB, 6 at once", f"413 or 429, and at most {_MOST} MiB more")
def gzip_bombs(bench: Bench) -> str:
    body = gzip.compress(b'{"instances": [' + b" " * (60 * MB), 6)
    request = post(_REVIEWS, len(body), _JSON, "Content-Encoding: gzip") + body
    with _serving(bench) as server:
        seen: list[int] = []
        mib = _grows(server, lambda: seen.extend(_at_once(server, 6, [request], 4.0)))
        expect(bool(seen) and set(seen) <= {413, 429}, f"{mib:.0f} MiB more, {_counts(seen)}")
        return _judge(mib, _counts(seen))


@case("4 PNGs of 49 million pixels in 200 kB at once", f"413, and at most {_MOST} MiB more")
def images_that_decode_huge(bench: Bench) -> str:
    body = huge_image()
    request = post("/v1/models/photos:predict", len(body), "Content-Type: image/png") + body
    with _serving(bench, "photos") as server:
        seen: list[int] = []
        mib = _grows(server, lambda: seen.extend(_at_once(server, 4, [request], 4.0)))
        expect(seen == [413] * 4, f"{mib:.0f} MiB more, {_counts(seen)}")
        return _judge(mib, _counts(seen))


@case("60 kB of headers of four bytes, without an end, on 150 connections", "431, and at most 48 MiB more")
def heads_of_many_headers(bench: Bench) -> str:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"%x:\r\n" % place for place in range(10_000))
    with _serving(bench) as server:
        seen: list[int] = []
        mib = _grows(server, lambda: seen.extend(_at_once(server, 150, [head], 0.5)))
        expect(seen == [431] * 150, f"{mib:.0f} MiB more, {_counts(seen)}")
        return _judge(mib, _counts(seen), 48)


@case("20,000 small requests behind one another, unread, on 20 connections", f"at most {_MOST} MiB more")
def pipelined_requests(bench: Bench) -> str:
    many = b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n" * 20_000
    with _serving(bench) as server:
        mib = _grows(server, lambda: _at_once(server, 20, [many], 0.5))
        return _judge(mib, "answered")


@case("answers of 15 MB to 8 kB each on 12 connections, which nobody reads", f"at most {_MOST} MiB more")
def answers_that_nobody_reads(bench: Bench) -> str:
    rows = 1000
    data = b"\x01" + bytes(7)
    head = json.dumps({
        "inputs": [{"name": "history", "shape": [rows, 1], "datatype": "INT64",
                    "parameters": {"binary_data_size": 8 * rows}}],
        "outputs": [{"name": "scores", "parameters": {"binary_data": True}}],
    }).encode()  # fmt: skip
    length = f"Inference-Header-Content-Length: {len(head)}"
    request = post(_RETAIL, len(head) + 8 * rows, length) + head + data * rows
    with _serving(bench, "retail") as server, ExitStack() as stack:

        def act() -> None:
            for _ in range(12):
                _send(stack.enter_context(server.connect()), request)
                time.sleep(0.1)
            time.sleep(2.0)

        return _judge(_grows(server, act), "no answer read")


@case("a history of 8 million ids, binary", "413 with the number; 15 s later no more than 48 MiB are left")
def memory_comes_back(bench: Bench) -> str:
    ids = 8_000_000
    head = json.dumps({
        "inputs": [{"name": "history", "shape": [1, ids], "datatype": "INT64",
                    "parameters": {"binary_data_size": 8 * ids}}],
    }).encode()  # fmt: skip
    with bench.serve(bench.models("retail")) as server:
        before = server.rss_bytes()
        with suppress(OSError, HTTPException):
            headers = {"Inference-Header-Content-Length": str(len(head))}
            answer = server.post(_RETAIL, head + b"\x01\0\0\0\0\0\0\0" * ids, headers=headers)
            expect(
                answer.status == 413 and "at most" in answer.error, f"{answer.status}: {answer.body[:200]!r}"
            )
        server.wait(lambda: server.rss_bytes() - before < 48 * MiB, 15.0)
        left = (server.rss_bytes() - before) / MiB
        expect(left < 48, f"{left:.0f} MiB are left")
        return f"413, {left:.0f} MiB are left"


@case("40 MB to a server that may hold 64 MiB for all", "413 with the number, before the rest is read")
def a_request_that_never_fits(bench: Bench) -> str:
    with _serving(bench) as server, server.connect() as connection:
        _send(connection, post(_REVIEWS, 40 * MB, _JSON), *[b" " * MB] * 40)
        answer = read_until_silent(connection, 5.0)
        seen = f"{_counts(statuses(answer))}: {answer[-160:].decode(errors='replace')}"
        expect(statuses(answer)[:1] == [413] and b"bytes" in answer, seen)
        return seen


@case(
    "a body that is refused, then a small request", "429 with Retry-After, then 200; nothing is held any more"
)
def what_was_held_is_given_back(bench: Bench) -> str:
    with _serving(bench) as server:
        seen = _at_once(server, 6, [post(_REVIEWS, 30 * MB, _JSON), *[_MEGABYTE] * 20], 0.2)
        gone = server.wait(lambda: server.metric("baton_inflight_bytes") == 0, 10.0)
        status = server.post(_REVIEWS, _GOOD).status
        limit = server.metric("baton_inflight_bytes_limit")
        told = server.get("/v2/diagnostics").json.get("inflight_bytes", {})
        shown = f"{_counts(seen)}, then {status}; limit {limit / MiB:.0f} MiB, held {told.get('held')}"
        expect(429 in seen and status == 200 and gone and limit == told.get("limit") == _LIMIT * MiB, shown)
        return shown


@case("`--workers 2` with a limit of 64 MiB", "each has half; the metrics show their sum")
def workers_share_the_limit(bench: Bench) -> str:
    with _serving(bench, flags=("--workers", "2")) as server:
        limit = server.metric("baton_inflight_bytes_limit")
        expect(limit == _LIMIT * MiB, f"{limit / MiB:.0f} MiB in all")
        return f"{limit / MiB:.0f} MiB in all"


@case("`--max-inflight-bytes lots`", "the start is refused with the flag and what was expected")
def a_size_that_is_none(bench: Bench) -> str:
    with bench.serve(bench.models(), "--max-inflight-bytes", "lots", ready=None) as server:
        status = server.process.wait(20.0)
        log = server.log()
        told = "max_inflight_bytes" in log or "--max-inflight-bytes" in log
        expect(status != 0 and told and "512MiB" in log, f"status {status}: {log[-200:]}")
        return f"status {status}: {_last(log)}"


def _last(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if "512MiB" in line]
    return lines[-1] if lines else ""
