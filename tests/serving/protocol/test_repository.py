"""2.8 Model repository extension."""

from typing import Any

import httpx
import pytest

from tests.serving.protocol.wire import refused
from tests.serving.servers import ADMIN


def test_the_index_lists_versions_and_states(http: httpx.Client) -> None:
    for body in (b"", b"{}", b'{"ready":true}'):
        told = http.post("/v2/repository/index", content=body).json()
        assert {"name": "sum", "version": "1", "state": "READY", "reason": ""} in told


def test_load_and_unload_want_the_token(http: httpx.Client) -> None:
    for verb in ("load", "unload"):
        refused(http.post(f"/v2/repository/models/sum/{verb}"), 401, "admin token: missing")
        wrong = {"Authorization": "Bearer wrong"}
        refused(
            http.post(f"/v2/repository/models/sum/{verb}", headers=wrong), 401, "admin token: got a wrong one"
        )


def test_only_what_is_ready_is_listed_where_that_is_asked(http: httpx.Client) -> None:
    everything = http.post("/v2/repository/index", content=b"{}").json()
    ready = http.post("/v2/repository/index", content=b'{"ready":true}').json()
    assert ready == [entry for entry in everything if entry["state"] == "READY"]


@pytest.mark.parametrize("path", ["index", "models/sum/load", "models/sum/unload"])
def test_there_is_one_repository_and_it_has_no_name(http: httpx.Client, path: str) -> None:
    refused(http.post(f"/v2/repository/mine/{path}"), 501, "mine")


def test_a_model_is_what_its_folder_says(http: httpx.Client) -> None:
    def load(name: str, parameters: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {ADMIN}"}
        return http.post(
            f"/v2/repository/models/{name}/load", json={"parameters": parameters}, headers=headers
        )

    refused(load("sum", {"config": "{}"}), 400, "parameters")
    refused(load("sum", {"config": "{}", "file:1/model.onnx": "AAAA"}), 400, "parameters")
    for name in ("nothing", "a b", "..", "%2e%2e", ".hidden"):
        refused(load(name), 404)
    answer = load("sum", {})
    assert (answer.status_code, answer.content) == (200, b"")
