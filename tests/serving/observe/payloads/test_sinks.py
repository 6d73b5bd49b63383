"""Where events go: a file that never outgrows its limit, or a collector."""

import json
import threading
from collections.abc import Iterator
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
