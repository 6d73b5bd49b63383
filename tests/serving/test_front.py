"""The server as browsers, proxies and other people's clients meet it: methods, origins, paths, addresses."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import tritonclient.http as triton
from pydantic import ValidationError
from tritonclient.utils import InferenceServerException

from serving.cors import EXPOSED
from serving.listening import listen, url_of
from serving.settings import Settings
from tests.bundles import png, sum_graph, write_bare, write_brightness
from tests.serving.protocol.wire import SUM, refused
from tests.serving.servers import ThreadedServer, start
from tests.serving.test_short_way import connect, read, request

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
                refused(answer, 405, f"method: got {method}, wanted ")
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
    refused(answer, 405, "method: got GET, wanted POST")
    assert answer.headers["allow"] == "POST, OPTIONS"


def test_other_verbs_of_a_model_are_named(http: httpx.Client) -> None:
    refused(http.post("/v1/models/brightness:classify", json={}), 501, ":classify", ":predict or :explain")
    refused(http.get("/nothing"), 404, "path: got '/nothing'")


# The first page


def test_the_root_is_a_page_for_browsers_and_alive_for_everybody_else(http: httpx.Client) -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    page = http.get("/", headers={"accept": browser})
    assert page.headers["content-type"].startswith("text/html")
    assert "<title>Baton</title>" in page.text
    for accept in ("*/*", "application/json", ""):
        told = http.get("/", headers={"accept": accept})
        assert told.json() == {"status": "alive"}  # as KServe's `is_server_live` reads it
        assert told.headers["vary"] == "accept"


# Trace and log settings


@pytest.fixture
def client(server: ThreadedServer) -> Iterator[Any]:
    with closing(triton.InferenceServerClient(server.url.removeprefix("http://"))) as made:
        yield made


def test_triton_clients_read_trace_and_log_settings(client: Any) -> None:
    traced = client.get_trace_settings()
    assert traced["trace_level"] == ["OFF"]
    assert client.get_trace_settings("sum") == traced
    assert client.update_trace_settings("sum", {"trace_level": ["OFF"], "trace_rate": None}) == traced
    assert client.update_trace_settings(settings={"trace_level": "OFF", "trace_count": -1}) == traced
    logged = client.get_log_settings()
    assert (logged["log_info"], logged["log_error"], logged["log_verbose_level"]) == (True, True, 0)
    assert client.update_log_settings({"log_info": True, "log_verbose_level": 0}) == logged


@pytest.mark.parametrize(
    ("path", "settings", "status", "words"),
    [
        (
            "trace/setting",
            {"trace_level": ["TIMESTAMPS"]},
            501,
            'trace_level: got ["TIMESTAMPS"], in force is',
        ),
        ("models/sum/trace/setting", {"trace_rate": "7"}, 501, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("models/none/trace/setting", {}, 404, "none"),
        ("logging", {"log_verbose_level": 1}, 501, "--log-level"),
        ("logging", {"log_info": False}, 501, "log_info: got false"),
        ("logging", {"log_colour": 1}, 400, "log_colour"),
        ("logging", [], 400, "body"),
    ],
)
def test_settings_that_are_not_in_force_are_refused(
    http: httpx.Client, path: str, settings: Any, status: int, words: str
) -> None:
    refused(http.post(f"/v2/{path}", content=json.dumps(settings)), status, words)


def test_a_refused_setting_is_an_exception_of_tritons_client(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="in force is"):
        client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]})


# Pages of other origins

PAGE = "https://app.example.com"


@pytest.fixture(
    scope="module", params=[PAGE, f"http://localhost:3000, {PAGE}", "*"], ids=["one", "two", "all"]
)
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ThreadedServer]:
    models: Path = tmp_path_factory.mktemp("shared")
    write_bare(models, "sum", sum_graph())
    with start(models=models, cors_origins=request.param) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("path", [INFER, "/v2/models/sum/versions/01/infer", "/v2/repository/index"])
def test_a_page_of_an_origin_that_is_let_in_reads_its_answer(shared: ThreadedServer, path: str) -> None:
    with httpx.Client(base_url=shared.url) as http:
        preflight = http.options(
            path,
            headers={
                "origin": PAGE,
                "access-control-request-method": "POST",
                "access-control-request-headers": "content-type,authorization",
            },
        )
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] in (PAGE, "*")
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert preflight.headers["access-control-allow-headers"] == "content-type,authorization"
        body = b"{}" if "index" in path else json.dumps(SUM).encode()
        for content, status in ((body, 200), (b"{", 400)):
            for _ in range(2):  # the second time by a head that came before
                answer = http.post(
                    path, content=content, headers={"origin": PAGE, "content-type": "text/plain"}
                )
                assert answer.status_code == status
                assert answer.headers["access-control-allow-origin"] in (PAGE, "*")
                assert answer.headers["access-control-expose-headers"] == EXPOSED.decode()
        plain = http.post(path, content=body)
        assert plain.status_code == 200
        assert "access-control-allow-origin" not in plain.headers


def test_a_page_of_another_origin_reads_nothing(shared: ThreadedServer) -> None:
    with httpx.Client(base_url=shared.url) as http:
        headers = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
        for answer in (
            http.options(INFER, headers=headers),
            http.post(INFER, content=json.dumps(SUM), headers=headers),
        ):
            told = answer.headers.get("access-control-allow-origin")
            assert told in (None, "*")
            assert (told is None) == (answer.headers.get("vary") == "origin")


def test_who_lets_no_origin_in_pays_nothing_for_it(server: ThreadedServer) -> None:
    """The head of a page's request stands in the table as any other."""
    sent = request(json.dumps(SUM).encode(), f"Origin: {PAGE}")
    with closing(connect(server)) as connection:
        connection.sendall(sent)
        status, head, _ = read(connection, 1)[0]
    assert (status, b"access-control" in head) == (200, False)
    heads: dict[bytes, Any] = server.config.http_protocol_class.heads  # type: ignore[attr-defined]
    assert any(PAGE.encode() in known for known in heads)


@pytest.mark.parametrize("origins", ["example.com", "https://a.example/", "https://a.example, x"])
def test_what_is_no_origin_is_refused_at_the_start(origins: str) -> None:
    with pytest.raises(ValidationError, match="is no origin"):
        Settings(cors_origins=origins)


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
    known = [path for path in under.app.lane._targets if path.endswith("infer")]
    assert f"{prefix}{INFER}" in known


def test_the_page_and_the_documentation_name_no_address_from_the_root(http: httpx.Client) -> None:
    page = http.get("/", headers={"accept": "text/html"}).text
    assert not re.findall(r"[\"'`]/(?:v1|v2|docs|metrics|openapi)", page + http.get("/docs").text)


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
    with pytest.raises(ValidationError, match="wanted a path"):
        Settings(root_path="https://x/")


# Addresses


def needs_ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")


def test_two_colons_listen_to_ipv6_and_ipv4(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    needs_ipv6()
    write_bare(tmp_path, "sum", sum_graph())
    with caplog.at_level("INFO", "baton"), start(models=tmp_path, host="::") as server:
        port = server.servers[0].sockets[0].getsockname()[1]
        for host in ("127.0.0.1", "[::1]"):
            answer = httpx.post(f"http://{host}:{port}{INFER}", content=json.dumps(SUM))
            assert answer.status_code == 200
        assert f"serving on http://[::]:{port}" in caplog.text


def test_workers_listen_to_both_as_well() -> None:
    needs_ipv6()
    with listen("::", 0) as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=5).close()
    with listen("::1", 0) as listener, pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=5)


def test_an_address_is_logged_as_it_is_asked() -> None:
    assert url_of("::", 80, tls=True, root_path="/x") == "https://[::]:80/x"
    assert url_of("0.0.0.0", 8000, tls=False) == "http://0.0.0.0:8000"
