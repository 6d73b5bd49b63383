"""Trace and log settings as Triton's client reads them, and the refusal of those that are not in force."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.serving.protocol.wire import refused
from tests.serving.servers import ThreadedServer


@pytest.fixture
def client(server: ThreadedServer) -> Iterator[Any]:
    with closing(triton.InferenceServerClient(server.url.removeprefix("http://"))) as made:
        yield made


def test_triton_clients_read_trace_and_log_settings(client: Any) -> None:
    traced = client.get_trace_settings()
    assert traced["trace_level"] == ["OFF"]
    assert client.get_trace_settings("sum") == traced
    assert client.update_trace_settings("sum", {"trace_level": ["OFF"], "trace_rate": None}) == traced
    assert client.update_trace_settings(settings={"trace_level": "OFF", "trace_count": -1}) == traced
    logged = client.get_log_settings()
    assert (logged["log_info"], logged["log_error"], logged["log_verbose_level"]) == (True, True, 0)
    assert client.update_log_settings({"log_info": True, "log_verbose_level": 0}) == logged


@pytest.mark.parametrize(
    ("path", "settings", "status", "words"),
    [
        (
            "trace/setting",
            {"trace_level": ["TIMESTAMPS"]},
            501,
            'trace_level: got ["TIMESTAMPS"], in force is',
        ),
        ("models/sum/trace/setting", {"trace_rate": "7"}, 501, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("models/none/trace/setting", {}, 404, "none"),
        ("logging", {"log_verbose_level": 1}, 501, "--log-level"),
        ("logging", {"log_info": False}, 501, "log_info: got false"),
        ("logging", {"log_colour": 1}, 400, "log_colour"),
        ("logging", [], 400, "body"),
    ],
)
def test_settings_that_are_not_in_force_are_refused(
    http: httpx.Client, path: str, settings: Any, status: int, words: str
) -> None:
    refused(http.post(f"/v2/{path}", content=json.dumps(settings)), status, words)


def test_a_refused_setting_is_an_exception_of_tritons_client(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="in force is"):
        client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]})
