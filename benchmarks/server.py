"""A server under test: `baton serve` in a process of its own, with its memory and processor time."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from serving.bench.request import fetch
from serving.bench.values import BenchError

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MAX_WAIT_S = 120


class Server:
    """A started server; `seconds` is how long it took to be ready."""

    def __init__(self, models: Path, *flags: str, checkout: Path | None = None) -> None:
        """`checkout`: the folder of another version of Baton; None: this one."""
        port = _free_port()
        self.url: SplitResult = urlsplit(f"http://127.0.0.1:{port}")
        started = time.perf_counter()
        environment = {**os.environ, "PYTHONPATH": str(checkout)} if checkout else None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "baton", "serve", "--models", str(models.resolve()), "--port", str(port),
             "--log-level", "error", *flags],
            cwd=checkout, env=environment,
        )  # fmt: skip
        self._wait("/v2/health/ready", started + _MAX_WAIT_S)
        self.seconds = time.perf_counter() - started

    def rss_mib(self) -> float:
        """Resident memory of the process and its children."""
        pages = sum(int(_read(pid, "statm").split()[1]) for pid in self._pids())
        return pages * _PAGE / (1 << 20)

    def peak_mib(self) -> float:
        """The most resident memory so far, of the process and its children."""
        lines = "\n".join(_read(pid, "status") for pid in self._pids()).splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024

    def descriptors(self) -> int:
        """Open file descriptors of the process and its children."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self._pids())

    def threads(self) -> int:
        """Threads of the process and its children."""
        return sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in self._pids())

    def cpu_s(self) -> float:
        """Processor seconds of the process and its children so far."""
        return sum(_ticks(pid) for pid in self._pids()) / _TICKS

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_MAX_WAIT_S)

    def _pids(self) -> list[int]:
        top = self._process.pid
        children = (Path(f"/proc/{top}/task/{top}/children")).read_text().split()
        return [top, *map(int, children)]

    def _wait(self, path: str, until: float) -> None:
        while True:
            if self._process.poll() is not None:
                raise BenchError(f"the server ended with status {self._process.returncode}")
            try:
                if fetch(self.url, "GET", path, None, 5.0)[0] == 200:
                    return
            except BenchError:
                pass
            if time.perf_counter() > until:
                self._process.kill()
                raise BenchError(f"the server is not ready after {_MAX_WAIT_S} s")
            time.sleep(0.01)


def wait_until_measured(server: Server, max_wait_s: float = 120.0) -> None:
    """Return when no model is measured any more, so that the load finds the server at its best."""
    until = time.perf_counter() + max_wait_s
    while time.perf_counter() < until:
        status, answer = fetch(server.url, "GET", "/v2/diagnostics", None, 5.0)
        models = json.loads(answer)["models"] if status == 200 else []
        if models and all(model.get("measured", True) for model in models):
            return
        time.sleep(0.05)
    raise BenchError(f"the models are not measured after {max_wait_s:g} s")


@contextmanager
def serving(
    models: Path, flags: Sequence[str] = (), checkout: Path | None = None, *, measured: bool = True
) -> Iterator[Server]:
    """A server for as long as the block lasts; `measured` False: as soon as it is ready."""
    server = Server(models, *flags, checkout=checkout)
    try:
        if measured:
            wait_until_measured(server)
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _ticks(pid: int) -> int:
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _read(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()
