"""CORS: which origins' pages may ask this server from a browser, and which headers of its answers they may read."""

from collections.abc import Collection

from serving.http.asgi import Asgi, Message, Receive, Scope, Send

EXPOSED = b"Server-Timing, X-Request-Id, Inference-Header-Content-Length, Retry-After"
"""Headers of answers that scripts may read beside those that they always may."""

VARY = (b"vary", b"origin")
"""Of an answer that is not the same for every origin, so that no cache gives one origin's answer to another."""

_EVERY = "*"
_METHODS = b"GET, HEAD, POST, OPTIONS"
_FOR_S = b"600"  # a browser remembers a preflight; Chromium does for two hours at most


def varies(origins: Collection[str]) -> bool:
    """Whether answers depend on the origin that asks: where some are let in, and others not."""
    return bool(origins) and _EVERY not in origins


class Cors:
    """Lets pages of some origins in; the answers of all others are as without it, and their browsers keep them back."""

    def __init__(self, app: Asgi, origins: Collection[str]) -> None:
        """`origins` as browsers send them, or `*` for all."""
        self._app, self._every = app, _EVERY in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        origin = headers.get(b"origin")
        let_in = origin is not None and (self._every or origin in self._origins)
        added = self._headers(origin) if origin is not None and let_in else []
        if let_in and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            added += [
                (b"access-control-allow-methods", _METHODS),
                (b"access-control-max-age", _FOR_S),
            ]
            expected = headers.get(b"access-control-request-headers")
            if expected is not None:
                added.append((b"access-control-allow-headers", expected))
            await send({"type": "http.response.start", "status": 204, "headers": added})
            await send({"type": "http.response.body", "body": b""})
            return

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                # The fast path's answers have it already, since not all of them come this way.
                vary = [] if self._every or VARY in message["headers"] else [VARY]
                message["headers"] = [*message["headers"], *added, *vary]
            await send(message)

        await self._app(scope, receive, adding)

    def _headers(self, origin: bytes) -> list[tuple[bytes, bytes]]:
        return [
            (b"access-control-allow-origin", _EVERY.encode() if self._every else origin),
            (b"access-control-expose-headers", EXPOSED),
        ]


def with_cors(app: Asgi, origins: Collection[str]) -> Asgi:
    """`app` itself where no other origin is let in."""
    return Cors(app, origins) if origins else app
