"""What a case works with: a folder of its own, models to put into it, and servers of the checkout under test.

A case speaks to a server as anybody can: by files, signals and the wire. So the same case can be run against another
checkout of Baton, to see it fail there.
"""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0
"""Within which a server has to answer /v2/health/live, and to be ready where that is waited for."""
STOP_S = 45.0
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Response(NamedTuple):
    """An answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message of an error."""
        return str(self.json["error"])


class ServerEnded(Exception):
    """The process ended before it was told to."""


class Server:
    """A server in a process of its own, with its log in a file."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", port: int, log: Path, tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls`: a client's context, where it speaks HTTPS."""
        self.process, self.port, self._log, self._tls = process, port, log, tls

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> Response:
        """One request on a connection of its own."""
        if self._tls is None:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        else:
            connection = HTTPSConnection("127.0.0.1", self.port, timeout=timeout_s, context=self._tls)
        try:
            connection.request(
                method, path, body.encode() if isinstance(body, str) else body, dict(headers or {})
            )
            answer = connection.getresponse()
            return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **keys: Any) -> Response:
        """GET."""
        return self.ask("GET", path, **keys)

    def post(self, path: str, body: Any = None, **keys: Any) -> Response:
        """POST; a body that is not bytes or text is sent as JSON."""
        return self.ask("POST", path, body if isinstance(body, bytes | str) else json.dumps(body), **keys)

    def connect(self, timeout_s: float = 30.0) -> socket.socket:
        """A bare connection, for bytes that no client sends."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s)

    def raw(self, data: bytes, timeout_s: float = 10.0) -> bytes:
        """Everything that comes back until the server closes or falls silent for a second."""
        with self.connect(timeout_s) as connection:
            connection.sendall(data)
            return read_until_silent(connection)

    def is_ready(self) -> bool:
        """Whether readiness says 200 now."""
        try:
            return self.get("/v2/health/ready", timeout_s=5.0).status == 200
        except (OSError, HTTPException):
            return False

    def wait(self, condition: Callable[[], bool], seconds: float = 15.0) -> bool:
        """Whether a condition came true within so many seconds; `ServerEnded` where the process ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise ServerEnded(
                    f"the server ended with status {self.process.returncode}: {self.log()[-400:]}"
                )
            if condition():
                return True
            time.sleep(0.05)
        return False

    def serves(self, model: str) -> bool:
        """Whether a model answers readiness."""
        try:
            return self.get(f"/v2/models/{model}/ready", timeout_s=5.0).status == 200
        except (OSError, HTTPException):
            return False

    def log(self) -> str:
        """What it has written so far, to standard error and output."""
        return self._log.read_text(errors="replace")

    def metric(self, pattern: str) -> float:
        """The sum of the samples of /metrics whose whole series (name and labels) match a regular expression."""
        lines = self.get("/metrics").body.decode().splitlines()
        found = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        return sum(float(value) for series, _, value in found if re.fullmatch(pattern, series))

    def pids(self) -> list[int]:
        """The process and its workers."""
        top = self.process.pid
        children = Path(f"/proc/{top}/task/{top}/children").read_text().split()
        return [top, *map(int, children)]

    def rss_bytes(self) -> int:
        """Resident memory of all its processes now."""
        return sum(int(_proc(pid, "statm").split()[1]) * _PAGE for pid in self.pids())

    def peak_bytes(self) -> int:
        """The most resident memory that its processes had, since `forget_peak` or their start."""
        lines = "\n".join(_proc(pid, "status") for pid in self.pids()).splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024

    def forget_peak(self) -> None:
        """Begin to count the peak from what is resident now."""
        for pid in self.pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def descriptors(self) -> int:
        """Open file descriptors of all its processes."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.pids())

    def threads(self) -> int:
        """Threads of all its processes."""
        return sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in self.pids())

    def terminate(self, within_s: float = STOP_S) -> int:
        """SIGTERM; its exit status. `TimeoutExpired` where it takes longer."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)


class Bench:
    """Of one case: an empty folder, and servers of the checkout under test."""

    def __init__(self, folder: Path, checkout: Path = ROOT) -> None:
        self.folder, self.checkout = folder, checkout
        self._servers = 0
        self._key = folder / "key.pem"

    def models(self, *names: str) -> Path:
        """A folder with copies of the models that are shipped with this build, which may be broken at will."""
        root = self.folder / "models"
        root.mkdir(exist_ok=True)
        for name in names:
            shutil.copytree(ROOT / "models" / name, root / name)
        return root

    def trusting(self) -> ssl.SSLContext:
        """A client's side of TLS, which trusts the server's certificate."""
        context = ssl.create_default_context(cafile=self._certificate())
        context.check_hostname = False
        return context

    def _certificate(self) -> Path:
        cert = self.folder / "cert.pem"
        if not cert.exists():
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-days", "1", "-subj", "/CN=127.0.0.1", "-keyout", self._key, "-out", cert],
                check=True, capture_output=True,
            )  # fmt: skip
        return cert

    @contextmanager
    def serve(
        self,
        models: Path,
        *flags: str,
        ready: bool | None = True,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        tls: bool = False,
    ) -> Iterator[Server]:
        """A server of the checkout under test, for as long as the block lasts; it is ended by force at the end.

        `ready`: wait until it is; False: until it is live; None: for nothing. `ServerEnded` where it does not start.
        `prefix`: a program that runs it. `tls`: HTTPS, with a certificate made for the case.
        """
        self._servers += 1
        port, log = _free_port(), self.folder / f"server-{self._servers}.log"
        if tls:
            flags = (*flags, "--tls-cert", str(self._certificate()), "--tls-key", str(self._key))
        command = [
            *prefix,
            sys.executable,
            "-m",
            "baton",
            "serve",
            "--models",
            str(models),
            "--port",
            str(port),
            *flags,
        ]
        environment = {**os.environ, **(env or {}), "PYTHONPATH": str(self.checkout)}
        with log.open("wb") as written:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=written, stderr=written, process_group=0
            )
        server = Server(process, port, log, self.trusting() if tls else None)
        try:
            if ready is None:
                yield server
                return
            path = "/v2/health/ready" if ready else "/v2/health/live"
            if not server.wait(lambda: _is_200(server, path), START_S):
                raise ServerEnded(f"{path} is not 200 after {START_S:.0f} s: {log.read_text()[-400:]}")
            yield server
        finally:
            for pid in _tree(process):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def read_until_silent(connection: socket.socket, silence_s: float = 1.0) -> bytes:
    """What comes until the other side closes, or sends nothing for so long."""
    connection.settimeout(silence_s)
    pieces: list[bytes] = []
    try:
        while piece := connection.recv(1 << 16):
            pieces.append(piece)
    except (TimeoutError, ConnectionError):
        pass
    return b"".join(pieces)


def statuses(answers: bytes) -> list[int]:
    """The statuses of the answers in a stream, in order."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


def _is_200(server: Server, path: str) -> bool:
    try:
        return server.get(path, timeout_s=5.0).status == 200
    except (OSError, HTTPException):
        return False


def _tree(process: "subprocess.Popen[bytes]") -> list[int]:
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    except OSError:
        children = []
    return [*map(int, children), process.pid]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _proc(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return "0 0 0"
