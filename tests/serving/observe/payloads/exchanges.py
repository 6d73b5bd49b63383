"""Exchanges as the payload log keeps them, and a request to a server that keeps one."""

import json
from pathlib import Path
from typing import Any

import httpx

from serving.http.matching import Route
from serving.observe.payloads.events import Exchanged, Redaction, make_events
from tests.bundles import png

ROUTE = Route("predict", "m", None, "/v1/models/m:predict")
ALL = Redaction(raw=False, fields=frozenset())
RAW = Redaction(raw=True, fields=frozenset())


def exchanged(body: bytes, answer: bytes = b"{}", status: int = 200, **headers: bytes) -> Exchanged:
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return Exchanged("m", ROUTE.path, named, body, status, {}, answer, 1.5)


def told(kept: Exchanged, redaction: Redaction = ALL) -> list[dict[str, Any]]:
    return [json.loads(event.as_line()) for event in make_events(kept, redaction, "//here/baton")]


def ask(client: httpx.Client, **headers: str) -> httpx.Response:
    picture = {"content-type": "image/png", **headers}
    answer = client.post("/v1/models/brightness:predict", content=png(200), headers=picture)
    answer.raise_for_status()
    return answer


def events_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]
