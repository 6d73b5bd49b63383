"""Host names that requests may be for: a web page must not reach the server under a name of its own.

In DNS rebinding a page of `evil.example` has that name lead to 127.0.0.1 after it was loaded. Its browser then takes
the local server for the page's own origin, and shows it every answer. The name stays in `Host`, and tells.
"""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address

_MAX_KNOWN = 256  # remembered: clients mostly name one

EVERY = "*"


class AllowedHosts:
    """The names that are let in. IP addresses and `localhost` always are: no name server leads there."""

    def __init__(self, patterns: Sequence[str] | None) -> None:
        """`patterns`: names, `*.` before one for all under it, `:PORT` behind one for that port alone.

        None lets every name in that has no dot. Such a name is of this machine or its network: a page's own has one.
        """
        self._rules = None if patterns is None else [_split(pattern.lower()) for pattern in patterns]
        self._known: dict[bytes, bool] = {}

    def allow(self, host: bytes) -> bool:
        """Whether requests with this `Host` are let in; b"" for one without."""
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            known = self._known[host] = self._decide(host.decode("latin-1").strip().lower())
        return known

    def expected(self) -> str:
        """The names that are let in, in words."""
        if self._rules is None:
            return "localhost, an IP address or a name of --allowed-hosts"
        named = ", ".join(f"{name}:{port}" if port else name for name, port in self._rules)
        return f"{named}, localhost or an IP address (--allowed-hosts)"

    def _decide(self, host: str) -> bool:
        name, port = _split(host)
        if name == "localhost" or name.endswith(".localhost") or _is_address(name):
            return True
        if self._rules is None:
            return "." not in name
        return any(_matches(name, expected) and wanted in ("", port) for expected, wanted in self._rules)


def allowed_hosts(patterns: Sequence[str], address: str) -> AllowedHosts | None:
    """As the settings have it for a server that listens on `address`; None where every name is let in.

    Without a setting a server on loopback lets in no name that a page could have, and any other server all.
    """
    if patterns:
        return None if EVERY in patterns else AllowedHosts(patterns)
    return AllowedHosts(None) if _is_loopback(address) else None


def _split(host: str) -> tuple[str, str]:
    """The name without the dot that may end it, and the port or ""."""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return name, rest.removeprefix(":")
    name, _, port = host.rpartition(":") if host.count(":") == 1 else (host, "", "")
    return name.removesuffix("."), port


def _matches(name: str, expected: str) -> bool:
    return name.endswith(expected[1:]) if expected.startswith("*.") else name == expected


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    if address.lower() == "localhost":
        return True
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    inside = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return (inside or parsed).is_loopback
