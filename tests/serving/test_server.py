"""The server's process: settings are refused before anything listens, and an idle connection is answered at the end."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from uvicorn.config import STARTUP_FAILURE

from serving.app import create_app
from serving.server import LINGER_S, BatonServer, Refused, make_config, prepare, serve
from serving.settings import Settings
from tests.bundles import sum_graph, write_bare
from tests.serving.servers import start

ROOT = Path(__file__).resolve().parents[2]
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


PATHS = (
    "GET /v2/health/live",
    "GET /v2/models/sum",
    "GET /metrics",
    "POST /v2/repository/index",
    "GET /nowhere",
)


def test_every_answer_says_close_while_the_server_drains_and_none_before(tmp_path: Path) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    with start(models=tmp_path, drain_delay_s=3600) as server, httpx.Client(base_url=server.url) as client:

        def said() -> list[str]:
            answers = [client.request(*path.split(" "), timeout=30) for path in PATHS]
            answers.append(client.post("/v2/models/sum/infer", content=ROW))
            return [answer.headers.get("connection", "") for answer in answers]

        assert said() == [""] * 6
        server.handle_exit(signal.SIGTERM, None)
        assert said() == ["close"] * 6


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["-m baton serve", "-m serving"])
def test_a_signal_before_the_server_is_there_ends_the_process_with_status_0(
    tmp_path: Path, verb: str
) -> None:
    """While its modules are imported, of which the settings' is among the first."""
    command = [sys.executable, *verb.split(), "--models", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        maps, until = Path(f"/proc/{process.pid}/maps"), time.monotonic() + 60
        while "_pydantic_core" not in maps.read_text() and time.monotonic() < until:
            time.sleep(0.001)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


STUCK = """
import threading
from serving import server
from serving.settings import Settings

server.GIVE_UP_S = 0.2
forever = threading.Thread(target=threading.Event().wait)  # as a run that hangs: the interpreter would join it
forever.start()
print("up", flush=True)
server.serve(Settings(models={models!r}, port=0, shutdown_timeout_s=1))
"""


@pytest.mark.slow
def test_a_thread_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    command = [sys.executable, "-c", STUCK.format(models=str(tmp_path))]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        while "serving on" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert "with work under way" in process.stderr.read()


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1", "::", "localhost"])
def test_an_address_that_is_taken_ends_the_start_with_its_name(
    tmp_path: Path, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    family = socket.AF_INET6 if host == "::" else socket.AF_INET
    with socket.create_server(("" if host != "::" else "::", 0), family=family) as taken:
        port = taken.getsockname()[1]
        settings = Settings(models=tmp_path, host=host, port=port)
        app = create_app(settings)
        with pytest.raises(SystemExit) as ended:
            asyncio.run(BatonServer(make_config(settings, app), app, 0.0).serve())
    assert ended.value.code == STARTUP_FAILURE
    assert f"--host {host} --port {port}" in caplog.text
