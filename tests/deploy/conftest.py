"""A real server in a process of its own, as it is deployed, and its metrics."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

import httpx
import pytest

from tests.bundles import png, sum_graph, write_bare, write_watched
from tests.deploy.tools import ROOT

# Below those that Linux gives to whoever asks for any: so neither the other tests that run at the same time nor an
# outgoing connection can take it before the server does.
PORTS = range(12_000, 32_000)
END_LIMIT_S = 10.0


def free_port() -> int:
    """A port that nobody listens on, drawn at random."""
    while True:
        port = SystemRandom().choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def until(true: Callable[[], bool], what: str, limit_s: float = 60.0) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, f"waited {limit_s:.0f} s for {what}"
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


@dataclass(frozen=True)
class Server:
    """`baton serve` under way."""

    url: str
    models: Path
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return self.url.removeprefix("http://")


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop, so that it can say how much of the code it ran; one that does not is killed."""
    process.terminate()
    try:
        process.wait(END_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def serving(models: Path, log: Path, **settings: object) -> Iterator[Server]:
    """A server on a free port, ready; ended by its process id."""
    port = free_port()
    variables = {
        name if name.startswith("OTEL_") else f"BATON_{name.upper()}": str(value)
        for name, value in settings.items()
    }
    command = [sys.executable, str(ROOT / "baton.py"), "serve", "--models", str(models), "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **variables}, stdout=output, stderr=output
        )
    server = Server(f"http://127.0.0.1:{port}", models, process)
    try:
        until(
            lambda: process.poll() is not None or answers(f"{server.url}/v2/health/ready"),
            "a ready server",
            limit_s=180,
        )
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        end(process)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("deployed")
    models = root / "models"
    models.mkdir()
    write_watched(models)
    write_bare(models, "sum", sum_graph())
    with serving(models, root / "server.log", poll_s=0.5, drift_window_rows=1) as running:
        yield running


@pytest.fixture(scope="session")
def exported(server: Server) -> set[str]:
    """The name of every series that the server exports when it has answered."""
    url, kind = f"{server.url}/v1/models/brightness:predict", {"content-type": "image/png"}
    httpx.post(url, content=png(40), headers=kind).raise_for_status()
    text = httpx.get(f"{server.url}/metrics").text
    return set(re.findall(r"^([a-zA-Z_:][\w:]*)[ {]", text, re.MULTILINE))
