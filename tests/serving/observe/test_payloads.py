"""The payload log: off unless asked for, digests unless raw is asked for, and never in a request's way."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from serving.http.answer import Answer
from serving.http.matching import Route
from serving.observe.payloads import log as payload_log
from serving.observe.payloads.events import (
    REDACTED,
    REQUEST,
    RESPONSE,
    Event,
    Exchanged,
    Redaction,
    make_events,
)
from serving.observe.payloads.log import PayloadLog
from serving.observe.payloads.sinks import FileSink
from serving.server import Refused, prepare
from serving.settings import Settings
from tests.bundles import png, sum_graph, write_bare, write_brightness
from tests.deploy.conftest import until
from tests.serving.servers import start

TARGET = Route("predict", "m", None, "/v1/models/m:predict")
ALL = Redaction(raw=False, fields=frozenset())
RAW = Redaction(raw=True, fields=frozenset())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def exchanged(body: bytes, answer: bytes = b"{}", status: int = 200, **headers: bytes) -> Exchanged:
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return Exchanged("m", TARGET.path, named, body, status, {}, answer, 1.5)


def told(kept: Exchanged, redaction: Redaction = ALL) -> list[dict[str, Any]]:
    return [json.loads(event.as_line()) for event in make_events(kept, redaction, "//here/baton")]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    write_brightness(root)
    write_bare(root, "sum", sum_graph())
    return root


def ask(client: httpx.Client, **headers: str) -> httpx.Response:
    picture = {"content-type": "image/png", **headers}
    answer = client.post("/v1/models/brightness:predict", content=png(200), headers=picture)
    answer.raise_for_status()
    return answer


def events_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_nothing_is_logged_unless_it_is_asked_for(models: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with start(models=models) as server, httpx.Client(base_url=server.url) as client:
        ask(client)
        assert "baton_payloads" not in client.get("/metrics").text
    assert sorted(tmp_path.rglob("*")) == before


def test_a_request_and_its_answer_are_two_cloudevents_of_one_id(models: Path, tmp_path: Path) -> None:
    file, trace = tmp_path / "log.jsonl", f"00-{'a' * 32}-{'b' * 16}-01"
    with (
        start(models=models, payload_log=str(file), payload_sample=1.0) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        answer = ask(client, **{"x-request-id": "r-1", "traceparent": trace})
    request, response = events_of(file)
    assert (request["type"], response["type"]) == (REQUEST, RESPONSE)
    for event in (request, response):
        assert (event["specversion"], event["id"], event["traceparent"]) == ("1.0", "r-1", trace)
        assert (event["inferenceservicename"], event["component"]) == ("brightness", "predictor")
        assert event["endpoint"] == "/v1/models/brightness:predict"
        assert event["datacontenttype"] == "application/json"
    assert request["data"] == {"sha256": sha256(png(200)), "bytes": len(png(200)), "media_type": "image/png"}
    assert response["data"] == answer.json()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_tensors_are_logged_by_shape_and_digest_whichever_way_the_answer_went(
    models: Path, tmp_path: Path, encoding: str
) -> None:
    file = tmp_path / "log.jsonl"
    rows = np.arange(600, dtype=np.float32).reshape(200, 3).tolist()
    tensors = [{"name": name, "shape": [20, 3], "datatype": "FP32", "data": rows[:20]} for name in ("x", "y")]
    with (
        start(models=models, payload_log=str(file), payload_sample=1.0) as server,
        httpx.Client(base_url=server.url, headers={"accept-encoding": encoding}) as client,
    ):
        answer = client.post("/v2/models/sum/infer", json={"inputs": tensors})
    request, response = events_of(file)
    assert [tensor["shape"] for tensor in request["data"]["inputs"]] == [[20, 3], [20, 3]]
    assert all(
        tensor["data"].keys() == {"sha256", "bytes", "media_type"} for tensor in request["data"]["inputs"]
    )
    assert response["data"] == answer.json()


def test_what_callers_send_is_nowhere_in_the_log_unless_raw_is_asked_for() -> None:
    private = "my medical history"
    picture = base64.b64encode(private.encode()).decode()
    instances = [private, {"b64": picture}, {"history": [private], "k": 3}]
    body = json.dumps({"instances": instances}).encode()
    answer = json.dumps(
        {
            "predictions": [{"label": "a", "unknown": 3}, {"items": [], "unknown": [private]}],
            "explanations": [{"words": [private]}],
            "outputs": [{"datatype": "BYTES", "data": [private]}, {"datatype": "FP32", "data": [0.5]}],
        }
    ).encode()
    lines = b"".join(event.as_line() for event in make_events(exchanged(body, answer), ALL, "//here/baton"))
    assert private.encode() not in lines
    assert picture.encode() not in lines
    request, response = told(exchanged(body, answer))
    assert [instance["sha256"] for instance in request["data"]["instances"][:2]] == [
        sha256(private.encode())
    ] * 2
    assert response["data"]["predictions"][0] == {"label": "a", "unknown": 3}
    assert response["data"]["outputs"][1]["data"] == [0.5]
    request, response = told(exchanged(body, answer), RAW)
    assert request["data"]["instances"] == instances
    assert response["data"] == json.loads(answer)


def test_a_refusal_which_repeats_the_input_is_not_logged_as_an_answer() -> None:
    kept = exchanged(b'{"instances": [1]}', b'{"error": "instances[0]: got my secret"}', status=400)
    assert [event["type"] for event in told(kept)] == [REQUEST]


def test_numbers_that_json_has_no_word_for_are_null_in_the_log() -> None:
    body = b'{"inputs":[{"name":"x","data":[NaN,1,-Infinity]}],"parameters":{"note":"NaN"}}'
    asked, answered = told(exchanged(body, answer=b'{"outputs":[{"name":"y","data":[Infinity]}]}'), RAW)
    assert asked["data"]["inputs"][0]["data"] == [None, 1, None]
    assert asked["data"]["parameters"] == {"note": "NaN"}
    assert answered["data"]["outputs"][0]["data"] == [None]


@pytest.mark.parametrize("redaction", [ALL, RAW], ids=["digests", "raw"])
def test_named_fields_are_left_out_at_any_depth(redaction: Redaction) -> None:
    body = {"parameters": {"user": "me"}, "instances": [{"history": [1], "user": "me"}], "user": {"a": "me"}}
    named = redaction._replace(fields=frozenset({"user"}))
    (request, response) = told(
        exchanged(json.dumps(body).encode(), b'{"predictions": [{"user": "me"}]}'), named
    )
    assert '"me"' not in json.dumps([request, response])
    assert request["data"]["user"] == REDACTED
    assert request["data"]["parameters"]["user"] == REDACTED
    assert response["data"]["predictions"][0]["user"] == REDACTED


def test_binary_tensors_are_a_digest_beside_their_head() -> None:
    head = json.dumps({"inputs": [{"name": "x", "shape": [1]}]}).encode()
    kept = exchanged(head + b"\1\2\3\4", inference_header_content_length=str(len(head)).encode())
    data = told(kept)[0]["data"]
    assert data["inputs"] == [{"name": "x", "shape": [1]}]
    assert data["binary"]["sha256"] == sha256(b"\1\2\3\4")
    raw = told(kept, RAW)[0]
    assert base64.b64decode(raw["data_base64"]) == kept.body


def test_a_raw_picture_keeps_its_media_type() -> None:
    event = told(exchanged(png(7), content_type=b"image/png"), RAW)[0]
    assert event["datacontenttype"] == "image/png"
    assert base64.b64decode(event["data_base64"]) == png(7)


@pytest.mark.parametrize(
    "body", [b"not json", b"[1]", b"\xff\xfe", b"", b'{"instances": 3}', b'{"inputs": [1]}']
)
def test_a_body_that_is_no_request_is_logged_all_the_same(body: bytes) -> None:
    assert len(told(exchanged(body))) == 2


class Held:
    """A sink that waits until it is let go."""

    def __init__(self) -> None:
        self.free, self.seen = threading.Event(), 0

    def write(self, events: Sequence[Event]) -> None:
        self.free.wait(30)
        self.seen += 1

    def close(self) -> None:
        pass


def outcomes(log: PayloadLog) -> dict[str, float]:
    (family,) = log.collect()
    return {sample.labels["outcome"]: sample.value for sample in family.samples}


@pytest.mark.parametrize("limit", ["exchanges", "bytes"])
def test_a_slow_sink_costs_events_and_no_request(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    if limit == "exchanges":
        monkeypatch.setattr(payload_log, "QUEUE_EXCHANGES", 10)
    else:
        monkeypatch.setattr(payload_log, "QUEUE_BYTES", 11 * 100)
    sink = Held()
    log = PayloadLog(sink, 1.0, ALL)
    for _ in range(50):
        log.offer(TARGET, {}, b"x" * 98, Answer(200, [], b"{}"))
    dropped = outcomes(log)["dropped"]
    assert 50 - 11 <= dropped <= 50 - 10, "ten wait, and the writer may have taken one"
    sink.free.set()
    log.close()
    assert outcomes(log) == {"written": 50 - dropped, "dropped": dropped, "failed": 0}
    assert sink.seen == 50 - dropped


def test_the_share_of_the_requests_is_kept() -> None:
    draws = iter([0.0, 0.009, 0.01, 0.5, 0.999])
    log = PayloadLog(Held(), 0.01, ALL, lambda: next(draws))
    assert [log.picks() for _ in range(5)] == [True, True, False, False, False]
    log.close()


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
