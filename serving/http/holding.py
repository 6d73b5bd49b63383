"""The bytes held for a request of an ASGI server: counted from before its application runs until it has ended."""

from inference.errors import InputTooLarge
from serving.engine.inflight import Hold, InflightBytes
from serving.http.asgi import Asgi, Message, Receive, Scope, Send

HOLD = "baton.hold"
"""The scope's key for them; `http.http1` sets it where the request came in pieces."""

MAX_ORDINARY_BYTES = 1 << 20
"""Of a body that does not go to a model: options of the repository, settings. Over it 413."""


def holding(app: Asgi, inflight: InflightBytes) -> Asgi:
    """The application, whose requests each have a hold in their scope, given back when they end."""

    async def held(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        hold: Hold = scope.setdefault(HOLD, Hold(inflight))
        try:
            await app(scope, receive, send)
        finally:
            hold.release()

    return held


def bounded(receive: Receive, limit: int = MAX_ORDINARY_BYTES) -> Receive:
    """The body of a request as it comes; `InputTooLarge` as soon as it is over `limit` bytes."""
    got = 0

    async def within() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > limit:
            raise InputTooLarge("body", f"{got} bytes or more", f"at most {limit} bytes")
        return message

    return within
