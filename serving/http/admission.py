"""Who is let in, as ASGI sees it: host names before all else, and the listener of administration behind its own."""

from typing import Any

from inference.errors import Misdirected
from serving.access.hosts import AllowedHosts
from serving.access.refusals import Refusals
from serving.http.answer import Answer, refusal
from serving.http.asgi import Asgi, Receive, Scope, Send
from serving.listening import Address

_ARRIVED = "baton.arrived_at"


def with_hosts(app: Asgi, hosts: AllowedHosts | None, refusals: Refusals) -> Asgi:
    """`app` for the hosts that are let in, 421 for all others; `app` itself where every one is."""
    if hosts is None:
        return app

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            named = [value for name, value in scope["headers"] if name == b"host"] or [b""]
            wrong = next((host for host in named if not hosts.allow(host)), None)
            if wrong is not None:
                shown = repr(wrong.decode("latin-1")) if wrong else "missing"
                error = Misdirected(f"Host: got {shown[:120]}, expected {hosts.expected()}")
                refusals.note("host", str(error), client_of(scope))
                await send_answer(send, sized(refusal(error)))
                return
        await app(scope, receive, send)

    return checked


def by_listener(app: Asgi, address: Address) -> Asgi:
    """`app` with its requests marked: they came by way of the listener of administration."""

    async def marked(scope: Scope, receive: Receive, send: Send) -> None:
        scope[_ARRIVED] = address
        await app(scope, receive, send)

    return marked


def arrived_at(scope: Scope) -> Address | None:
    """The listener of administration where the request came by way of it."""
    found: Address | None = scope.get(_ARRIVED)
    return found


def client_of(scope: Scope) -> str:
    """The address of the client; "" for one on a Unix socket."""
    return address_of(scope.get("client"))


def address_of(client: Any) -> str:
    """The IP address in uvicorn's pair of it and a port."""
    return str(client[0]) if client else ""


def sized(answer: Answer) -> Answer:
    """The answer with its length."""
    return answer._replace(headers=[*answer.headers, (b"content-length", b"%d" % len(answer.body))])


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer as ASGI has it."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": bool(answer.rest)})
    for place, part in enumerate(answer.rest, start=1):
        more = place < len(answer.rest)
        await send({"type": "http.response.body", "body": bytes(part), "more_body": more})
