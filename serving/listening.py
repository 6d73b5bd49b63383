"""The socket that a server listens on, and the descriptors that its connections take."""

import logging
import os
import socket
import time
from collections.abc import Callable

BACKLOG = 2048  # as uvicorn's
EVERY_ADDRESS = "::"
_CALM_S = 2.0


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


class Descriptors:
    """Whether this process has a file descriptor left for a connection; a line says when it has none, and has again.

    Event loops differ when there is none: uvloop resets the connections that come, without a word, and asyncio lets
    them wait and logs each second.
    """

    def __init__(self, log: logging.Logger, clock_s: Callable[[], float] = time.monotonic) -> None:
        """`clock_s` is given by tests."""
        self._log, self._clock_s = log, clock_s
        self._lacked_s: float | None = None
        """When one was last missing, until the log has said that they are back."""

    def are_left(self) -> bool:
        """Whether one more can be had now."""
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            self.lack(error)
            return False
        self.have()
        return True

    def lack(self, error: OSError) -> None:
        """One was missing."""
        if self._lacked_s is None:
            self._log.error("new connections wait or are refused until others end: %s", error.strerror)
        self._lacked_s = self._clock_s()

    def have(self) -> None:
        """One was there. At the limit they come and go, so the log waits until none was missing for a while."""
        if self._lacked_s is not None and self._clock_s() - self._lacked_s > _CALM_S:
            self._lacked_s = None
            self._log.info("new connections are answered again")


def url_of(host: str, port: int, *, tls: bool, root_path: str = "") -> str:
    """Where a server that listens there is asked."""
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}{root_path}"
