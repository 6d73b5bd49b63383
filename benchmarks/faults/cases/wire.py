"""Bytes on the wire: the fast path and uvicorn's own way must agree.

Each request is sent as it is, which the fast path takes, and with a query behind its path, which it does not.
"""

import json
import re
import time
from collections.abc import Iterable
from contextlib import suppress

from benchmarks.faults.bench import Bench, Server, statuses
from benchmarks.faults.matrix import case, expect

_BODY = json.dumps({"instances": ["a good book"]}).encode()
_PATH = "/v1/models/reviews:predict"
_BOTH = {"fast path": _PATH, "uvicorn's way": f"{_PATH}?x=1"}
_LAST = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
_H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
_LENGTH = f"Content-Length: {len(_BODY)}"
_TRACEBACK = "Traceback (most recent call last)"


def _request(
    *headers: str, path: str = _PATH, body: bytes = _BODY, length: str | None = None, version: str = "1.1"
) -> bytes:
    """`length`: the line that says how long the body is; None for the right one, "" for none."""
    length = f"Content-Length: {len(body)}" if length is None else length
    lines = [f"POST {path} HTTP/{version}", "Host: x", "Content-Type: application/json", *headers, length]
    return "\r\n".join([*filter(None, lines), "", ""]).encode("latin-1") + body


def _chunked(body: bytes = _BODY, extra: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n0\r\n\r\n" % (len(body), extra, body)


def _all(server: Server, parts: Iterable[bytes], wait_s: float = 0.002) -> bytes:
    """Everything that comes until the server closes, which the last request asks for, or says nothing for long."""
    pieces: list[bytes] = []
    with server.connect(10.0) as connection:
        with suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
                time.sleep(wait_s)
            connection.sendall(_LAST)
        with suppress(OSError):
            while piece := connection.recv(1 << 16):
                pieces.append(piece)
    return b"".join(pieces)


def _statuses_by_both(
    server: Server, made: Iterable[tuple[str, bytes]], last: int = 200
) -> dict[str, list[int]]:
    """Of each stream its statuses by either way, as `NAME, WAY`; without the last request's own, where it is so."""
    seen: dict[str, list[int]] = {}
    for name, stream in made:
        for way, path in _BOTH.items():
            got = statuses(_all(server, [stream.replace(_PATH.encode(), path.encode())]))
            seen[f"{name}, {way}"] = got[:-1] if got[-1:] == [last] else got
    return seen


def _expect_all(seen: dict[str, list[int]], expected: list[int]) -> str:
    wrong = {name: got for name, got in seen.items() if got != expected}
    expect(not wrong, f"statuses {wrong}")
    return f"{expected} for each of {len(seen)}"


@case("`\\r\\n` before a request that is cut off, then before a good one on another connection", "200")
def empty_lines_before_a_request(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        with server.connect() as cut:
            cut.sendall(b"\r\n\r\n" + _request(length="Content-Length: 1000000", body=b"x" * 10))
        seen = [statuses(_all(server, [b"\r\n\r\n" + _request()])) for _ in range(3)]
        expect(seen == [[200, 200]] * 3, f"statuses {seen}")
        return "200 three times"


@case(
    "five requests in one packet, by heads that are known and not, each with an id; then cut between two",
    "in order",
)
def pipelined_requests(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        paths = [_PATH, f"{_PATH}?x=1", _PATH, _PATH, f"{_PATH}?x=2"]
        stream = b"".join(_request(f"X-Request-Id: {n}", path=path) for n, path in enumerate(paths))
        half = stream.index(b"POST", len(stream) // 2)
        for parts in (
            [stream],
            [stream],
            [stream[:half], stream[half:]],
            [stream[: half + 3], stream[half + 3 :]],
        ):
            answers = _all(server, parts)
            ids = re.findall(rb"x-request-id: (\d)", answers)
            expect(statuses(answers) == [200] * 6, f"statuses {statuses(answers)}")
            expect(ids == [b"0", b"1", b"2", b"3", b"4"], f"answers to {ids}")
        return "200, in their order, four times"


@case("an id, a length, a media type twice; the same length twice", "the last id; 400")
def repeated_fields(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        for path in (*_BOTH.values(), *_BOTH.values()):  # the second time by heads that are known
            answers = _all(server, [_request("X-Request-Id: a", "X-Request-Id: b", path=path)])
            ids = re.findall(rb"x-request-id: (\w+)", answers)
            expect(ids == [b"b"], f"ids {ids} by {path}")
            twice = _all(server, [_request("Content-Type: a/b", "Content-Type: application/json", path=path)])
            expect(statuses(twice) == [200, 200], f"{statuses(twice)} to two media types by {path}")
        lengths = [("equal", _request(_LENGTH)), ("other", _request("Content-Length: 3"))]
        return f"the last id; {_expect_all(_statuses_by_both(server, lengths), [400])}"


@case(
    "POST with `Upgrade: h2c` and a body, as Java's client and curl send it; cut anywhere near its head's end",
    "200",
)
def upgrade_to_http_2_with_a_body(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        stream = _request(*_H2C)
        end = len(stream) - len(_BODY)
        for at in (0, end - 2, end, end + 1, len(stream) - 1):
            for _ in range(2):
                answers = _all(server, [stream[:at], stream[at:]])
                expect(
                    statuses(answers) == [200, 200], f"{statuses(answers)}, cut at {at - end} from the end"
                )
        return "200 by HTTP/1.1, ten times"


@case(
    "lengths that contradict one another, chunks with a length, other transfer encodings, a length of +5",
    "400, closed",
)
def lengths_that_conflict(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        chunks = "Transfer-Encoding: chunked"
        odd = {
            "length, chunks": _request(_LENGTH, length=chunks, body=_chunked()),
            "chunks, length": _request(chunks, length=_LENGTH, body=_chunked()),
            "chunks twice over": _request(length="Transfer-Encoding: chunked, chunked, x", body=_chunked()),
            "identity": _request(length="Transfer-Encoding: identity"),
            "gzip": _request(length="Transfer-Encoding: gzip"),
            "unknown": _request(length="Transfer-Encoding: xchunked", body=_chunked()),
            "plus": _request(length=f"Content-Length: +{len(_BODY)}"),
            "list": _request(length=f"{_LENGTH}, {len(_BODY)}"),
            "minus": _request(length="Content-Length: -1"),
            "huge": _request(length=f"Content-Length: {'9' * 30}"),
            "blank before the colon": _request(length="Content-Length : 29"),
        }
        return _expect_all(_statuses_by_both(server, odd.items()), [400])


@case(
    "heads with bare line feeds, folded lines, NUL and bare CR, names with blanks; chunks with bad sizes",
    "400, closed",
)
def heads_that_are_no_http(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        plain, chunks = _request(), "Transfer-Encoding: chunked"
        odd = {
            "line feeds": plain.replace(b"\r\n", b"\n"),
            "carriage returns": plain.replace(b"\r\n", b"\r", 3),
            "folded": _request("X: y\r\n z"),
            "NUL": _request("X: a\0b"),
            "bare CR": _request("X: a\rContent-Length: 3"),
            "blank in a name": _request("X y: z"),
            "no name": _request(": z"),
            "no colon": _request("nothing"),
            "size of a chunk": _request(length=chunks, body=b"x\r\n"),
            "chunk of another size": _request(length=chunks, body=b"2\r\nabcd\r\n0\r\n\r\n"),
            "line feed in a chunk": _request(length=chunks, body=_chunked().replace(b"\r\n", b"\n")),
        }
        return _expect_all(_statuses_by_both(server, odd.items()), [400])


@case("a request in single bytes, by a head that is known and not, with a length and in chunks", "200")
def single_bytes(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        for path in _BOTH.values():
            for stream in (
                _request(path=path),
                _request(path=path),
                _request(path=path, length="Transfer-Encoding: chunked", body=_chunked(extra=b";x=y")),
            ):
                answers = _all(server, [stream[n : n + 1] for n in range(len(stream))], wait_s=0.0002)
                expect(statuses(answers) == [200, 200], f"{statuses(answers)} by {path}")
        return "200 six times"


@case("paths in absolute form, escaped, with a query or a fragment, doubled slashes", "200; 404")
def forms_of_a_path(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        forms = {
            f"http://other:99{_PATH}": 200, f"{_PATH}?a=b": 200, _PATH.replace("r", "%72"): 200, f"{_PATH}#part": 200,
            f"/{_PATH}": 404, f"{_PATH}/": 404, _PATH.upper(): 404,
        }  # fmt: skip
        seen = {form: statuses(_all(server, [_request(path=form)]))[0] for form in forms}
        wrong = {form: got for form, got in seen.items() if got != forms[form]}
        expect(not wrong, f"statuses {wrong}")
        return f"200 and 404 as expected, {len(forms)} forms"


@case(
    "`Expect: 100-continue` before a good body, and before chunks that are no HTTP",
    "100 and 200; 400, no traceback",
)
def waiting_to_continue(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        good = _all(server, [_request("Expect: 100-continue")])
        expect(statuses(good) == [100, 200, 200], f"statuses {statuses(good)} to a good one")
        chunks = _request("Expect: 100-continue", length="Transfer-Encoding: chunked", body=b"x\r\n")
        bad = _all(server, [chunks])
        expect(statuses(bad)[-1:] == [400], f"statuses {statuses(bad)} to chunks that are no HTTP")
        failed = server.metric(r'baton_requests_total\{.*outcome="failed".*\}')
        expect(failed == 0, f"{failed:.0f} counted as the model's failure")
        expect(_TRACEBACK not in server.log(), "a traceback in the log")
        return "100 and 200; 400, no failure, no traceback"


@case(
    "HTTP/1.0, `Connection: close`, a draining answer's next; garbage behind it", "200, closed, nothing more"
)
def last_answers(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        streams = [
            ("1.0", _request(version="1.0") + _request()),
            ("close", _request("Connection: close") + _request()),
            ("garbage", _request("Connection: close") + b"\0\0\0\0"),
        ]
        seen = _statuses_by_both(server, streams, last=0)
        # What is no HTTP behind the last request may be told of, after its answer.
        wrong = {name: got for name, got in seen.items() if got[:1] != [200] or set(got[1:]) - {400}}
        expect(
            not wrong and all(len(got) == 1 for name, got in seen.items() if "garbage" not in name), f"{seen}"
        )
        return "200 and closed"


@case("a TLS hello, HTTP/2, a PROXY line, zeros, and half a request on the port", "400, 505; then 200")
def other_protocols(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        odd = {
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64): [400],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9): [505],
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n": [400],
            bytes(200): [400],
            b"SSH-2.0-x\r\n": [400],
        }
        seen = {data[:9]: (statuses(server.raw(data)), expected) for data, expected in odd.items()}
        wrong = {data: got for data, (got, expected) in seen.items() if got != expected}
        expect(not wrong, f"statuses {wrong}")
        expect(_TRACEBACK not in server.log(), "a traceback in the log")
        expect(server.post(_PATH, _BODY).status == 200, "no 200 afterwards")
        return "400 and 505, then 200"


@case("6,000 requests, no two of which have the same head of 1 kB", "no growth over 8 MB")
def heads_by_the_thousand(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        pad = "y" * 1000

        def flood(begin: int, end: int) -> None:
            for first in range(begin, end, 50):
                stream = b"".join(_request(f"X-{n}: {pad}") for n in range(first, first + 50))
                got = statuses(_all(server, [stream]))
                expect(got == [200] * 51, f"statuses {got}")

        flood(0, 1000)
        before = server.rss_bytes()
        flood(1000, 6000)
        grown = (server.rss_bytes() - before) / 1e6
        expect(grown < 8, f"{grown:.1f} MB more")
        return f"{grown:.1f} MB more"


@case(
    "clients that leave while they send a body, to a model and to every other route that takes one",
    "no traceback",
)
def clients_that_leave(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        routes = (
            _PATH,
            "/v2/repository/index",
            "/v2/logging",
            "/v2/trace/setting",
            "/v2/models/reviews/trace/setting",
        )
        for path in routes:
            for length in ("Content-Length: 500", "Transfer-Encoding: chunked"):
                with server.connect() as connection:
                    connection.sendall(_request(path=path, length=length, body=b'5\r\n{"a":'))
                    time.sleep(0.05)
        expect(server.wait(lambda: server.get("/v2/health/live").status == 200), "it does not live")
        log = server.log()
        expect(_TRACEBACK not in log, f"{log.count(_TRACEBACK)} tracebacks")
        return f"none from {2 * len(routes)} clients"


@case(
    "scrapes by OpenMetrics 1.0.0; a browser's fetch of JSON as text/plain; five wrong requests",
    "200; two answers; +0",
)
def what_clients_send(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        accept = {"Accept": 'application/openmetrics-text; version="1.0.0"'}
        scrape = server.get("/metrics", headers=accept)
        expect(scrape.status == 200, f"{scrape.status} to OpenMetrics")
        two = json.dumps({"instances": ["good", "bad"]})
        fetched = server.post(_PATH, two, headers={"Content-Type": "text/plain;charset=UTF-8"})
        expect(len(fetched.json.get("predictions", [])) == 2, f"{fetched.body!r} to a browser's fetch")
        for _ in range(5):
            expect(server.post(_PATH, b"{").status == 400, "no 400 to a wrong request")
        failures = server.metric(r"nv_inference_request_failure\{.*\}")
        expect(failures == 0, f"{failures:.0f} failures by Triton's name")
        return "200, two answers, no failure"
