"""Workers that hang, die or run out of something: the others answer, and what was counted stays."""

import json
import os
import resource
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from onnx.parser import parse_model

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
    short=False,
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
                unready += not _is_ready(server) or server.metric("baton_ready") != 1
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


@case(
    "kill -9 for both workers at once",
    "both are back; connections meanwhile wait and are answered",
    short=False,
)
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
    short=False,
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
    "`load` while a worker is stopped, then one more",
    "an answer that names the worker within 10 s; then 200",
    short=False,
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


@case(
    "kill -9 for a worker in the middle of `load`",
    "an answer at once, and the load lock is free",
    short=False,
)
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


@case("kill -9 for the supervisor while four clients ask", "the workers end by themselves", short=False)
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


_LOOP = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N, 3] x, int64 most) => (float[N, 3] y) {
  on = Constant <value = bool {1}> ()
  y = Loop(most, on, x) <body = step (int64 i, bool c, float[N, 3] v) => (bool more, float[N, 3] w) {
    more = Identity(c)
    w = Neg(v)
  }>
}"""


def _loop(bench: Bench) -> Path:
    """A model that turns as often as it is told."""
    folder = bench.models() / "loop" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(parse_model(_LOOP).SerializeToString())
    return folder.parents[1]


def _turn(server: Server, times: int, timeout_s: float) -> int:
    """The status of a request that turns so often; 0 where no answer came."""
    inputs = [
        {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]},
        {"name": "most", "shape": [], "datatype": "INT64", "data": [times]},
    ]
    with suppress(OSError, HTTPException):
        return server.post("/v2/models/loop/infer", {"inputs": inputs}, timeout_s=timeout_s).status
    return 0


_ENDLESS = 10**12
_SOON = {"BATON_RUN_TIMEOUT_S": "2", "BATON_SHUTDOWN_TIMEOUT_S": "1", "BATON_INSTANCES": "1"}


@case(
    "a run of ten days in one of two workers, with --run-timeout-s 2",
    "that worker is replaced; the other answers",
    short=False,
)
def stuck_run(bench: Bench) -> str:
    with bench.serve(_loop(bench), *_TWO, env=_SOON) as server:
        server.wait(lambda: _two_answer(server), 30)
        before = set(_workers(server))
        asking = threading.Thread(target=_turn, args=(server, _ENDLESS, 60.0), daemon=True)
        asking.start()
        began = time.monotonic()
        replaced = server.wait(lambda: bool(before - set(_workers(server))), 30)
        took_s = time.monotonic() - began
        statuses = Counter(_turn(server, 1, 5.0) for _ in range(20))
        back = server.wait(lambda: _two_answer(server), 30)
        seen = f"replaced: {replaced} after {took_s:.1f} s; 20 requests then: {dict(statuses)}"
        expect(replaced and back and set(statuses) == {200}, seen)
        return seen


@case("a run of ten days in a server of one process, with --run-timeout-s 2", "liveness says so, a line too")
def stuck_run_in_one_process(bench: Bench) -> str:
    with bench.serve(_loop(bench), env=_SOON) as server:
        alive = server.get("/v2/health/live").status
        threading.Thread(target=_turn, args=(server, _ENDLESS, 60.0), daemon=True).start()
        dead = server.wait(lambda: server.get("/v2/health/live").status == 503, 15)
        said = server.log().count("--run-timeout-s")
        seen = f"liveness {alive}, then 503: {dead}; {said} lines"
        expect(alive == 200 and dead and said == 1, seen)
        return seen


@contextmanager
def _few_descriptors(pids: list[int], more: int) -> Iterator[None]:
    """Each process may open so many more than it has."""
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    for pid, (_, hard) in limits.items():
        has = max(int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(3, has + more), hard))
    try:
        yield
    finally:
        for pid, limit in limits.items():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)


def _out_of_descriptors(server: Server, lines: int) -> str:
    """Hold more connections than there are descriptors; who had one is answered, and afterwards everybody."""
    with ExitStack() as stack:
        kept = HTTPConnection("127.0.0.1", server.port, timeout=10)
        stack.callback(kept.close)
        kept.request("GET", "/v2/health/live")
        kept.getresponse().read()
        with _few_descriptors(server.pids(), 5), ExitStack() as held:
            for _ in range(60):
                held.enter_context(server.connect())
            time.sleep(2.5)
            statuses = []
            for _ in range(5):
                kept.request("POST", _PREDICT, _BODY, _JSON)
                answer = kept.getresponse()
                answer.read()
                statuses.append(answer.status)
            held.close()
            back = server.wait(lambda: _answer(server, 2.0) == 200, 15)
        said = [line for line in server.log().splitlines() if "ERROR" in line or "Traceback" in line]
        seen = f"kept connection {statuses}; back: {back}; {len(said)} lines of errors"
        expect(statuses == [200] * 5 and back and 1 <= len(said) <= lines, f"{seen}: {' '.join(said)[:200]}")
        return seen


@case(
    "60 connections for one process that may open 5 more files",
    "one line; the kept connection is answered; it recovers",
)
def descriptors_of_one_process(bench: Bench) -> str:
    with bench.serve(bench.models(_MODEL)) as server:
        return _out_of_descriptors(server, 1)


@case(
    "60 connections for two workers and a supervisor that may open 5 more files",
    "a line each; the kept one is answered; it recovers",
)
def descriptors_of_workers(bench: Bench) -> str:
    with bench.serve(bench.models(_MODEL), *_TWO) as server:
        server.wait(lambda: _two_answer(server), 30)
        return _out_of_descriptors(server, 3)


@case("a worker is killed while the supervisor may open no more files", "replaced when it may", short=False)
def descriptors_for_a_successor(bench: Bench) -> str:
    with bench.serve(bench.models(_MODEL), *_TWO) as server:
        server.wait(lambda: _two_answer(server), 30)
        with _few_descriptors([server.process.pid], -1000):
            killed = _workers(server)[0]
            os.kill(killed, signal.SIGKILL)
            time.sleep(1.5)
            status = _answer(server, 1.0)
        back = server.wait(lambda: _two_answer(server), 30)
        seen = f"a request meanwhile: {status}; two workers again: {back}"
        expect(back and status in (0, 200), seen)
        return seen
