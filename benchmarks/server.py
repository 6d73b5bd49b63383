"""A server under test: `baton serve` in a process of its own, with its memory and processor time."""

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
_PATIENCE_S = 120


class Server:
    """A started server; `seconds` is how long it took to be ready."""

    def __init__(self, models: Path, *flags: str) -> None:
        port = _free_port()
        self.url: SplitResult = urlsplit(f"http://127.0.0.1:{port}")
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "baton", "serve", "--models", str(models), "--port", str(port),
             "--log-level", "error", *flags]
        )  # fmt: skip
        self._wait("/v2/health/ready", started + _PATIENCE_S)
        self.seconds = time.perf_counter() - started

    def rss_mib(self) -> float:
        """Resident memory of the process and its children."""
        pages = sum(int(_read(pid, "statm").split()[1]) for pid in self._pids())
        return pages * _PAGE / (1 << 20)

    def cpu_s(self) -> float:
        """Processor seconds of the process and its children so far."""
        return sum(_ticks(pid) for pid in self._pids()) / _TICKS

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_PATIENCE_S)

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
                raise BenchError(f"the server is not ready after {_PATIENCE_S} s")
            time.sleep(0.01)


@contextmanager
def serving(models: Path, flags: Sequence[str] = ()) -> Iterator[Server]:
    """A server for as long as the block lasts."""
    server = Server(models, *flags)
    try:
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
