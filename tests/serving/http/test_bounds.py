"""Sizes and times of a connection, counted without one: pieces of heads, slow requests, answers that nobody reads."""

import asyncio
import socket

import pytest

from serving.http.bounds import (
    MAX_HEAD_BYTES,
    MIN_BYTES_PER_S,
    SWEEP_S,
    HeadBuffer,
    RequestPace,
    UnreadAnswers,
    check_head,
    unread_bytes,
)
from serving.http.refusal import Refused


def test_pieces_of_a_line_wait_until_they_double_what_was_parsed() -> None:
    head = HeadBuffer()
    head.parsed_bytes = 4
    assert [head.take(piece) for piece in (b"a", b"b", b"c", b"d")] == [b"", b"", b"", b"abcd"]


def test_the_end_of_a_line_is_parsed_at_once_with_the_pieces_before_it() -> None:
    head = HeadBuffer()
    head.parsed_bytes = 1000
    assert [head.take(piece) for piece in (b"X: ", b"y\r\n", b"Z")] == [b"", b"X: y\r\n", b""]
    head.clear()
    assert head.take(b"\n") == b"\n"


def test_held_pieces_count_towards_the_limit_of_a_head() -> None:
    head = HeadBuffer()
    head.parsed_bytes = MAX_HEAD_BYTES - 2
    assert head.take(b"xx") == b""
    with pytest.raises(
        Refused, match=f"^head: got {MAX_HEAD_BYTES + 1} bytes or more, expected at most "
    ) as got:
        head.take(b"x")
    assert got.value.status == 431


def test_a_whole_head_is_measured_with_its_separators() -> None:
    fixed = len(b"/path") + len(b"x") + 4
    check_head(b"/path", [(b"x", b"y" * (MAX_HEAD_BYTES - fixed))])
    with pytest.raises(Refused, match=f"got {MAX_HEAD_BYTES + 1} bytes"):
        check_head(b"/path", [(b"x", b"y" * (MAX_HEAD_BYTES - fixed + 1))])


def test_each_kilobyte_earns_a_request_more_time() -> None:
    pace = RequestPace()
    pace.begin(100.0)
    assert pace.fault(0, 130.0, 30.0, stopping=False) is None
    assert pace.fault(2 * MIN_BYTES_PER_S, 132.0, 30.0, stopping=False) is None
    told = pace.fault(2 * MIN_BYTES_PER_S + 1, 133.0, 30.0, stopping=False)
    assert told == (
        f"got {2 * MIN_BYTES_PER_S + 1} bytes of the request in 33 s, expected {MIN_BYTES_PER_S} bytes a second, "
        "and to be at most 30 s behind"
    )


def test_bytes_that_came_fast_earn_no_time_to_stall_in() -> None:
    """49 MB at once would have paid for three hours."""
    pace = RequestPace()
    pace.begin(0.0)
    sent = 49_000_000
    assert pace.fault(sent, 1.0, 30.0, stopping=False) is None
    assert pace.fault(sent + 5, 31.0, 30.0, stopping=False) is None
    assert pace.fault(sent + 10, 31.5, 30.0, stopping=False) is not None


def test_a_body_at_the_least_rate_never_ends_for_its_pace() -> None:
    pace = RequestPace()
    pace.begin(0.0)
    assert all(pace.fault(MIN_BYTES_PER_S * at, float(at), 2.0, stopping=False) is None for at in range(1000))
    half = RequestPace()
    half.begin(0.0)
    faults = [half.fault(MIN_BYTES_PER_S * at // 2, float(at), 2.0, stopping=False) for at in range(10)]
    assert [fault is None for fault in faults] == [True] * 5 + [False] * 5


def test_time_in_which_the_client_waits_for_the_server_is_not_its_own() -> None:
    pace = RequestPace()
    pace.begin(0.0)
    pace.hold(100.0)
    assert pace.fault(0, 129.0, 30.0, stopping=False) is None


def test_a_stopping_server_expects_bytes_from_its_second_check_on() -> None:
    pace = RequestPace()
    pace.begin(0.0)
    assert pace.fault(50, 1.0, 30.0, stopping=False) is None
    pace.expect_more()
    assert pace.fault(50, 2.0, 30.0, stopping=True) is None
    enough = 50 + int(MIN_BYTES_PER_S * SWEEP_S)
    assert pace.fault(enough, 3.0, 30.0, stopping=True) is None
    told = pace.fault(enough + 1, 4.0, 30.0, stopping=True)
    assert told is not None
    assert told.endswith(f"expected {MIN_BYTES_PER_S} bytes a second: the server stops")


def test_a_client_is_stuck_when_the_same_bytes_stay_unread() -> None:
    unread = UnreadAnswers()
    assert not unread.is_stuck(100_000, 0.0, 5.0)
    assert not unread.is_stuck(100_000, 5.0, 5.0)
    assert not unread.is_stuck(60_000, 6.0, 5.0)
    assert unread.is_stuck(60_000, 11.5, 5.0)
    unread.clear()
    assert not unread.is_stuck(900, 20.0, 5.0)


def test_a_client_that_reads_a_byte_a_second_is_stuck_and_one_that_keeps_the_rate_is_not() -> None:
    unread = UnreadAnswers()
    assert [unread.is_stuck(100_000 - at, float(at), 5.0) for at in range(8)] == [False] * 6 + [True] * 2
    unread = UnreadAnswers()
    assert not any(unread.is_stuck(10_000_000 - MIN_BYTES_PER_S * at, float(at), 5.0) for at in range(500))


def test_an_answer_that_is_written_meanwhile_is_no_reading() -> None:
    unread = UnreadAnswers()
    assert not unread.is_stuck(100_000, 0.0, 5.0)
    assert not unread.is_stuck(900_000, 4.0, 5.0)
    assert unread.is_stuck(900_000, 6.0, 5.0)


def test_bytes_that_the_kernel_holds_are_unread_too() -> None:
    async def scene() -> None:
        ours, theirs = socket.socketpair()
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        transport.write(bytes(10_000))
        assert transport.get_write_buffer_size() == 0
        assert unread_bytes(transport) >= 10_000
        theirs.recv(20_000)
        assert unread_bytes(transport) == 0
        transport.close()
        theirs.close()

    asyncio.run(scene())
