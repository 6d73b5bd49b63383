"""Addresses that are listened to: IPv4 and IPv6 at once, and how one is written."""

import errno
import json
import logging
import os
import socket
from pathlib import Path

import httpx
import pytest

from serving.listening import Descriptors, listen, url_of
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
