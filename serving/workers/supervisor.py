"""Starts the workers, replaces one that ends, and stops them all; it answers no request itself."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from inference.runtime.machine import available_cpus
from serving.listening import leave_address, listen, listen_at, parse_address, url_of
from serving.observe.logs import set_up_logging
from serving.settings import Settings
from serving.workers.coordinator import Coordinator
from serving.workers.counts import create_counts
from serving.workers.listener import Listener
from serving.workers.roster import Roster, Worker
from serving.workers.slot import WorkerSlot
from serving.workers.watch import LOOK_S, Watch

log = logging.getLogger("baton.supervisor")

STEADY_S = 60.0
"""A worker that lived so long did not fail at its start, so its successor waits only the first delay."""
_FIRST_DELAY_S, _LAST_DELAY_S = 0.25, 30.0  # doubled with each failure: a broken model must not burn a CPU
_MARGIN_S = 5.0  # for what a worker does after its last answer: queues, threads and files are closed
_KILLED_S = 5.0  # for the kernel to end a process; one that waits for a dead disk does not end


class Ended(NamedTuple):
    """How a worker's process ended: its status (below 0: the signal), whether it ever served, and for how long."""

    status: int
    was_up: bool
    lived_s: float
    reason: str
    """The worker's own, or why it was ended by force; "" where nobody knows."""

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        if self.status >= 0:
            return f"ended with status {self.status}{reason}"
        return f"was ended by {signal.Signals(-self.status).name}{reason}"


class Supervisor:
    """Keeps `settings.workers` processes behind one listening socket."""

    def __init__(
        self, settings: Settings, arguments: Sequence[str], listening: socket.socket, *more: socket.socket
    ) -> None:
        """`arguments`: of the command line, which each worker reads again. `more`: sockets that are listened on too."""
        self._settings, self._arguments = settings, arguments
        self._roster = Roster(settings.workers, strict=settings.strict_readiness)
        self._coordinator = Coordinator(self._roster, self._changed)
        self._listener = Listener(listening, self._slots)
        self._listeners = [self._listener, *(Listener(each, self._slots) for each in more)]
        self._leave_s = settings.drain_delay_s + settings.shutdown_timeout_s + _MARGIN_S
        self._watch = Watch(self._roster, settings.worker_timeout_s, self._leave_s, self._give_up)
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._counts: dict[int, int] = {}
        """By worker's number, the descriptor of the memory of its counts: one process after another has it."""
        self._begun = False
        """Every worker has been up: from now on one that ends is replaced."""
        self._stopping = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None
        self._status = 0

    async def run(self) -> int:
        """Serve until a signal, or until the start fails; the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        beside = [asyncio.ensure_future(work) for work in (self._poll(), self._watch_over())]
        await asyncio.gather(*(self._keep(number + 1) for number in range(self._settings.workers)))
        for task in beside:
            task.cancel()
        return self._status

    async def _poll(self) -> None:
        while self._settings.poll_s:
            await asyncio.sleep(self._settings.poll_s)
            try:
                await self._coordinator.refresh()
            except Exception:  # the next look may succeed, so the loop must not end here
                log.exception("having the folder of models looked at failed, and is tried again")

    async def _watch_over(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                if self._watch.look():
                    self._coordinator.announce()
            except Exception:
                log.exception("looking after the workers failed, and is tried again")

    def _give_up(self, worker: Worker, reason: str) -> None:
        """End a worker by force: its connections that it has not taken go to others."""
        if worker.given_up:
            return
        worker.given_up = reason
        log.error("worker %d is ended by force: %s", worker.number, reason)
        worker.slot.seal()
        process = self._processes.get(worker.number)
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        worker.writer.close()  # a process that waits for a dead disk keeps its end open
        self._listener.take_back(worker.slot.take_back())

    async def _keep(self, number: int) -> None:
        """One worker after another, until all stop."""
        failures = 0
        while True:
            ended = await self._run_worker(number)
            if self._stopping.is_set():
                if ended.was_up and ended.status:
                    log.error("worker %d %s while it stopped", number, ended)
                    self._status = self._status or 1
                return
            if not self._begun:
                self._fail(number, ended)
                return
            self._roster.restarts += 1
            failures = 0 if ended.lived_s > STEADY_S or not ended.status else failures + 1
            # The first end of a worker that served may be anybody's: only one that ends again and again is put off.
            at_once = ended.was_up and failures <= 1
            delay_s = 0.0 if at_once else min(_LAST_DELAY_S, _FIRST_DELAY_S * 2**failures)
            level = logging.ERROR if ended.status else logging.INFO
            log.log(level, "worker %d %s, another is started in %g s", number, ended, delay_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_s)
                return

    async def _run_worker(self, number: int) -> Ended:
        """A worker from its start to its end."""
        began = time.monotonic()
        try:
            process, reader, writer, slot = await self._begin(number)
        except (
            OSError,
            RuntimeError,
        ) as error:  # no process, descriptor or thread is left: later there may be
            return Ended(1, was_up=False, lived_s=0.0, reason=f"cannot start a process: {error}")
        self._processes[number] = process
        if self._stopping.is_set():
            process.terminate()
        worker = Worker(number, writer, slot, process.pid)
        await self._coordinator.follow(worker, reader)
        status = await self._wait(number, process)
        del self._processes[number]
        self._listener.take_back(slot.leave())
        refusal = worker.refusal.message if worker.refusal is not None else ""
        return Ended(status, worker.was_up, time.monotonic() - began, worker.given_up or refusal)

    async def _begin(
        self, number: int
    ) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.StreamWriter, WorkerSlot]:
        """Start a process with its two sockets; `OSError` or `RuntimeError` leave nothing behind."""
        with contextlib.ExitStack() as undo:
            counts = self._counts.get(number)
            if counts is None:
                counts = self._counts[number] = create_counts(number)
            ours, theirs = socket.socketpair()
            undo.callback(ours.close)
            with theirs:
                slot = WorkerSlot()
                undo.callback(slot.leave)
                process = await self._spawn(number, theirs.fileno(), slot.theirs.fileno(), counts)
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            undo.pop_all()
        return process, reader, writer, slot

    async def _wait(self, number: int, process: asyncio.subprocess.Process) -> int:
        """The status of a process that has closed its socket; by force where it does not end."""
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(process.wait(), self._leave_s)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(process.wait(), _KILLED_S)
        log.error("worker %d, process %d, cannot be ended: it waits for the kernel", number, process.pid)
        return -signal.SIGKILL

    async def _spawn(self, number: int, control: int, deals: int, counts: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            # -P: nothing is imported from the folder that the command happens to be given in.
            sys.executable, "-P", "-m", "serving.workers",
            *map(str, (control, deals, counts, number, self._settings.workers)), *self._arguments,
            pass_fds=(control, deals, counts),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            process_group=0,  # Ctrl-C in a terminal reaches the supervisor alone, which hands it on once
        )  # fmt: skip

    def _changed(self) -> None:
        """A worker has come, is leaving or has gone."""
        if len(self._roster.up) == self._settings.workers:
            self._begun = True
        for worker in self._roster:
            if worker.stuck and not worker.leaving:
                self._replace(worker)
            if worker.leaving and not self._stopping.is_set():
                worker.slot.seal()
            if worker.silent:
                self._listener.take_back(worker.slot.take_back())
        for listener in self._listeners:
            listener.look()

    def _replace(self, worker: Worker) -> None:
        """End a worker as a whole server is ended: its other requests are answered."""
        log.error("worker %d is replaced: %s", worker.number, worker.stuck)
        worker.leaving_s = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            self._processes[worker.number].terminate()

    def _slots(self) -> Iterator[WorkerSlot]:
        """A worker that stops alone is dealt no more; when all stop, they take the last connections."""
        for worker in self._roster.takers(leaving=self._stopping.is_set()):
            yield worker.slot

    def _fail(self, number: int, ended: Ended) -> None:
        """A worker did not come up, so the server does not start."""
        self._status = ended.status if ended.status > 0 else 1
        print(f"baton serve: {ended.reason or f'worker {number} {ended} before it served'}", file=sys.stderr)
        self._stopping.set()
        self._send(signal.SIGTERM)
        self._closing = asyncio.ensure_future(self._close(0.0))

    def _stop(self, number: signal.Signals) -> None:
        """The first signal is handed on and the listener closed in time; the second ends everything at once."""
        if self._stopping.is_set():
            self._send(signal.SIGKILL)
            os._exit(128 + number)
        self._stopping.set()
        self._send(signal.SIGTERM)
        for worker in self._roster:  # from now on their time runs, also of one that hears no signal
            worker.leaving_s = worker.leaving_s or time.monotonic()
        self._closing = asyncio.ensure_future(self._close(self._settings.drain_delay_s))

    async def _close(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        log.info("draining: no new connections, requests under way are finished")
        await asyncio.gather(*(listener.close() for listener in self._listeners))
        if self._settings.admin_listen:
            leave_address(parse_address(self._settings.admin_listen))
        for worker in self._roster:
            worker.slot.seal()

    def _send(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)


def supervise(settings: Settings, arguments: Sequence[str]) -> int:
    """Serve with several processes until a signal; the exit status."""
    cpus = available_cpus()
    if settings.workers > cpus:
        return _refuse(
            f"--workers: got {settings.workers}, expected at most {cpus}: each takes a CPU of its own"
        )
    try:
        listening = listen(settings.host, settings.port)
    except OSError as error:
        return _refuse(f"--host {settings.host} --port {settings.port}: {error}")
    more: list[socket.socket] = []
    if settings.admin_listen:
        try:
            more.append(listen_at(parse_address(settings.admin_listen)))
        except OSError as error:
            listening.close()
            return _refuse(f"--admin-listen {settings.admin_listen}: {error}")
    set_up_logging(settings.log_level, settings.log_format, "supervisor")
    for line in settings.deprecations():
        log.warning("%s", line)
    host, port = listening.getsockname()[:2]
    url = url_of(host, port, tls=settings.tls_cert is not None, root_path=settings.root_path)
    log.info("%d workers on %s", settings.workers, url)
    if more:
        log.info("administration on %s", settings.admin_listen)

    async def run() -> int:
        return await Supervisor(settings, arguments, listening, *more).run()

    return asyncio.run(run())


def _refuse(message: str) -> int:
    print(f"baton serve: {message}", file=sys.stderr)
    return 2
