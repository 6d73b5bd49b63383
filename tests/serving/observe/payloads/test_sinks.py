"""Where events go: a file that never outgrows its limit, or a collector."""

import errno
import json
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from serving.observe.payloads.events import REQUEST, RESPONSE, Event
from serving.observe.payloads.sinks import FileSink
from serving.server import Refused, prepare
from serving.settings import Settings
from tests.deploy.conftest import until
from tests.serving.observe.payloads.exchanges import ask, events_of
from tests.serving.servers import start


def line_of(place: int) -> Event:
    return Event({"datacontenttype": "application/json", "id": str(place)}, b"{}")


def test_a_file_that_is_full_moves_aside_and_no_more_than_two_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "log"
    sinks = [FileSink(file, 2000) for _ in range(2)]  # as two workers have it open
    for place in range(200):
        sinks[place % 2].write([line_of(place)])
        assert file.stat().st_size <= 2000
    for sink in sinks:
        sink.close()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["log", "log.1"]
    kept = [int(event["id"]) for name in ("log.1", "log") for event in events_of(tmp_path / name)]
    assert kept == list(range(kept[0], 200)), "the newest, in order, none lost between the files"
    assert file.stat().st_mode & 0o077 == 0


@contextmanager
def _full_disk(size: int) -> Iterator[None]:
    """No file can grow beyond this size: a write stops there, and the next one fails."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_write_that_fails_in_its_middle_leaves_no_half_line_and_the_next_one_is_whole(
    tmp_path: Path,
) -> None:
    file = tmp_path / "log"
    sink = FileSink(file, 1 << 20)
    sink.write([line_of(0)])
    with _full_disk(file.stat().st_size + 10):
        for place in (1, 2):
            with pytest.raises(OSError, match="File too large"):
                sink.write([line_of(place)])
    sink.write([line_of(3), line_of(4)])
    sink.close()
    assert [event["id"] for event in events_of(file)] == ["0", "3", "4"]


def test_half_a_line_that_a_killed_process_left_does_not_spoil_the_next(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(line_of(0).as_line() + b'{"id": "ha')
    sink = FileSink(file, 1 << 20)
    for place in (1, 2):
        sink.write([line_of(place)])
    sink.close()
    lines = file.read_bytes().splitlines()
    assert lines == [line_of(0).as_line()[:-1], b'{"id": "ha', *(line_of(n).as_line()[:-1] for n in (1, 2))]


@pytest.mark.parametrize("how", ["renamed", "copied and truncated", "deleted"])
def test_a_file_that_somebody_else_rotates_is_found_again(tmp_path: Path, how: str) -> None:
    file = tmp_path / "log"
    sink = FileSink(file, 1 << 20)
    sink.write([line_of(0)])
    match how:
        case "renamed":
            file.rename(tmp_path / "log.2026")
        case "copied and truncated":
            os.truncate(file, 0)
        case "deleted":
            file.unlink()
    sink.write([line_of(1)])
    sink.close()
    assert [event["id"] for event in events_of(file)] == ["1"]


def test_a_folder_that_is_away_fails_the_writes_and_no_other_descriptor_is_written_to(tmp_path: Path) -> None:
    folder, away = tmp_path / "logs", tmp_path / "away"
    folder.mkdir()
    sink = FileSink(folder / "log", 1 << 20)
    sink.write([line_of(0)])
    folder.rename(away)
    with pytest.raises(FileNotFoundError):
        sink.write([line_of(1)])
    with (tmp_path / "another").open("wb") as another:  # takes the lowest number that is free
        with pytest.raises(FileNotFoundError):
            sink.write([line_of(2)])
        assert os.fstat(another.fileno()).st_size == 0
    away.rename(folder)
    sink.write([line_of(3)])
    sink.close()
    assert [event["id"] for event in events_of(folder / "log")] == ["0", "3"]


def test_a_file_that_cannot_be_opened_anew_when_it_is_full_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log"
    sink = FileSink(file, 200)
    for place in range(3):
        sink.write([line_of(place)])

    def none_left() -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(sink, "_open", none_left)
        for place in range(3, 9):
            with suppress(OSError):
                sink.write([line_of(place)])
    sink.write([line_of(9)])
    sink.close()
    assert [event["id"] for event in events_of(file)] == ["9"]


class Collector(BaseHTTPRequestHandler):
    """Keeps what it is sent; answers 503 while it is told to."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((dict(self.headers), body))  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.seen, server.status = [], 202  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_a_collector_gets_each_event_in_https_binary_mode(
    models: Path, collector: ThreadingHTTPServer
) -> None:
    url = f"http://127.0.0.1:{collector.server_port}/events?from=baton"
    with (
        start(models=models, payload_log=url, payload_sample=1.0) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        answer = ask(client, **{"x-request-id": "r-2"})
    seen: list[tuple[dict[str, str], bytes]] = collector.seen  # type: ignore[attr-defined]
    heads = [{name.lower(): value for name, value in headers.items()} for headers, _ in seen]
    assert [head["ce-type"] for head in heads] == [REQUEST, RESPONSE]
    assert {head["ce-id"] for head in heads} == {"r-2"}
    assert {head["content-type"] for head in heads} == {"application/json"}
    assert json.loads(seen[1][1]) == answer.json()


@pytest.mark.slow
def test_a_collector_that_fails_is_counted_and_nobody_waits(
    models: Path, collector: ThreadingHTTPServer
) -> None:
    collector.status = 503  # type: ignore[attr-defined]
    url = f"http://127.0.0.1:{collector.server_port}"
    with (
        start(models=models, payload_log=url, payload_sample=1.0) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        ask(client)
        failed = 'baton_payloads_total{outcome="failed"} 1.0'
        until(lambda: failed in client.get("/metrics").text, "the failure to be counted", 30)


@pytest.mark.parametrize("route", ["/nowhere/at/all/log", "http:///path"])
def test_a_log_that_cannot_be_written_is_a_failed_start(tmp_path: Path, route: str) -> None:
    with pytest.raises(Refused, match="--payload-log: got"):
        prepare(Settings(models=tmp_path, payload_log=route))
