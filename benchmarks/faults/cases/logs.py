"""The payload log on disks that are full, files that are moved, and folders that are away: its lines stay whole."""

import json
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.bench import Bench, Server
from benchmarks.faults.matrix import case, expect

_PREDICT = "/v1/models/reviews:predict"


def _ask(server: Server, count: int = 1) -> None:
    for _ in range(count):
        status = server.post(_PREDICT, {"instances": ["a good book"]}).status
        expect(status == 200, f"a request was answered {status}")


def _lives(connection: socket.socket) -> bool:
    """Whether the next answer on a connection is whole."""
    connection.settimeout(5)
    try:
        connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while b"}" not in answer:
            piece = connection.recv(1 << 16)
            if not piece:
                return False
            answer += piece
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200 OK\r\n")


def _logged(server: Server, outcome: str) -> float:
    return server.metric(rf'baton_payloads_total\{{outcome="{outcome}"\}}')


def _lines(file: Path) -> tuple[int, list[str]]:
    """How many lines are events, and those that are none."""
    bad = []
    lines = file.read_text(errors="replace").splitlines()
    for line in lines:
        try:
            json.loads(line)
        except ValueError:
            bad.append(line)
    return len(lines) - len(bad), bad


@contextmanager
def _full_disk(server: Server, size: int) -> Iterator[None]:
    """No file of its processes may grow beyond this size: a write stops there, and the next one fails."""
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in server.pids()}
    for pid, (_, hard) in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        for pid, limit in limits.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)


def _logging(file: Path) -> tuple[str, ...]:
    return "--payload-log", str(file), "--payload-sample", "1"


def _through_a_full_disk(bench: Bench, *flags: str) -> str:
    file = bench.folder / "payloads.jsonl"
    with bench.serve(bench.models("reviews"), *_logging(file), *flags) as server:
        _ask(server, 20)
        expect(server.wait(lambda: _logged(server, "written") == 20), "20 exchanges are not written")
        with _full_disk(server, file.stat().st_size + 200):
            _ask(server, 20)
            failed = server.wait(lambda: _logged(server, "failed") == 20)
        _ask(server, 20)
        written = server.wait(lambda: _logged(server, "written") == 40)
        complaints = server.log().count("a payload could not be logged")
        events, bad = _lines(file)
        seen = f"{events} events of 80, {len(bad)} torn lines, {complaints} complaints"
        expect(failed and written and events == 80 and not bad and 1 <= complaints <= 2, f"{seen} {bad[:1]}")
        return seen


@case(
    "the disk of the payload log is full for 20 requests",
    "they count as failed; every line before and after is whole",
)
def full_disk(bench: Bench) -> str:
    return _through_a_full_disk(bench)


@case("the same with two workers that share the file", "the same", short=False)
def full_disk_with_workers(bench: Bench) -> str:
    return _through_a_full_disk(bench, "--workers", "2")


@case(
    "half a line at the end of the file, as a killed process leaves it",
    "the next event stands on a line of its own",
    short=False,
)
def torn_tail(bench: Bench) -> str:
    file = bench.folder / "payloads.jsonl"
    file.write_text('{"id": "ha')
    with bench.serve(bench.models("reviews"), *_logging(file)) as server:
        _ask(server, 2)
        expect(server.wait(lambda: _logged(server, "written") == 2), "2 exchanges are not written")
        events, bad = _lines(file)
        seen = f"{events} events of 4 and the torn line: {bad}"
        expect(events == 4 and bad == ['{"id": "ha'], seen)
        return seen


@case(
    "the folder of the payload log is moved away for 10 requests, then back",
    "they fail; the rest is logged; other connections live",
)
def folder_away(bench: Bench) -> str:
    folder = bench.folder / "logs"
    folder.mkdir()
    file = folder / "payloads.jsonl"
    with bench.serve(bench.models("reviews"), *_logging(file)) as server:
        _ask(server, 3)
        expect(server.wait(lambda: _logged(server, "written") == 3), "3 exchanges are not written")
        folder.rename(bench.folder / "away")
        _ask(server, 2)
        failed = server.wait(lambda: _logged(server, "failed") == 2)
        held = [server.connect() for _ in range(5)]  # one may take the number of a descriptor that was closed
        alive = [_lives(connection) for connection in held]
        _ask(server, 8)
        failed = failed and server.wait(lambda: _logged(server, "failed") == 10)
        alive += [_lives(connection) for connection in held]
        for connection in held:
            connection.close()
        (bench.folder / "away").rename(folder)
        _ask(server, 3)
        written = server.wait(lambda: _logged(server, "written") == 6)
        events, bad = _lines(file)
        seen = f"failed {failed}, {events} events of 12, {len(bad)} torn; {alive.count(False)} of 10 answers lost"
        expect(failed and written and events == 12 and not bad and all(alive), seen)
        return seen


@case(
    "logrotate: the file is renamed, then copied and truncated",
    "every event once, in the old file or the new",
    short=False,
)
def rotated(bench: Bench) -> str:
    file = bench.folder / "payloads.jsonl"
    with bench.serve(bench.models("reviews"), *_logging(file)) as server:
        total = 0
        kept: list[Path] = []
        for place in range(3):
            _ask(server, 5)
            total += 5
            expect(server.wait(lambda: _logged(server, "written") == total), f"{total} are not written")  # noqa: B023
            aside = bench.folder / f"old-{place}"
            if place % 2:
                aside.write_bytes(file.read_bytes())
                with file.open("r+") as opened:
                    opened.truncate()
            else:
                file.rename(aside)
            kept.append(aside)
        counts = [_lines(each) for each in kept]
        seen = f"{[events for events, _ in counts]} events of 10 in each file"
        expect(all(events == 10 and not bad for events, bad in counts), seen)
        return seen
