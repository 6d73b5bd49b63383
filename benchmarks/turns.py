"""Servers by turns: each is driven for a moment while those that wait are stopped, so that the machine's drift cancels.

A folder of scripts, kept elsewhere, knows how a peer is started (`load_scripts`).
"""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from itertools import count
from pathlib import Path
from typing import IO, Any, Protocol, cast

from benchmarks.bare import SERVED

_TICKS = os.sysconf("SC_CLK_TCK")
_MIB = 1 << 20
_RESTLESS = ("triton", "pytriton", "ray")
"""Their processes watch each other by the clock: stopped, they die. They idle instead."""
_WAKE_S = 0.1
_LOOK_S, _LOOKS = 0.05, 200  # 10 s at most
"""A server that still works on its last requests is waited for, or its next turn would pay for them."""
_DISTRIBUTIONS = {"raw": "uvicorn", "triton": "nvidia-pytriton"}
"""The packages of peers that are not named for theirs."""


class Started(Protocol):
    """A server that answered rightly, as the scripts' `Server` gives it."""

    tag: str
    port: int
    startup: float
    """Seconds from its start to the first right answer."""

    def wrk(self, connections: int, seconds: int) -> dict[str, float]:
        """Closed loop: `n` answers of which `status` were none, in `us`; `p50` and `p99`, all times in µs."""
        ...

    def signal(self, number: int) -> None:
        """To each of its processes."""
        ...

    def stop(self) -> None:
        """End them all."""
        ...


class Scripts(Protocol):
    """The scripts' `run` module."""

    BASE: str
    PEERS: dict[str, tuple[Any, ...]]
    """By name; a peer's environment, in `BASE`/v, comes first."""

    def Server(self, spec: str, model: str, port: int) -> Started:  # noqa: N802 - it is a class
        """Start one; any exception if it does not answer rightly."""
        ...

    def tagged(self, tag: str) -> list[int]:
        """A server's processes."""
        ...

    def memory(self, tag: str) -> tuple[float, float]:
        """Resident and proportional MiB of them all."""
        ...


def load_scripts(folder: Path) -> Scripts:
    """The folder's `run.py` with its imports; no byte code is left in the folder."""
    sys.path.insert(0, str(folder.resolve()))
    sys.dont_write_bytecode = True
    return cast("Scripts", importlib.import_module("run"))


@dataclass(frozen=True, slots=True)
class Turn:
    """The figures of one turn; `errors` counts answers other than 200, time-outs and broken connections."""

    rate: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    errors: int = 0


class Driven(Protocol):
    """Anything that can be given a turn; its label names it in results."""

    label: str

    def turn(self, connections: int, seconds: int) -> Turn:
        """Load it; `RuntimeError` if it is gone."""
        ...


class Peer:
    """A server under test. It is stopped (SIGSTOP) except in its turn."""

    def __init__(self, scripts: Scripts, spec: str, model: str, port: int) -> None:
        name, *rest = spec.split(":")
        self.label = ":".join([name, *rest[:1]])
        self._scripts, self._restless = scripts, name in _RESTLESS
        self._server = scripts.Server(spec, model, port)
        self.start_s, self.start_cpu_s = self._server.startup, self._cpu_s()
        self.url = f"http://127.0.0.1:{self._server.port}"
        self.rest()

    @property
    def rss_mib(self) -> float:
        """Resident memory of its processes."""
        return self._scripts.memory(self._server.tag)[0]

    def turn(self, connections: int, seconds: int) -> Turn:
        """Wake it, drive it with wrk, let it finish and stop it again."""
        with self.awake():
            got = self._server.wrk(connections, seconds)
        return Turn(
            rate=(got["n"] - got["status"]) / (got["us"] / 1e6),
            p50_ms=got["p50"] / 1e3,
            p99_ms=got["p99"] / 1e3,
            errors=int(got["status"] + got["timeout"] + got["read"]),
        )

    @contextmanager
    def awake(self) -> Iterator[None]:
        """It runs inside."""
        self._server.signal(signal.SIGCONT)
        time.sleep(_WAKE_S)
        try:
            yield
        finally:
            self._finish()
            self.rest()

    def rest(self) -> None:
        """Stop it until its turn."""
        if not self._restless:
            self._server.signal(signal.SIGSTOP)

    def close(self) -> None:
        """End it."""
        self._server.stop()

    def _finish(self) -> None:
        before = self._cpu_s()
        for _ in range(_LOOKS):
            time.sleep(_LOOK_S)
            now = self._cpu_s()
            if now - before <= 1 / _TICKS:
                return
            before = now

    def _cpu_s(self) -> float:
        """Processor seconds of its processes, and of those children of theirs that have ended."""
        return sum(map(_ticks, self._scripts.tagged(self._server.tag))) / _TICKS


class Bare:
    """`session.run` in a process of its own, in its best combination: no server, so connections are nothing to it.

    As ONNX Runtime is by itself, or `served`: with the graph optimised as Baton does it.
    """

    as_it_comes, as_served = "session.run", "session.run, Baton's fusions"
    labels = (as_it_comes, as_served)

    def __init__(self, model: Path, example: Path, label: str = as_it_comes) -> None:
        """`label`: one of `labels`."""
        self.label = label
        flags = [SERVED] if label == self.as_served else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare", str(model), str(example), *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._asked, self._told = (
            cast("IO[str]", pipe) for pipe in (self._process.stdin, self._process.stdout)
        )
        self.found = self._line()

    def turn(self, connections: int, seconds: int) -> Turn:
        """Rows a second."""
        print(seconds, file=self._asked, flush=True)
        return Turn(rate=float(self._line()))

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _line(self) -> str:
        line = self._told.readline()
        if not line:
            raise RuntimeError(f"benchmarks.bare ended with status {self._process.wait()}")
        return line.strip()


def start_each(scripts: Scripts, specs: Sequence[str], model: str) -> Iterator[Peer]:
    """Every peer that starts, for the caller to close; one that does not is named on standard error."""
    for spec, port in zip(specs, _ports(), strict=False):
        try:
            peer = Peer(scripts, spec, model, port)
        except Exception as error:  # the scripts raise what they like, and the others go on
            print(f"{spec}, {model}: {error}", file=sys.stderr)
        else:
            yield peer


def by_turns(driven: Sequence[Driven], connections: int, seconds: int, rounds: int) -> dict[str, list[Turn]]:
    """Every server's turns by its label; one that goes away is named on standard error and left out."""
    turns: dict[str, list[Turn]] = {each.label: [] for each in driven}
    for number in range(rounds):
        for each in driven if number % 2 else reversed(driven):
            if each.label not in turns:
                continue
            try:
                turns[each.label].append(each.turn(connections, seconds))
            except RuntimeError as error:
                print(f"{each.label} is gone: {error}", file=sys.stderr)
                del turns[each.label]
    return turns


def environment(scripts: Scripts, name: str) -> tuple[str, float]:
    """The version of a peer's package, and the MiB of the environment that it is installed in."""
    folder = Path(scripts.BASE) / "v" / scripts.PEERS[name][0]
    sites = [str(path) for path in folder.glob("lib/python*/site-packages")]
    expected = _DISTRIBUTIONS.get(name, name)
    found = next((each.version for each in distributions(name=expected, path=sites)), "")
    size = sum(
        path.lstat().st_size
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    return (f"{found} ({expected})" if expected != name else found), size / _MIB


def _ports() -> Iterator[int]:
    """Ten apart, since some peers listen on those after theirs too."""
    return count(25000 + os.getpid() % 50 * 200, 10)


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it ended meanwhile
        return 0
    return sum(map(int, fields[11:15]))
