"""The supervisor keeps looking at the folder of models, and says how a worker ended."""

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from inference.runtime.machine import available_cpus
from serving.listening import listen
from serving.settings import Settings
from serving.workers.roster import Worker
from serving.workers.supervisor import Ended, Supervisor, supervise
from tests.serving.workers.stubs import until


def test_the_supervisor_has_the_folder_looked_at_again_though_a_look_failed() -> None:
    async def story() -> None:
        looks = 0

        async def refresh() -> None:
            nonlocal looks
            looks += 1
            raise TypeError("a bug")

        with listen("127.0.0.1", 0) as listening:
            supervisor = Supervisor(Settings(poll_s=0.001), [], listening)
            supervisor._coordinator.refresh = refresh  # type: ignore[method-assign]
            polling = asyncio.ensure_future(supervisor._poll())
            await until(lambda: looks == 3 or polling.done())
            assert not polling.done()
            polling.cancel()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("status", "refusal", "text"),
    [
        (1, "", "ended with status 1"),
        (2, "--models: got 'x'", "ended with status 2 (--models: got 'x')"),
        (-signal.SIGKILL, "", "was ended by SIGKILL"),
    ],
)
def test_the_end_of_a_worker_is_told_by_its_status_or_signal(status: int, refusal: str, text: str) -> None:
    assert str(Ended(status, was_up=True, lived_s=1.0, reason=refusal)) == text


def test_more_workers_than_cpus_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    cpus = available_cpus()
    assert supervise(Settings(workers=cpus + 1), []) == 2
    expected = f"--workers: got {cpus + 1}, expected at most {cpus}: each takes a CPU of its own"
    assert expected in capsys.readouterr().err


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _supervising(test: Callable[[Supervisor], Awaitable[None]], settings: Settings | None = None) -> None:
    async def story() -> None:
        with listen("127.0.0.1", 0) as listening:
            await test(Supervisor(settings or Settings(), [], listening))

    asyncio.run(story())


@pytest.mark.parametrize(
    "failure", [OSError(errno.EAGAIN, "no more processes"), RuntimeError("can't start new thread")]
)
def test_a_process_that_cannot_be_started_leaves_no_descriptor_behind(failure: Exception) -> None:
    async def test(supervisor: Supervisor) -> None:
        async def spawn(*_: int) -> None:
            raise failure

        supervisor._spawn = spawn  # type: ignore[assignment, method-assign]
        ended = await supervisor._run_worker(1)
        assert (ended.status, ended.was_up) == (1, False)
        assert str(failure) in str(ended)
        before = _open_files()
        for _ in range(3):
            await supervisor._run_worker(1)
        await asyncio.sleep(0)
        assert _open_files() == before

    _supervising(test)


def test_a_supervisor_without_descriptors_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(supervisor: Supervisor) -> None:
        tries: list[int] = []

        async def begin(number: int) -> None:
            tries.append(number)
            if len(tries) == 3:
                supervisor._stopping.set()
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr("serving.workers.supervisor._FIRST_DELAY_S", 0.001)
        supervisor._begun = True
        supervisor._begin = begin  # type: ignore[assignment, method-assign]
        await asyncio.wait_for(supervisor._keep(2), 10)
        assert tries == [2, 2, 2]

    _supervising(test)


def test_a_worker_that_served_is_replaced_at_once_and_one_that_ends_again_is_put_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("serving.workers.supervisor._FIRST_DELAY_S", 0.001)

    async def test(supervisor: Supervisor) -> None:
        ends = iter([Ended(-9, was_up=True, lived_s=100.0, reason=""), *[Ended(-9, True, 0.1, "")] * 3])

        async def run(_: int) -> Ended:
            ended = next(ends, None)
            if ended is None:
                supervisor._stopping.set()
            return ended or Ended(0, was_up=True, lived_s=1.0, reason="")

        supervisor._begun = True
        supervisor._run_worker = run  # type: ignore[assignment, method-assign]
        await asyncio.wait_for(supervisor._keep(1), 10)

    _supervising(test)
    assert [message.rpartition(" in ")[2] for message in caplog.messages] == [
        "0 s",
        "0 s",
        "0.004 s",
        "0.008 s",
    ]


def test_a_worker_that_is_given_up_is_killed_and_its_connections_go_to_others() -> None:
    async def test(supervisor: Supervisor) -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(600)")
        os.kill(process.pid, signal.SIGSTOP)
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        hung = Worker(1, writer, pid=process.pid)
        following = asyncio.ensure_future(supervisor._coordinator.follow(hung, reader))
        await asyncio.sleep(0)
        supervisor._processes[1] = process
        client, connection = socket.socketpair()
        hung.slot.deal(connection)
        for _ in range(2):  # the second time says nothing new
            supervisor._give_up(hung, "it hangs")
        assert await asyncio.wait_for(process.wait(), 10) == -signal.SIGKILL
        await asyncio.wait_for(following, 10)
        assert len(supervisor._listener._waiting) == 1
        await supervisor._listener.close()
        for each in (client, theirs):
            each.close()
        hung.slot.leave()

    _supervising(test)


def test_a_process_that_closed_its_socket_and_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.workers.supervisor._MARGIN_S", 0.05)

    async def test(supervisor: Supervisor) -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(600)")
        assert await asyncio.wait_for(supervisor._wait(1, process), 10) == -signal.SIGKILL

    _supervising(test, Settings(shutdown_timeout_s=0.05))
