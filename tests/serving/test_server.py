"""The server's process: settings are refused before anything listens, and an idle connection is answered at the end."""

import json
import signal
import socket
import time
from pathlib import Path

import pytest

from serving.server import LINGER_S, Refused, make_config, prepare, serve
from serving.settings import Settings
from tests.bundles import sum_graph, write_bare
from tests.serving.servers import start

ROW = json.dumps(
    {"inputs": [{"name": name, "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]} for name in "xy"]}
).encode()
REQUEST = b"POST /v2/models/sum/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(ROW), ROW)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("models", "nowhere", "--models: got 'nowhere', expected a folder of models"),
        ("payload_log", "nowhere/x.jsonl", "--payload-log: got 'nowhere/x.jsonl', expected a file"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str, value: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.model_validate({"models": tmp_path, field: value})
    with pytest.raises(Refused, match=message):
        prepare(settings)


def test_serve_says_a_refusal_and_ends_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert serve(Settings(models=Path("nowhere"))) == 2
    assert capsys.readouterr().err.startswith("baton serve: --models: got 'nowhere'")


def test_nothing_is_left_to_uvicorns_guesses(tmp_path: Path) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    with start(models=tmp_path, shutdown_timeout_s=0.2) as server:
        config = make_config(Settings(models=tmp_path, shutdown_timeout_s=0.2), server.app)
    assert config.timeout_graceful_shutdown == 1  # uvicorn takes whole seconds, and 0 is no limit
    assert (config.server_header, config.proxy_headers, config.access_log) == (False, False, False)
    assert config.certificate is None


@pytest.mark.slow
def test_a_request_that_comes_on_an_idle_connection_during_the_stop_is_answered(tmp_path: Path) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    with start(models=tmp_path) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            time.sleep(0.1)
            began = time.monotonic()
            server.handle_exit(signal.SIGTERM, None)
            time.sleep(0.2)
            connection.sendall(REQUEST)
            answer = connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert b"connection: close" in answer.lower()
            assert time.monotonic() - began < LINGER_S + 1
