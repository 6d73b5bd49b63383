"""The fast path as plain ASGI in front of the application: three verbs are answered here, all else goes on."""

from serving.http.admission import send_answer
from serving.http.asgi import Asgi, Receive, Scope, Send
from serving.http.fast_path import FastPath
from serving.http.holding import bounded
from serving.http.methods import other_method


def in_front_of(rest: Asgi, fast_path: FastPath, root_path: str) -> Asgi:
    """The application that answers the fast path's routes and leaves all others to `rest`."""

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        route = fast_path.routes.find(scope["path"]) if scope["type"] == "http" else None
        if route is None:
            await rest(_routed(scope, root_path), bounded(receive), send)
            return
        if scope["method"] == "POST":
            answer = await fast_path.answer(route, scope, receive)
        else:
            answer = other_method(scope["method"], ("POST",))
        await send_answer(send, answer)

    return front


def _routed(scope: Scope, root_path: str) -> Scope:
    """The scope as routes expect it: HEAD is GET, whose body the server leaves out; every path begins with the root."""
    if scope["type"] == "http" and scope["method"] == "HEAD":
        scope = {**scope, "method": "GET"}
    if root_path and scope["type"] == "http":
        path = scope["path"]
        if path == root_path:
            path = f"{path}/"
        elif not path.startswith(f"{root_path}/"):  # a proxy has stripped it
            path = f"{root_path}{path}"
        scope = {**scope, "path": path, "root_path": root_path}
    return scope
