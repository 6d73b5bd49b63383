"""The server as browsers and proxies meet it: which methods a path takes, and a path before all of its own."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from serving.settings import Settings
from tests.bundles import png, sum_graph, write_bare, write_brightness
from tests.serving.protocol.wire import SUM, refused
from tests.serving.servers import ThreadedServer, start

INFER = "/v2/models/sum/infer"
PREDICT = "/v1/models/brightness:predict"
PNG = {"content-type": "image/png"}


# Methods


def methods_by_path(http: httpx.Client) -> dict[str, set[str]]:
    """As OpenAPI has them, which is made from the table of routes, with an example for each parameter."""
    found: dict[str, set[str]] = {}
    for path, verbs in http.get("/openapi.json").json()["paths"].items():
        name = "brightness" if ":" in path else "sum"
        asked = path.replace("{name}", name).replace("{version}", "1").replace("{region}", "r")
        found[asked] = {verb.upper() for verb in verbs}
    return found


@pytest.mark.slow
def test_every_path_says_which_methods_it_takes(http: httpx.Client) -> None:
    known = methods_by_path(http)
    assert len(known) > 30
    for path, methods in {**known, "/": {"GET"}, "/docs": {"GET"}, "/docs/assets/x.js": {"GET"}}.items():
        allowed = {*methods, "OPTIONS", *({"HEAD"} if "GET" in methods else ())}
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"):
            if method in allowed:
                continue
            answer = http.request(method, path)
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["allow"].split(", ")) == allowed, (method, path)
            if method != "HEAD":
                refused(answer, 405, f"method: got {method}, expected ")
        told = http.request("OPTIONS", path)
        assert (told.status_code, told.content) == (204, b""), path
        assert set(told.headers["allow"].split(", ")) == allowed, path


def test_head_is_answered_wherever_get_is(http: httpx.Client) -> None:
    for path, methods in {
        **methods_by_path(http),
        "/": {"GET"},
        "/docs": {"GET"},
        "/openapi.json": {"GET"},
    }.items():
        if "GET" in methods:
            get, head = http.get(path), http.head(path)
            assert (head.status_code, head.content) == (get.status_code, b""), path
            assert head.headers["content-type"] == get.headers["content-type"], path


@pytest.mark.parametrize(
    "path",
    [
        PREDICT,
        "/v1/models/brightness/versions/1:predict",
        "/v1/models/none:explain",
        INFER,
        "/v1/models/a/versions/x:predict",
    ],
)
def test_a_get_of_a_verb_that_runs_a_model_says_that_post_is_meant(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    refused(answer, 405, "method: got GET, expected POST")
    assert answer.headers["allow"] == "POST, OPTIONS"


def test_other_verbs_of_a_model_are_named(http: httpx.Client) -> None:
    refused(http.post("/v1/models/brightness:classify", json={}), 501, ":classify", ":predict or :explain")
    refused(http.get("/nothing"), 404, "path: got '/nothing'")


# Under a path of a proxy


@pytest.fixture(scope="module")
def under(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedServer]:
    models: Path = tmp_path_factory.mktemp("under")
    write_bare(models, "sum", sum_graph())
    write_brightness(models)
    with start(models=models, root_path="/baton/") as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "/baton"], ids=["stripped", "kept"])
def test_a_proxy_may_strip_its_path_or_not(under: ThreadedServer, prefix: str) -> None:
    with httpx.Client(base_url=f"{under.url}{prefix}") as http:
        for _ in range(2):
            answer = http.post(INFER, content=json.dumps(SUM))
            assert answer.json()["outputs"][0]["data"] == [11, 22, 33]
        assert http.post("/v2/models/sum/versions/01/infer", content=json.dumps(SUM)).status_code == 200
        assert http.post(PREDICT, content=png(255), headers=PNG).json()["predictions"][0]["label"] == "bright"
        refused(http.get(PREDICT), 405)
        refused(http.delete("/v2"), 405)
        assert http.get("/v2/health/ready").json() == {"ready": True}
        assert http.get("/openapi.json").json()["servers"] == [{"url": "/baton"}]
        for path in ("/", ""):
            assert http.get(path).json() == {"status": "alive"}
            page = http.get(path, headers={"accept": "text/html"}).text
            assert '<base href="/baton/">' in page
        docs = http.get("/docs").text
        for address in re.findall(r"(?:href|src)=\"([^\"]+)\"", docs):
            if not address.startswith("data:"):
                assert http.get(f"/{address}").status_code == 200, address
    known = [path for path in under.app.fast_path.routes._by_path if path.endswith("infer")]
    assert f"{prefix}{INFER}" in known


@pytest.mark.slow
def test_another_path_with_the_same_beginning_is_another_path(under: ThreadedServer) -> None:
    with httpx.Client(base_url=under.url) as http:
        assert http.post(f"/batons{INFER}", content=json.dumps(SUM)).status_code == 404
        assert http.post(f"/baton/baton{INFER}", content=json.dumps(SUM)).status_code == 404


def test_a_root_path_has_one_slash_before_it() -> None:
    assert [Settings(root_path=path).root_path for path in ("", "/", "a", "/a/", "a/b/")] == [
        "",
        "",
        "/a",
        "/a",
        "/a/b",
    ]
    with pytest.raises(ValidationError, match="expected a path"):
        Settings(root_path="https://x/")
