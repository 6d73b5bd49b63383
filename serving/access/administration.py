"""Who may load and unload: where they ask, for which page, and with which token.

A wrong token is answered late, and a right one at once, however many wrong ones wait.
"""

import asyncio
import secrets
import time
from collections.abc import Collection, Mapping

from pydantic import SecretStr

from inference.errors import Forbidden, LimitExceeded, Unauthenticated
from serving.access.bearer import bearer_token
from serving.access.refusals import Refusals
from serving.listening import Address, UnixAddress

FIRST_WAIT_S, LAST_WAIT_S = 0.05, 1.0
"""Of a wrong token: doubled with each that came lately, from whatever address."""
_FORGOTTEN_S = 10.0  # one wrong token after so long
_MOST_RECENT = 8.0
MAX_WAITING = 64
"""Wrong tokens whose answers wait at once; more are answered 429."""
_HOW = "expected Authorization: Bearer and the admin token"


class Administration:
    """Admits requests that change or disclose the server's own state."""

    def __init__(
        self,
        token: SecretStr | None,
        address: Address | None,
        origins: Collection[str],
        refusals: Refusals,
    ) -> None:
        """`address`: of its own listener, None where the port of all others answers. `origins`: of trusted pages."""
        self._token = None if token is None else token.get_secret_value().encode()
        self._address, self._refusals = address, refusals
        self._origins = frozenset(origins)
        self._waiting = 0
        self._recent, self._recent_at = 0.0, time.monotonic()

    @property
    def has_token(self) -> bool:
        """Whether load and unload ask for one."""
        return self._token is not None

    def check_listener(self, arrived: Address | None, client: str) -> None:
        """`Forbidden` unless the request came by the listener of administration; `arrived`: the one that it came by."""
        if self._address is not None and arrived is None:
            message = "administration: not on this port, expected the address of --admin-listen"
            self._refusals.note("admin", message, client)
            raise Forbidden(message)

    async def admit(self, headers: Mapping[bytes, bytes], arrived: Address | None, client: str) -> None:
        """Return for a request that may load and unload; `Forbidden`, or `Unauthenticated` after a while."""
        self.check_listener(arrived, client)
        self._check_origin(headers, client)
        if self._token is None:
            if isinstance(arrived, UnixAddress):
                return  # whoever can connect may: the file's mode says who that is
            raise Forbidden("administration is off: no admin token is set")
        given = bearer_token(headers)
        if given is not None and secrets.compare_digest(given, self._token):
            return
        wrong = given is not None
        message = f"admin token: got a wrong one, {_HOW}" if wrong else f"admin token: missing, {_HOW}"
        self._refusals.note("admin", message, client)
        if wrong:
            await self._wait()
        raise Unauthenticated(message, wrong=wrong)

    async def _wait(self) -> None:
        now = time.monotonic()
        recent = max(0.0, self._recent - (now - self._recent_at) / _FORGOTTEN_S)
        self._recent, self._recent_at = min(_MOST_RECENT, recent + 1), now
        if self._waiting >= MAX_WAITING:
            raise LimitExceeded(
                f"admin token: {MAX_WAITING} requests with a wrong one wait already", LAST_WAIT_S
            )
        wait_s = min(LAST_WAIT_S, FIRST_WAIT_S * 2**recent)
        self._waiting += 1
        try:
            await asyncio.sleep(wait_s)
        finally:
            self._waiting -= 1

    def _check_origin(self, headers: Mapping[bytes, bytes], client: str) -> None:
        """Refuse what a page of another site has its visitor's browser send; programs that are no browsers say nothing.

        Browsers tell in `Sec-Fetch-Site`, which no page can set, and older ones in `Origin` alone.
        """
        origin, site = (headers.get(name, b"").decode("latin-1") for name in (b"origin", b"sec-fetch-site"))
        if site in ("same-origin", "none") or origin in self._origins:
            return
        own = headers.get(b"host", b"").decode("latin-1").lower()
        if not site and (not origin or origin.partition("://")[2].lower() == own):
            return
        message = f"Origin: got {origin or site}, expected this server's own or one of --cors-origins"
        self._refusals.note("origin", message, client)
        raise Forbidden(message)
