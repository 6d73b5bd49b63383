"""The listener deals each connection to the worker that has the fewest, and loses none."""

import asyncio
import errno
import logging
import socket

import pytest

from serving.listening import listen
from serving.workers.listener import Listener
from serving.workers.slot import WorkerSlot
from tests.serving.workers.stubs import until


def _connect(listening: socket.socket) -> socket.socket:
    return socket.create_connection(listening.getsockname())


def _taken(slot: WorkerSlot) -> socket.socket:
    return socket.socket(fileno=socket.recv_fds(slot.theirs, 1, 1)[1][0])


def test_a_connection_goes_to_the_worker_that_has_the_fewest() -> None:
    async def story() -> None:
        first, second = WorkerSlot(), WorkerSlot()
        listening = listen("127.0.0.1", 0)
        listener = Listener(listening, lambda: (first, second))
        listener.look()
        clients = [_connect(listening) for _ in range(4)]
        await until(lambda: first.dealt + second.dealt == 4)
        assert (first.open, second.open) == (2, 2)
        second.closed = 2
        clients += [_connect(listening) for _ in range(2)]
        await until(lambda: first.dealt + second.dealt == 6)
        assert (first.open, second.open) == (2, 2)
        await listener.close()
        for socket_ in (*clients, *first.leave(), *second.leave()):
            socket_.close()

    asyncio.run(story())


def test_connections_that_a_dead_worker_did_not_take_are_dealt_to_another() -> None:
    async def story() -> None:
        dead, alive = WorkerSlot(), WorkerSlot()
        slots = [dead]
        listening = listen("127.0.0.1", 0)
        listener = Listener(listening, lambda: slots)
        listener.look()
        client = _connect(listening)
        client.sendall(b"hello")
        await until(lambda: dead.dealt == 1)
        slots.clear()
        listener.take_back(dead.leave())
        slots.append(alive)
        listener.look()
        assert alive.dealt == 1
        with _taken(alive) as connection:
            assert connection.recv(5) == b"hello"
        client.close()
        await listener.close()
        alive.leave()

    asyncio.run(story())


def test_a_listener_that_closes_deals_the_backlog_first() -> None:
    async def story() -> None:
        slot = WorkerSlot()
        listening = listen("127.0.0.1", 0)
        listener = Listener(listening, lambda: (slot,))
        clients = [_connect(listening) for _ in range(3)]
        await listener.close()
        slot.seal()
        for _ in clients:
            _taken(slot).close()
        assert socket.recv_fds(slot.theirs, 1, 1)[0] == b""
        for client in clients:
            client.close()
        slot.leave()

    asyncio.run(story())


def test_a_process_without_descriptors_says_so_once_and_accepts_when_it_has_some(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Full:
        """A listening socket of a process at its limit."""

        def __init__(self, listening: socket.socket) -> None:
            self.listening, self.tries = listening, 0

        def setblocking(self, flag: bool) -> None:
            self.listening.setblocking(flag)

        def fileno(self) -> int:
            return self.listening.fileno()

        def close(self) -> None:
            self.listening.close()

        def accept(self) -> tuple[socket.socket, object]:
            self.tries += 1
            if self.tries <= 3:
                raise OSError(errno.EMFILE, "Too many open files")
            return self.listening.accept()

    async def story() -> None:
        slot = WorkerSlot()
        listening = Full(listen("127.0.0.1", 0))
        listener = Listener(listening, lambda: (slot,))  # type: ignore[arg-type]
        listener.look()
        client = _connect(listening.listening)
        await until(lambda: slot.dealt == 1)
        client.close()
        await listener.close()
        for connection in slot.leave():
            connection.close()

    with caplog.at_level(logging.INFO, "baton.supervisor"):
        asyncio.run(story())
    assert caplog.text.count("new connections wait or are refused until others end: Too many open files") == 1


def test_connections_that_no_worker_takes_are_closed_at_the_end_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("serving.workers.listener._LAST_TRIES", 2)

    async def story() -> None:
        listening = listen("127.0.0.1", 0)
        listener = Listener(listening, tuple)
        with _connect(listening) as client:
            with caplog.at_level(logging.ERROR, "baton.supervisor"):
                await listener.close()
            assert client.recv(1) == b""

    asyncio.run(story())
    assert "1 connections are closed: no worker took them" in caplog.text
