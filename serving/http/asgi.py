"""The names of ASGI's parts."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from serving.http.body import Message, Receive

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = ["Asgi", "Message", "Receive", "Scope", "Send"]
