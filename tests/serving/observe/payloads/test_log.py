"""The payload log: off unless asked for, and never in a request's way."""

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np
import pytest

from serving.http.answer import Answer
from serving.observe.payloads import log as payload_log
from serving.observe.payloads.events import REQUEST, RESPONSE, Event
from serving.observe.payloads.log import PayloadLog
from tests.bundles import png
from tests.serving.observe.payloads.exchanges import ALL, ROUTE, ask, events_of
from tests.serving.servers import start


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.slow
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
        log.offer(ROUTE, {}, b"x" * 98, Answer(200, [], b"{}"))
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
