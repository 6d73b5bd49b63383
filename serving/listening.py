"""The socket that a server listens on."""

import socket

BACKLOG = 2048  # as uvicorn's
EVERY_ADDRESS = "::"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; `OSError` where it cannot.

    At `::` it takes IPv4 as well, which event loops switch off where they make the socket themselves.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == EVERY_ADDRESS and socket.has_dualstack_ipv6()
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
    # Accepted sockets inherit it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(host: str, port: int, *, tls: bool, root_path: str = "") -> str:
    """Where a server that listens there is asked."""
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}{root_path}"
