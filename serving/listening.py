"""The sockets that a server listens on, for all and for administration, and the descriptors of its connections."""

import logging
import os
import re
import socket
import stat
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

BACKLOG = 2048  # as uvicorn's
EVERY_ADDRESS = "::"
_CALM_S = 2.0


class TcpAddress(NamedTuple):
    """An IP address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixAddress(NamedTuple):
    """A file."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress

_UNIX = "unix:"
_TCP = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+|localhost):([0-9]{1,5})")
_LONGEST_PATH = 107  # bytes: `sun_path` has 108, and the last is NUL
_OWNER_ONLY = 0o600


def parse_address(text: str) -> Address:
    """`127.0.0.1:8001`, `[::1]:8001`, `localhost:8001` or `unix:/run/baton/admin.sock`; `ValueError`."""
    expected = "expected IP:PORT, such as 127.0.0.1:8001 or [::1]:8001, or unix:PATH"
    if text.startswith(_UNIX):
        path = Path(text.removeprefix(_UNIX))
        if not path.is_absolute() or len(bytes(path)) > _LONGEST_PATH or "\0" in text:
            raise ValueError(f"{expected} with an absolute path of at most {_LONGEST_PATH} bytes")
        return UnixAddress(path)
    found = _TCP.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise ValueError(f"{expected}, and a port from 1 to 65535")
    host = "127.0.0.1" if found[1] == "localhost" else found[1].strip("[]")
    try:
        ip_address(host)
    except ValueError as error:
        raise ValueError(f"{expected} ({error})") from None
    return TcpAddress(host, int(found[2]))


def listen_at(address: Address) -> socket.socket:
    """A socket that listens there; `OSError` where it cannot.

    The file of a Unix socket is the owner's alone. One that a server left behind is replaced; one that a server still
    listens on is not, nor is any other file.
    """
    if isinstance(address, TcpAddress):
        return listen(*address)
    _remove_stale(address.path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(address.path))
        address.path.chmod(_OWNER_ONLY)  # before anybody can connect
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def leave_address(address: Address) -> None:
    """Remove the file of a Unix socket that is listened on no more."""
    if isinstance(address, UnixAddress):
        address.path.unlink(missing_ok=True)


def is_accepted_at(connection: socket.socket, address: Address) -> bool:
    """Whether a connection came by way of this address."""
    if isinstance(address, UnixAddress) or connection.family == socket.AF_UNIX:
        return isinstance(address, UnixAddress) and connection.family == socket.AF_UNIX
    host, port = connection.getsockname()[:2]
    anywhere = ip_address(address.host).is_unspecified
    return bool(port == address.port and (anywhere or ip_address(host) == ip_address(address.host)))


def _remove_stale(path: Path) -> None:
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise FileExistsError(f"{path} is there and is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise FileExistsError(f"another server listens on {path}")


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
