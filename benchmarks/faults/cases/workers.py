"""Workers that hang, die or run out of something: the others answer, and what was counted stays."""

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.faults.bench import Bench, Server
from benchmarks.faults.matrix import Unexpected, case, expect

_MODEL = "reviews"
_PREDICT = f"/v1/models/{_MODEL}:predict"
_BODY = json.dumps({"instances": ["a good book"]}).encode()
_JSON = {"content-type": "application/json"}
_COUNTED = rf'baton_requests_total\{{.*model="{_MODEL}".*outcome="success".*\}}'
_TWO = ("--workers", "2")
_NOTICED_S = 5.0


def _workers(server: Server) -> list[int]:
    """The workers' process ids, the first started first."""
    return sorted(server.pids()[1:])


def _answer(server: Server, timeout_s: float = 10.0) -> int:
    """The status of a prediction on a new connection; 0 where none came."""
    with suppress(OSError, HTTPException):
        return server.post(_PREDICT, _BODY, headers=_JSON, timeout_s=timeout_s).status
    return 0


def _is_ready(server: Server) -> bool:
    with suppress(OSError, HTTPException):
        return server.get("/v2/health/ready", timeout_s=2.0).status == 200
    return False


def _two_answer(server: Server) -> bool:
    with suppress(OSError, HTTPException):
        return server.metric("baton_workers_up") == 2
    return False


class _Clients:
    """Clients on kept connections that ask one after another, and count what they are answered."""

    def __init__(self, server: Server, count: int) -> None:
        self._server = server
        self.statuses: Counter[int] = Counter()
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._server.port, timeout=15)
        while not self._ends.is_set():
            try:
                connection.request("POST", _PREDICT, _BODY, _JSON)
                answer = connection.getresponse()
                answer.read()
                self.statuses[answer.status] += 1
            except (OSError, HTTPException):
                self.statuses[0] += 1
                connection.close()
        connection.close()

    def end(self) -> Counter[int]:
        """Answers by status, 0 for those that never came."""
        self._ends.set()
        for thread in self._threads:
            thread.join(20)
        return self.statuses


@contextmanager
def _clients(server: Server, count: int = 4) -> Iterator[_Clients]:
    clients = _Clients(server, count)
    try:
        yield clients
    finally:
        clients.end()


@case(
    "SIGSTOP for one of two workers while four clients ask", "noticed within 5 s, replaced; ready all along"
)
def stopped_worker(bench: Bench) -> str:
    with bench.serve(bench.models(_MODEL), *_TWO) as server, _clients(server) as clients:
        stopped = _workers(server)[1]
        os.kill(stopped, signal.SIGSTOP)
        began = time.monotonic()
        new: list[tuple[float, int]] = []
        while time.monotonic() - began < 20 and Path(f"/proc/{stopped}").exists():
            asked = time.monotonic()
            status = _answer(server, 12.0)
            new.append((time.monotonic() - asked, status))
            time.sleep(0.1)
        noticed = time.monotonic() - began
        expect(
            not Path(f"/proc/{stopped}").exists(), f"the stopped worker is still there after {noticed:.0f} s"
        )
        ready = [_is_ready(server) for _ in range(10)]
        expect(server.wait(lambda: _two_answer(server), 30), "no second worker after 30 s more")
        statuses = Counter(status for _, status in new)
        slowest = max(seconds for seconds, _ in new)
        seen = f"ended after {noticed:.1f} s; new connections {dict(statuses)}, the slowest {slowest:.1f} s"
        expect(noticed <= _NOTICED_S + 0.5 and set(statuses) == {200} and slowest <= _NOTICED_S + 1, seen)
        expect(all(ready), f"{seen}; unready {ready.count(False)} times of 10 afterwards")
        late = clients.end()
        expect(set(late) <= {200, 0} and late[0] <= 4, f"{seen}; clients {dict(late)}")
        return seen


@case(
    "SIGSTOP for one of two workers, then SIGTERM for the server",
    "ends in time; requests are answered; status 1",
)
def stopped_worker_at_the_end(bench: Bench) -> str:
    flags = (*_TWO, "--shutdown-timeout-s", "5")
    with bench.serve(bench.models(_MODEL), *flags) as server:
        os.kill(_workers(server)[1], signal.SIGSTOP)
        before = _answer(server)  # on one of both
        began = time.monotonic()
        try:
            status = server.terminate(20)
        except subprocess.TimeoutExpired as error:
            raise Unexpected("not ended after 20 s") from error
        seen = f"status {status} after {time.monotonic() - began:.1f} s; a request before it: {before}"
        expect(status == 1 and time.monotonic() - began < 12, seen)
        return seen


@case(
    "kill -9 for one of two workers while four clients ask",
    "no answer uncounted; ready meanwhile; back in time",
)
def killed_worker(bench: Bench) -> str:
    began = time.monotonic()
    with bench.serve(bench.models(_MODEL), *_TWO) as server:
        start_s = time.monotonic() - began
        server.wait(lambda: _two_answer(server), 30)
        with _clients(server) as clients:
            server.wait(lambda: clients.statuses[200] > 500, 20)
            _ = server.metric(_COUNTED)
            some = clients.statuses[200]
            server.wait(lambda: clients.statuses[200] > some + 500, 20)
            killed = _workers(server)[0]
            os.kill(killed, signal.SIGKILL)
            began = time.monotonic()
            unready, last, fell = 0, 0.0, 0
            while time.monotonic() - began < 60:
                unready += not _is_ready(server)
                counted = server.metric(_COUNTED)
                fell += counted < last
                last = counted
                if time.monotonic() - began > 0.5 and _two_answer(server):
                    break
                time.sleep(0.05)
            back_s = time.monotonic() - began
        answered, unanswered = clients.statuses[200], clients.statuses[0]
        counted = server.metric(_COUNTED)
        seen = (
            f"{answered} answered, {unanswered} cut off, {counted:.0f} counted; back after {back_s:.1f} s, "
            f"the start took {start_s:.1f} s; unready {unready} times; the count fell {fell} times"
        )
        expect(answered <= counted <= answered + unanswered and unanswered <= 4, seen)
        expect(unready == 0 and fell == 0 and back_s <= max(1.5 * start_s, start_s + 3), seen)
        return seen


@case("kill -9 for both workers at once", "both are back; connections meanwhile wait and are answered")
def both_killed(bench: Bench) -> str:
    with bench.serve(bench.models(_MODEL), *_TWO) as server:
        for pid in _workers(server):
            os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        status = _answer(server, 30.0)
        first_s = time.monotonic() - began
        expect(server.wait(lambda: _is_ready(server) and _two_answer(server), 30), "not ready after 30 s")
        seen = f"a request sent at once was answered {status} after {first_s:.1f} s"
        expect(status in (200, 503), seen)
        expect(_answer(server) == 200, "ready, but does not answer")
        return seen


@case(
    "kill -9 for a worker, and for its successor while it starts",
    "the third one serves; the server is never down",
)
def killed_while_it_starts(bench: Bench) -> str:
    with bench.serve(bench.models(_MODEL), *_TWO) as server:
        server.wait(lambda: _two_answer(server), 30)
        first = set(_workers(server))
        os.kill(max(first), signal.SIGKILL)
        expect(server.wait(lambda: bool(set(_workers(server)) - first), 10), "no successor")
        (successor,) = set(_workers(server)) - first
        time.sleep(0.3)  # it imports
        os.kill(successor, signal.SIGKILL)
        statuses = Counter(_answer(server) for _ in range(20))
        gone = server.wait(lambda: not Path(f"/proc/{successor}").exists(), 10)
        expect(gone and server.wait(lambda: _two_answer(server), 30), "no third one after 30 s")
        seen = f"20 requests meanwhile: {dict(statuses)}"
        expect(set(statuses) == {200}, seen)
        return seen


@case(
    "`load` while a worker is stopped, then one more", "an answer that names the worker within 10 s; then 200"
)
def load_with_a_stopped_worker(bench: Bench) -> str:
    token = {"authorization": "Bearer secret"}
    path = f"/v2/repository/models/{_MODEL}/load"
    with bench.serve(bench.models(_MODEL), *_TWO, env={"BATON_ADMIN_TOKEN": "secret"}) as server:
        with server.connect(20) as kept:  # on one worker; the other is stopped
            kept.sendall(b"GET /v2/diagnostics HTTP/1.1\r\nHost: x\r\n\r\n")
            body = b""
            while b'"worker":' not in body:
                body += kept.recv(1 << 16)
        number = int(body.split(b'"worker":')[1].lstrip()[:1])
        pids = {each["worker"]: each["pid"] for each in server.get("/v2/diagnostics").json["workers"]}
        os.kill(pids[3 - number], signal.SIGSTOP)
        began = time.monotonic()
        answers = []
        for _ in range(2):
            with suppress(OSError, HTTPException):
                answers.append(server.ask("POST", path, headers=token, timeout_s=15))
        took_s = time.monotonic() - began
        server.wait(lambda: _two_answer(server), 30)
        last = server.ask("POST", path, headers=token, timeout_s=15)
        seen = (
            f"{[each.status for each in answers]} within {took_s:.1f} s, {last.status} when it was replaced"
        )
        expect(len(answers) == 2 and took_s < 12 and last.status == 200, seen)
        return seen


@case("kill -9 for a worker in the middle of `load`", "an answer at once, and the load lock is free")
def killed_during_load(bench: Bench) -> str:
    token = {"authorization": "Bearer secret"}
    path = f"/v2/repository/models/{_MODEL}/load"
    with bench.serve(bench.models(_MODEL), *_TWO, env={"BATON_ADMIN_TOKEN": "secret"}) as server:
        server.wait(lambda: _two_answer(server), 30)
        answers: list[int] = []

        def load() -> None:
            try:
                answers.append(server.ask("POST", path, headers=token, timeout_s=20).status)
            except (OSError, HTTPException):
                answers.append(0)  # it was the worker that was asked

        asking = threading.Thread(target=load)
        asking.start()
        os.kill(_workers(server)[0], signal.SIGKILL)
        asking.join(20)
        server.wait(lambda: _two_answer(server), 30)
        last = server.ask("POST", path, headers=token, timeout_s=20).status
        seen = f"{answers} at the kill, {last} afterwards"
        expect(len(answers) == 1 and last == 200, seen)
        return seen


@case("kill -9 for the supervisor while four clients ask", "the workers end by themselves")
def killed_supervisor(bench: Bench) -> str:
    with bench.serve(bench.models(_MODEL), *_TWO) as server, _clients(server):
        workers = _workers(server)
        os.kill(server.process.pid, signal.SIGKILL)
        began = time.monotonic()
        while any(_runs(pid) for pid in workers) and time.monotonic() - began < 20:
            time.sleep(0.05)
        left = [pid for pid in workers if _runs(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        expect(not left, f"{len(left)} workers are still there after 20 s")
        return f"ended after {time.monotonic() - began:.1f} s"


def _runs(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
