"""A worker's slot counts its connections, and gives back those that the worker did not take."""

import socket

from serving.workers.slot import WorkerSlot


def _connection() -> socket.socket:
    client, connection = socket.socketpair()
    client.close()
    return connection


def test_a_slot_counts_dealt_connections_less_those_that_the_worker_closed() -> None:
    slot = WorkerSlot()
    assert all(slot.deal(_connection()) for _ in range(3))
    slot.closed = 1
    assert slot.open == 2
    for connection in slot.leave():
        connection.close()


def test_a_worker_too_far_behind_takes_no_more_and_the_connection_stays_open() -> None:
    slot = WorkerSlot()
    while slot.deal(refused := _connection()):
        pass
    assert refused.fileno() >= 0
    refused.close()
    untaken = slot.leave()
    assert len(untaken) == slot.dealt
    for connection in untaken:
        connection.close()


def test_connections_that_a_silent_worker_has_not_taken_are_taken_back_and_it_may_go_on() -> None:
    slot = WorkerSlot()
    assert all(slot.deal(_connection()) for _ in range(2))
    untaken = slot.take_back()
    assert (len(untaken), slot.open) == (2, 0)
    assert slot.deal(_connection())
    for connection in (*untaken, *slot.leave()):
        connection.close()
    assert slot.take_back() == []


def test_a_sealed_slot_ends_the_workers_stream_after_the_last_connection() -> None:
    slot = WorkerSlot()
    slot.deal(_connection())
    slot.seal()
    sign, descriptors, _, _ = socket.recv_fds(slot.theirs, 1, 1)
    assert (sign, len(descriptors)) == (b"c", 1)
    socket.socket(fileno=descriptors[0]).close()
    assert socket.recv_fds(slot.theirs, 1, 1)[0] == b""
    assert slot.leave() == []
