"""Every operation that OpenAPI declares, called by Schemathesis; `python -m benchmarks.fuzz routes` does it longer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.fuzz.routes import operations, search, write_models
from benchmarks.fuzz.watch import Watch
from benchmarks.fuzz.world import ADMIN
from tests.serving.servers import ThreadedServer, start

EXAMPLES = 6


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedServer]:
    """A server of its own, whose models are loaded and unloaded."""
    models: Path = write_models(tmp_path_factory.mktemp("models"))
    with start(models=models, admin_token=ADMIN) as running:
        yield running


@pytest.fixture(scope="module")
def schema(changing: ThreadedServer) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{changing.url}/openapi.json").json()
    return found


@pytest.mark.slow
def test_every_operation_answers_as_it_declares(
    changing: ThreadedServer, caplog: pytest.LogCaptureFixture
) -> None:
    count = len(list(operations(changing.url)))
    watch = Watch(0, count * EXAMPLES)
    calls = search(changing.url, EXAMPLES, 15, watch)
    report = watch.report(calls)
    assert report.faults == ()
    assert calls >= count * EXAMPLES // 2
    assert set(report.outcomes) >= {"200", "400", "401", "404", "501"}
    assert not [record for record in caplog.records if record.exc_info and record.name != "baton.registry"]


def test_an_answer_without_a_body_declares_none(schema: dict[str, Any]) -> None:
    for path in ("/v2/repository/models/{name}/load", "/v2/systemsharedmemory/unregister"):
        assert "content" not in schema["paths"][path]["post"]["responses"]["200"]


def test_a_path_with_a_version_declares_which_it_takes_and_400_for_others(schema: dict[str, Any]) -> None:
    with_version = [path for path in schema["paths"] if "{version}" in path]
    assert len(with_version) == 8
    for path in with_version:
        for operation in schema["paths"][path].values():
            (version,) = [each for each in operation["parameters"] if each["name"] == "version"]
            assert version["schema"]["pattern"] == "^[1-9][0-9]{0,17}$"
            assert "400" in operation["responses"]


def test_infer_declares_both_forms_of_its_body_and_of_its_answer(schema: dict[str, Any]) -> None:
    infer = schema["paths"]["/v2/models/{name}/infer"]["post"]
    for part in (infer["requestBody"], infer["responses"]["200"]):
        assert set(part["content"]) == {"application/json", "application/octet-stream"}
    assert infer["requestBody"]["content"]["application/json"]["schema"]["required"] == ["inputs"]
    assert infer["responses"]["429"]["content"]["application/json"]["schema"]["required"] == ["error"]
