"""Addresses that are listened to: IPv4 and IPv6 at once, and how one is written."""

import errno
import json
import logging
import os
import socket
from pathlib import Path

import httpx
import pytest

from serving.listening import (
    Address,
    Descriptors,
    TcpAddress,
    UnixAddress,
    is_accepted_at,
    leave_address,
    listen,
    listen_at,
    parse_address,
    url_of,
)
from tests.bundles import sum_graph, write_bare
from tests.serving.protocol.wire import SUM
from tests.serving.servers import start

INFER = "/v2/models/sum/infer"


def test_a_process_without_descriptors_says_so_once_and_once_when_it_has_some(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = [0.0]
    descriptors = Descriptors(logging.getLogger("baton"), lambda: now_s[0])
    assert descriptors.are_left()

    def none_left(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with caplog.at_level("INFO", "baton"):
        for now_s[0] in (1.0, 2.0, 3.0):  # they come and go
            with monkeypatch.context() as patch:
                patch.setattr(os, "open", none_left)
                assert not descriptors.are_left()
            assert descriptors.are_left()
        for now_s[0] in (4.0, 6.0, 8.0):
            assert descriptors.are_left()
    assert [record.message for record in caplog.records] == [
        "new connections wait or are refused until others end: Too many open files",
        "new connections are answered again",
    ]


def needs_ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")


@pytest.mark.slow
def test_two_colons_listen_to_ipv6_and_ipv4(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    needs_ipv6()
    write_bare(tmp_path, "sum", sum_graph())
    with caplog.at_level("INFO", "baton"), start(models=tmp_path, host="::") as server:
        port = server.servers[0].sockets[0].getsockname()[1]
        for host in ("127.0.0.1", "[::1]"):
            answer = httpx.post(f"http://{host}:{port}{INFER}", content=json.dumps(SUM))
            assert answer.status_code == 200
        assert f"serving on http://[::]:{port}" in caplog.text


def test_workers_listen_to_both_as_well() -> None:
    needs_ipv6()
    with listen("::", 0) as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=5).close()
    with listen("::1", 0) as listener, pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=5)


def test_an_address_is_logged_as_it_is_asked() -> None:
    assert url_of("::", 80, tls=True, root_path="/x") == "https://[::]:80/x"
    assert url_of("0.0.0.0", 8000, tls=False) == "http://0.0.0.0:8000"


def test_accepted_connections_send_small_answers_at_once() -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken_is_an_error() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8001", TcpAddress("127.0.0.1", 8001)),
        ("localhost:8001", TcpAddress("127.0.0.1", 8001)),
        ("[::1]:8001", TcpAddress("::1", 8001)),
        ("0.0.0.0:1", TcpAddress("0.0.0.0", 1)),
        ("unix:/run/baton/admin.sock", UnixAddress(Path("/run/baton/admin.sock"))),
    ],
)
def test_an_address_is_read_as_it_is_written(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text.replace("localhost", "127.0.0.1")


@pytest.mark.parametrize(
    "text",
    [
        "8001",
        ":8001",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.300:8001",
        "::1:8001",
        "models.example.com:8001",
        "unix:",
        "unix:admin.sock",
        f"unix:/{'x' * 107}",
        "unix:/a\0b",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected IP:PORT"):
        parse_address(text)


def test_the_file_of_a_socket_is_its_owners_and_one_that_was_left_is_replaced(tmp_path: Path) -> None:
    address = UnixAddress(tmp_path / "admin.sock")
    with listen_at(address), pytest.raises(OSError, match="another server listens on"):
        listen_at(address)
    assert address.path.is_socket()  # left behind, as by a server that was killed
    with listen_at(address) as listening, socket.socket(socket.AF_UNIX) as client:
        assert address.path.stat().st_mode & 0o777 == 0o600
        client.connect(str(address.path))
        connection, _ = listening.accept()
        with connection:
            assert is_accepted_at(connection, address)
            assert not is_accepted_at(connection, TcpAddress("127.0.0.1", 1))
    leave_address(address)
    assert not address.path.exists()
    leave_address(address)


def test_no_other_file_is_replaced_by_a_socket(tmp_path: Path) -> None:
    file = tmp_path / "precious"
    file.write_text("data")
    with pytest.raises(OSError, match="is there and is no socket"):
        listen_at(UnixAddress(file))
    assert file.read_text() == "data"


def test_a_connection_tells_by_which_address_it_came() -> None:
    with listen_at(TcpAddress("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), listening.accept()[0] as connection:
            for host, number, came in (
                ("127.0.0.1", port, True),
                ("0.0.0.0", port, True),
                ("::", port, True),
                ("127.0.0.1", port - 1, False),
                ("127.0.0.2", port, False),
                ("::1", port, False),
            ):
                assert is_accepted_at(connection, TcpAddress(host, number)) is came
            assert not is_accepted_at(connection, UnixAddress(Path("/x")))
