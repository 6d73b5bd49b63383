"""Clients that send or read slowly, or not at all: each ends after a stated time, and none holds up SIGTERM."""

import json
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from benchmarks.faults.bench import Bench, Server, read_until_silent, statuses
from benchmarks.faults.matrix import Unexpected, case, expect

_TIMES = {"BATON_RECEIVE_TIMEOUT_S": "2", "BATON_KEEP_ALIVE_S": "2"}
"""By the environment: a version without these settings is tried as well."""
_PATIENCE_S = 10.0
"""Of a case, for a connection that should end after 2 s; a machine may be busy."""
_TEXT = json.dumps({"instances": ["a good book"]}).encode()
_HEAD = b"POST /v1/models/reviews:predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
_GOOD = _HEAD + b"Content-Length: %d\r\n\r\n" % len(_TEXT) + _TEXT

Step = Callable[[socket.socket], None]
"""What a client goes on doing ten times a second, once its connection is open."""


def _nothing(_: socket.socket) -> None:
    return


def _sends(data: bytes) -> Step:
    return lambda connection: connection.sendall(data)


def _until_closed(
    connection: socket.socket, step: Step, patience_s: float = _PATIENCE_S
) -> tuple[float, bytes]:
    """Seconds until the server has closed the connection (`patience_s` where it has not), and all that it sent."""
    began, came = time.monotonic(), b""
    connection.settimeout(0.1)
    while (seconds := time.monotonic() - began) < patience_s:
        with suppress(TimeoutError):
            try:
                part = connection.recv(1 << 16)
            except ConnectionError:
                return seconds, came
            if not part:
                return seconds, came
            came += part
            continue
        with suppress(OSError):
            step(connection)
    return patience_s, came


def _ends(server: Server, clients: Sequence[tuple[str, bytes, Step]]) -> list[str]:
    """How each kind of client was left, in words; `Unexpected` for one that was not in time. All come at once."""

    def left(client: tuple[str, bytes, Step]) -> str:
        name, begun, step = client
        with server.connect() as connection:
            connection.sendall(begun)
            seconds, came = _until_closed(connection, step)
            expect(seconds < _PATIENCE_S, f"{name}: still open after {seconds:.0f} s")
            return f"{name} {' '.join(map(str, statuses(came))) or 'closed'} after {seconds:.1f} s"

    with ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(left, clients))


@case(
    "heads that come by a header every 0.1 s, stop in the middle, or never begin; 2 s allowed",
    "408 or closed",
)
def slow_heads_and_silence(bench: Bench) -> str:
    with bench.serve(bench.models("reviews"), env=_TIMES) as server:
        said = _ends(
            server,
            (
                ("headers by drops", _HEAD, _sends(b"X: y\r\n")),
                ("half a line", _HEAD[:20], _nothing),
                ("nothing", b"", _nothing),
                ("blank lines", b"", _sends(b"\r\n")),
                ("kept alive", _GOOD, _nothing),
            ),
        )
        return ", ".join(said)


@case("bodies that come by a byte every 0.1 s, or stop, by length and in chunks; 2 s allowed", "408")
def slow_bodies(bench: Bench) -> str:
    begun = _HEAD + b"Content-Length: 1000\r\n\r\n" + b" " * 100
    chunks = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\n" + b" " * 100 + b"\r\n"
    with bench.serve(bench.models("reviews"), env=_TIMES) as server:
        said = _ends(
            server,
            (
                ("by drops", begun, _sends(b" ")),
                ("stops", begun, _nothing),
                ("chunks by drops", chunks, _sends(b"1\r\n \r\n")),
                (
                    "index by drops",
                    begun.replace(b"/v1/models/reviews:predict", b"/v2/repository/index"),
                    _sends(b" "),
                ),
            ),
        )
        expect(all(" 408 " in each for each in said), ", ".join(said))
        return ", ".join(said)


@case(
    "a body of 8 MB, 4 MB of which come at once and then nothing; twice, the second past the parser",
    "408 after 2 s",
)
def a_body_that_stalls_after_a_fast_beginning(bench: Bench) -> str:
    size = 8_000_000
    whole = _HEAD + b"Content-Length: %d\r\n\r\n" % size
    with bench.serve(bench.models("reviews"), env=_TIMES) as server:
        said: list[str] = []
        for _ in range(2):
            with server.connect() as connection:
                connection.sendall(whole + b" " * (size // 2))
                seconds, came = _until_closed(connection, _nothing)
                said.append(f"{statuses(came)} after {seconds:.1f} s")
                expect(seconds < _PATIENCE_S and statuses(came) in ([408], [413]), said[-1])
        return ", ".join(said)


@case("a client that asks for megabytes of answers and reads one byte every 0.1 s; 2 s allowed", "left")
def a_reader_by_drops(bench: Bench) -> str:
    with bench.serve(bench.models("reviews"), env=_TIMES) as server:
        began = time.monotonic()
        with _reading_nothing(server) as connection:
            connected = server.descriptors()
            while (seconds := time.monotonic() - began) < _PATIENCE_S and server.descriptors() >= connected:
                with suppress(OSError):
                    connection.recv(1)
                time.sleep(0.1)
        expect(seconds < _PATIENCE_S, f"still served after {seconds:.0f} s")
        return f"left after {seconds:.1f} s"


@case("the client ends its side after half a request, and after a whole one", "the connection ends at once")
def half_closed(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server:
        said: list[str] = []
        for name, data in (("half", _GOOD[:-5]), ("whole", _GOOD)):
            with server.connect() as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                seconds, came = _until_closed(connection, _nothing)
                said.append(f"{name}: {statuses(came)} after {seconds:.1f} s")
                expect(seconds < 5.0, said[-1])
        expect(server.post("/v1/models/reviews:predict", _TEXT).status == 200, "no answer afterwards")
        return ", ".join(said)


# TLS


@case(
    "a connection that never ends its TLS handshake, after none and after half of the hello; 2 s allowed",
    "closed",
)
def tls_handshakes_that_never_end(bench: Bench) -> str:
    with bench.serve(bench.models("reviews"), env=_TIMES, tls=True) as server:
        said = _ends(server, (("nothing", b"", _nothing), ("half a hello", _HELLO, _nothing)))
        return ", ".join(said)


@case("the same, with two workers", "closed")
def tls_handshakes_that_never_end_with_workers(bench: Bench) -> str:
    with bench.serve(bench.models("reviews"), "--workers", "2", env=_TIMES, tls=True) as server:
        said = _ends(server, (("nothing", b"", _nothing), ("half a hello", _HELLO, _nothing)))
        return ", ".join(said)


# SIGTERM


@case("SIGTERM while heads, bodies, chunks and answers hang, with the default times", "status 0 within 10 s")
def sigterm_among_slow_clients(bench: Bench) -> str:
    with bench.serve(bench.models("reviews")) as server, _hanging(server, _KINDS):
        return _ends_within(server, 10.0)


@case("the same with two workers", "status 0 within 10 s")
def sigterm_among_slow_clients_of_workers(bench: Bench) -> str:
    with bench.serve(bench.models("reviews"), "--workers", "2") as server, _hanging(server, _KINDS):
        return _ends_within(server, 10.0)


@case(
    "SIGTERM while TLS handshakes hang, and while a TLS connection is idle whose client answers no close",
    "0 in 10 s",
)
def sigterm_among_tls_handshakes(bench: Bench) -> str:
    said: list[str] = []
    models = bench.models("reviews")
    for flags in ((), ("--workers", "2")):
        with bench.serve(models, *flags, tls=True) as server, _hanging(server, {"none": b"", "half": _HELLO}):
            idle = bench.trusting().wrap_socket(server.connect(), server_hostname="127.0.0.1")
            with idle:
                idle.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
                expect(b"200" in idle.recv(1 << 16), "no answer before")
                said.append(_ends_within(server, 10.0))
    return "; with workers ".join(said)


@case("SIGTERM while the settings are imported, and while ONNX Runtime is", "status 0")
def sigterm_in_the_first_second(bench: Bench) -> str:
    models = bench.models("reviews")
    for library in ("_pydantic_core", "onnxruntime"):
        with bench.serve(models, ready=None) as server:
            imported = partial(_has_mapped, server.process.pid, library)
            expect(server.wait(imported, 60.0), f"never imported {library}")
            status = server.terminate(10.0)
            expect(status == 0, f"status {status} while {library} was imported")
    return "0 both times"


@case(
    "any answer while the server drains: health, metadata, metrics, index, a prediction, no route",
    "Connection: close",
)
def answers_while_draining_say_close(bench: Bench) -> str:
    asked = (
        ("GET", "/v2/health/live", None), ("GET", "/v2/health/ready", None), ("GET", "/v2/models/reviews", None),
        ("GET", "/metrics", None), ("POST", "/v2/repository/index", b"{}"), ("GET", "/nowhere", None),
        ("POST", "/v1/models/reviews:predict", _TEXT), ("POST", "/v1/models/reviews:explain", _TEXT),
    )  # fmt: skip
    with bench.serve(bench.models("reviews"), "--drain-delay-s", "8") as server:
        server.process.send_signal(signal.SIGTERM)
        expect(server.wait(lambda: not server.is_ready()), "ready after SIGTERM")
        kept: list[str] = []
        for method, path, body in asked:
            answer = server.ask(method, path, body, {"Content-Type": "application/json"} if body else None)
            if answer.headers.get("connection", "").lower() != "close":
                kept.append(f"{method} {path} {answer.status}")
        expect(not kept, f"without it: {', '.join(kept)}")
        return f"all {len(asked)} say close"


@case("SIGTERM under each kind of slow client alone", "status 0 within 10 s each", short=False)
def sigterm_under_each_slow_client(bench: Bench) -> str:
    models, said = bench.models("reviews"), list[str]()
    for name, begun in _KINDS.items():
        with bench.serve(models) as server, _hanging(server, {name: begun}):
            said.append(f"{name}: {_ends_within(server, 10.0)}")
    return ", ".join(said)


@case("10,000 idle connections", "probes within 100 ms at p99, and 10,000 closed after 20 s", short=False)
def ten_thousand_idle_connections(bench: Bench) -> str:
    count = 10_000
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (max(count + 500, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),) * 2
    )
    with bench.serve(bench.models("reviews"), "--keep-alive-s", "20") as server, ExitStack() as stack:
        before, open_before = server.rss_bytes(), server.descriptors()
        for _ in range(count):
            stack.enter_context(server.connect())
        began, took = time.monotonic(), list[float]()
        while time.monotonic() - began < 5.0:
            asked = time.monotonic()
            expect(server.get("/v2/health/live").status == 200, "a probe failed")
            took.append(time.monotonic() - asked)
            time.sleep(0.01)
        p99_ms = sorted(took)[int(len(took) * 0.99)] * 1e3
        each = (server.rss_bytes() - before) / count
        expect(p99_ms < 100, f"probes took {p99_ms:.0f} ms at p99")
        expect(server.wait(lambda: server.descriptors() <= open_before, 60.0), "connections are kept")
        return f"probes {p99_ms:.1f} ms at p99, {each / 1024:.1f} KiB a connection, all closed in time"


_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"  # of a record of 512 bytes
_KINDS = {
    "silent": b"",
    "half a head": _HEAD,
    "half a body": _GOOD[:-5],
    "half a body to a route": _GOOD[:-5].replace(b"/v1/models/reviews:predict", b"/v2/repository/index"),
    "half a chunk": _HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\nabc",
    "a large body": _HEAD + b"Content-Length: 8000000\r\n\r\n" + b" " * 100_000,
    "kept alive": _GOOD,
    "unread answers": b"",
}


@contextmanager
def _reading_nothing(server: Server) -> Iterator[socket.socket]:
    """A connection that asks for more answers than the sockets hold, pipelined."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.5)
        connection.connect(("127.0.0.1", server.port))
        with suppress(TimeoutError):
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
        yield connection


@contextmanager
def _hanging(server: Server, kinds: Mapping[str, bytes]) -> Iterator[None]:
    """Clients that have sent so much, and do nothing more."""
    with ExitStack() as stack:
        for name, begun in kinds.items():
            if name == "unread answers":
                stack.enter_context(_reading_nothing(server))
                continue
            connection = stack.enter_context(server.connect())
            connection.sendall(begun)
            if name == "kept alive":
                expect(statuses(read_until_silent(connection, 3.0)) == [200], "no answer before")
        time.sleep(0.3)
        yield


def _ends_within(server: Server, seconds: float) -> str:
    began = time.monotonic()
    try:
        status = server.terminate(seconds + 30.0)
    except subprocess.TimeoutExpired:
        raise Unexpected(f"it still runs {seconds + 30:.0f} s after SIGTERM") from None
    took = time.monotonic() - began
    expect(status == 0 and took < seconds, f"status {status} after {took:.1f} s")
    return f"status 0 after {took:.1f} s"


def _has_mapped(pid: int, library: str) -> bool:
    return library in Path(f"/proc/{pid}/maps").read_text()
