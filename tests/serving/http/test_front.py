"""The fast path in front of any ASGI application."""

import asyncio
from typing import Any

import pytest

from serving.http.asgi import Receive, Scope, Send
from serving.http.front import in_front_of
from tests.serving.servers import ThreadedServer


class Noting:
    """An application that notes the scopes that reach it."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)


def pass_on(server: ThreadedServer, root: str = "", **scope: Any) -> tuple[list[Scope], list[Any]]:
    rest, sent = Noting(), list[Any]()

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    async def send(message: Any) -> None:
        sent.append(message)

    asked = {"type": "http", "method": "GET", "headers": [], **scope}

    async def scene() -> None:
        await in_front_of(rest, server.app.fast_path, root)(asked, receive, send)

    asyncio.run(scene())
    return rest.scopes, sent


def test_other_paths_and_other_protocols_go_on_as_they_are(server: ThreadedServer) -> None:
    for scope in ({"path": "/v2"}, {"type": "lifespan"}):
        ((found,), sent) = pass_on(server, **scope)
        assert found.items() >= scope.items()
        assert not sent


def test_head_reaches_the_routes_as_get(server: ThreadedServer) -> None:
    ((found,), _) = pass_on(server, path="/v2", method="HEAD")
    assert found["method"] == "GET"


@pytest.mark.parametrize(
    ("path", "routed"), [("/b", "/b/"), ("/b/v2", "/b/v2"), ("/v2", "/b/v2"), ("/bc", "/b/bc")]
)
def test_every_path_begins_with_the_root(server: ThreadedServer, path: str, routed: str) -> None:
    ((found,), _) = pass_on(server, "/b", path=path)
    assert (found["path"], found["root_path"]) == (routed, "/b")


def test_another_method_of_a_fast_route_is_refused_here(server: ThreadedServer) -> None:
    found, (start, body) = pass_on(server, path="/v2/models/sum/infer")
    assert not found
    assert start["status"] == 405
    assert body["body"] == b'{"error":"method: got GET, expected POST"}'
