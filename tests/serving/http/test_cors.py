"""Pages of other origins: which of them read their answers, and that nobody else pays for it."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from serving.http.cors import EXPOSED
from serving.settings import Settings
from tests.bundles import sum_graph, write_bare
from tests.serving.http.test_fast_path import connect, read, request
from tests.serving.protocol.wire import SUM
from tests.serving.servers import ThreadedServer, start

INFER = "/v2/models/sum/infer"
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


@pytest.mark.slow
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


@pytest.mark.slow
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
