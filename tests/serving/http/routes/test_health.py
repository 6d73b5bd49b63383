"""Liveness says when a run is stuck, but not while the server drains."""

from types import SimpleNamespace
from typing import cast

from fastapi import FastAPI
from starlette.testclient import TestClient

from serving.engine.group import Group
from serving.http.routes.health import health_routes
from serving.lifecycle import Lifecycle
from serving.observe.exposition import choose_format


def test_a_stuck_run_fails_liveness_until_the_server_drains() -> None:
    reason = ["", "m: a run takes longer"]
    group = SimpleNamespace(stuck=lambda: reason[0])
    lifecycle = Lifecycle()
    app = FastAPI()
    app.include_router(health_routes(cast("Group", group), lifecycle, choose_format))
    client = TestClient(app)
    assert client.get("/v2/health/live").json() == {"live": True}
    reason.pop(0)
    dead = client.get("/v2/health/live")
    assert (dead.status_code, dead.json()) == (503, {"live": False, "error": "m: a run takes longer"})
    lifecycle.drain()
    assert client.get("/v2/health/live").status_code == 200
