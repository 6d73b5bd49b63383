"""Each request is counted once, by each verb, by each door, and whichever step it fails at."""

import gzip
import json
from collections import Counter
from typing import Any

import httpx
import pytest

from serving.engine.metrics import ModelMetrics
from tests.bundles import png
from tests.serving.servers import ThreadedServer

INFER, PREDICT, EXPLAIN = "/v2/models/{}/infer", "/v1/models/{}:predict", "/v1/models/{}:explain"
SUM = {
    "inputs": [{"name": n, "shape": [1, 3], "datatype": "FP32", "data": [1.0, 2.0, 3.0]} for n in ("x", "y")]
}
IMAGE = {"content-type": "image/png"}
LATE = {"x-request-timeout-ms": "0.0001"}
WRONG_ROWS = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1.0, 2.0, 3.0]}]}


def counts(metrics: ModelMetrics) -> Counter[str]:
    return Counter({**metrics.outcomes, "success": metrics.requests.count, "explained": metrics.explanations})


@pytest.mark.parametrize("door", ["fast path", "router"])
@pytest.mark.parametrize(
    ("path", "body", "headers", "outcome", "status"),
    [
        (INFER, json.dumps(SUM), {}, "success", 200),
        (INFER, json.dumps(SUM), {"accept-encoding": "gzip"}, "success", 200),
        (
            INFER,
            gzip.compress(json.dumps(SUM).encode(), mtime=0),
            {"content-encoding": "gzip"},
            "success",
            200,
        ),
        (INFER, b"no gzip", {"content-encoding": "gzip"}, "invalid", 400),
        (INFER, b"{}", {"content-encoding": "br"}, "invalid", 415),
        (INFER, b"{", {}, "invalid", 400),
        (INFER, json.dumps(WRONG_ROWS), {}, "invalid", 400),
        (INFER, json.dumps(SUM), LATE, "deadline", 504),
        (INFER, b"x" * ((1 << 20) + 1), {}, "invalid", 413),
        (PREDICT, png(255), IMAGE, "success", 200),
        (PREDICT, png(255)[:40], IMAGE, "invalid", 400),
        (PREDICT, b"", {"content-type": "text/plain"}, "invalid", 415),
        (PREDICT, png(255), IMAGE | LATE, "deadline", 504),
        (PREDICT, json.dumps({"instances": [7] * 41}), {}, "invalid", 413),
        (EXPLAIN, png(255), IMAGE, "explained", 200),
        (EXPLAIN, png(255)[:40], IMAGE, "invalid", 400),
        (EXPLAIN, json.dumps({"instances": ["x"], "parameters": 2}), {}, "invalid", 400),
    ],
)
def test_a_request_is_counted_once(
    server: ThreadedServer,
    http: httpx.Client,
    door: str,
    path: str,
    body: Any,
    headers: dict[str, str],
    outcome: str,
    status: int,
) -> None:
    name = "sum" if path is INFER else "brightness"
    metrics = server.app.registry.get(name).metrics
    address = path.format(name if door == "fast path" else f"{name}/versions/01")
    before = counts(metrics)
    answer = http.post(address, content=body, headers={"accept-encoding": "identity", **headers})
    assert answer.status_code == status, answer.text
    assert counts(metrics) - before == Counter({outcome: 1})
    assert metrics.in_flight == 0
