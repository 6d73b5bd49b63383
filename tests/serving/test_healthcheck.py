"""The container's health check, against a server that says what the test wants."""

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

import pytest

from serving.healthcheck import main


class Health(BaseHTTPRequestHandler):
    statuses = MappingProxyType({"/v2/health/ready": 503, "/v2/health/live": 200})

    def do_GET(self) -> None:
        self.send_response(self.statuses.get(self.path, 404))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("BATON_PORT", str(server.server_port))
    monkeypatch.setenv("BATON_HOST", "0.0.0.0")
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("port")
def test_an_unready_server_is_unhealthy_and_alive() -> None:
    assert main([]) == 1
    assert main(["ready"]) == 1
    assert main(["live"]) == 0


def test_no_server_is_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_PORT", "1")
    assert main(["live"]) == 1


def test_an_unknown_probe_is_refused() -> None:
    assert main(["started"]) == 2


def test_the_check_imports_no_framework() -> None:
    import subprocess

    code = "import serving.healthcheck, sys; print(*(set(sys.modules) & {'fastapi', 'onnxruntime', 'numpy'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
