"""The listening socket and its address, over IPv4 and IPv6."""

import socket

import pytest

from serving.listening import BACKLOG, listen, url_of


def _ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _ipv6(), reason="no IPv6 here")


def test_accepted_connections_send_small_answers_at_once() -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert BACKLOG == 2048


@needs_ipv6
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_every_address_takes_both_families(host: str) -> None:
    with listen("::", 0) as listening:
        socket.create_connection((host, listening.getsockname()[1])).close()


def test_a_port_that_is_taken_is_an_error() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "tls", "root_path", "url"),
    [
        ("127.0.0.1", False, "", "http://127.0.0.1:8000"),
        ("::1", False, "", "http://[::1]:8000"),
        ("example.com", True, "/baton", "https://example.com:8000/baton"),
    ],
)
def test_the_url_has_scheme_host_and_path(host: str, tls: bool, root_path: str, url: str) -> None:
    assert url_of(host, 8000, tls=tls, root_path=root_path) == url
