"""Who is let in over the wire, by both ways in: host names, API keys and their limits."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.bundles import sum_graph, write_bare
from tests.serving.http.test_fast_path import connect, read, request
from tests.serving.protocol.wire import SUM
from tests.serving.servers import ThreadedServer, start
from tests.serving.test_http import gated

INFER = "/v2/models/sum/infer"
WAYS = {"fast": INFER, "asgi": "/v2/models/%73um/infer"}
KEY, RATED, NARROW = "0123456789abcdef", "rated-0123456789", "narrow-0123456789"
BODY = json.dumps(SUM).encode()


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedServer]:
    root = tmp_path_factory.mktemp("keyed")
    write_bare(root / "models", "sum", sum_graph())
    lines = f"alice {KEY}\nrated {RATED} rate=0.01\nnarrow {NARROW} concurrency=1\n"
    (root / "keys").write_text(lines)
    with start(models=root / "models", api_keys=root / "keys") as running:
        yield running


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_prediction_shows_a_key_and_nothing_else_has_to(keyed: ThreadedServer, way: str) -> None:
    with httpx.Client(base_url=keyed.url) as http:
        for headers, challenge in (
            ({}, "Bearer"),
            ({"authorization": KEY}, "Bearer"),
            (bearer("0123456789abcdee"), 'Bearer error="invalid_token"'),
        ):
            for _ in range(2):  # the second time by a head that came before
                refused = http.post(WAYS[way], content=BODY, headers=headers)
                assert (refused.status_code, refused.headers["www-authenticate"]) == (401, challenge)
                assert refused.json()["error"].startswith("API key: ")
        for headers in (bearer(KEY), {"x-api-key": KEY}):
            for _ in range(2):
                assert http.post(WAYS[way], content=BODY, headers=headers).status_code == 200
        for verb in ("predict", "explain"):
            assert http.post(f"/v1/models/sum:{verb}", json={"instances": [1]}).status_code == 401
        for path in ("/v2/health/ready", "/metrics", "/v2/models/sum", "/v1/models", "/"):
            assert http.get(path).status_code == 200


@pytest.mark.slow
def test_a_key_that_is_taken_back_lets_nobody_in_by_a_head_that_came_before(tmp_path: Path) -> None:
    write_bare(tmp_path / "models", "sum", sum_graph())
    keys = tmp_path / "keys"
    keys.write_text(f"alice {KEY}\n")
    with start(models=tmp_path / "models", api_keys=keys) as server, closing(connect(server)) as connection:
        sent = request(BODY, f"Authorization: Bearer {KEY}")
        for _ in range(2):
            connection.sendall(sent)
            assert read(connection, 1)[0][0] == 200
        keys.write_text(f"bob {NARROW}\n")
        status = 200
        for _ in range(200):
            connection.sendall(sent)
            status = read(connection, 1)[0][0]
            if status != 200:
                break
            threading.Event().wait(0.05)
        assert status == 401


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_client_over_its_rate_is_told_when_to_come_again(keyed: ThreadedServer, way: str) -> None:
    with httpx.Client(base_url=keyed.url, headers=bearer(RATED)) as http:
        http.post(WAYS[way], content=BODY)
        refused = http.post(WAYS[way], content=BODY)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 100
        assert refused.json()["error"] == "API key 'rated': over its rate of 0.01 requests a second"
        # It is no failure of the model, whose objective an alert watches.
        assert (
            'baton_requests_total{model="sum",outcome="rejected",version="1"} 0.0'
            in http.get("/metrics").text
        )


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_client_has_no_more_requests_at_once_than_it_may_and_gets_its_place_back(
    keyed: ThreadedServer, way: str
) -> None:
    gate = gated(keyed, "sum")
    answers: list[int] = []

    def ask() -> None:
        answers.append(httpx.post(keyed.url + INFER, content=BODY, headers=bearer(NARROW)).status_code)

    held = threading.Thread(target=ask)
    held.start()
    try:
        assert gate.entered.wait(30)
        refused = httpx.post(keyed.url + WAYS[way], content=BODY, headers=bearer(NARROW))
        assert refused.status_code == 429
        assert "'narrow': its limit of 1 request at once is reached" in refused.json()["error"]
    finally:
        gate.open.set()
        held.join(30)
    url = keyed.url + WAYS[way]
    for encoding in ("identity", "zip", "gzip", "identity"):  # answered or refused, its place is free again
        headers = {**bearer(NARROW), "content-encoding": encoding}
        answers += [httpx.post(url, content=BODY, headers=headers).status_code]
    assert answers == [200, 200, 415, 400, 200]
    metrics = httpx.get(f"{keyed.url}/metrics").text
    assert 'baton_client_in_flight{client="narrow"} 0.0' in metrics


@pytest.mark.slow
@pytest.mark.parametrize("allowed", ["", "models.example.com, *.internal.example"], ids=["default", "named"])
@pytest.mark.parametrize("path", [*WAYS.values(), "/v2/health/live", "/docs", "/nothing"])
def test_a_request_for_another_host_is_misdirected(tmp_path: Path, allowed: str, path: str) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    with start(models=tmp_path, allowed_hosts=allowed) as server, httpx.Client(base_url=server.url) as http:
        method, body = ("POST", BODY) if "infer" in path else ("GET", b"")
        good = http.request(method, path, content=body)
        assert good.status_code in (200, 404)
        for _ in range(2):
            answer = http.request(method, path, content=body, headers={"host": "evil.example"})
            assert answer.status_code == 421
            assert "Host: got 'evil.example', expected" in answer.json()["error"]
        if allowed:
            for host in ("models.example.com", "a.internal.example:8000"):
                answer = http.request(method, path, content=body, headers={"host": host})
                assert answer.status_code == good.status_code
        assert 'baton_access_refused_total{reason="host"} 2.0' in http.get("/metrics").text
