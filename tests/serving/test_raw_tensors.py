"""Tensors that a client makes for a bundle of a task are held to what its processor makes, before anything is run."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serving.protocol.wire import packed, refused
from tests.serving.servers import start

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    root = tmp_path_factory.mktemp("models")
    for name in ("retail", "reviews"):
        (root / name).symlink_to(MODELS / name)
    with start(models=root) as running, httpx.Client(base_url=running.url, timeout=60) as client:
        yield client


def ask(http: httpx.Client, model: str, name: str, rows: list[list[int]]) -> httpx.Response:
    shape = [len(rows), len(rows[0])]
    data = [number for row in rows for number in row]
    given = {"name": name, "shape": shape, "datatype": "INT64", "data": data}
    return http.post(f"/v2/models/{model}/infer", content=json.dumps({"inputs": [given]}))


@pytest.mark.slow
def test_items_outside_of_the_catalogue_are_no_other_items(http: httpx.Client) -> None:
    items = http.get("/v2/models/retail").json()["outputs"][0]["shape"][-1]
    assert ask(http, "retail", "history", [[1, items]]).status_code == 200
    for item in (-1, items + 1, 2**63 - 1, -(2**63)):
        refused(ask(http, "retail", "history", [[1, 2], [3, item]]), 400, f"history[1, 1]: got {item}")
    refused(ask(http, "retail", "history", [[]]), 400, "history", "at least one id")


@pytest.mark.slow
def test_tokens_outside_of_the_vocabulary_are_no_other_tokens(http: httpx.Client) -> None:
    assert ask(http, "reviews", "ids", [[1, 2, 3]]).status_code == 200
    for token in (-1, 10**6):
        refused(ask(http, "reviews", "ids", [[1, token]]), 400, f"ids[0, 1]: got {token}")


@pytest.mark.parametrize(("model", "name", "most"), [("retail", "history", 100), ("reviews", "ids", 1024)])
def test_a_row_is_as_long_as_the_manifest_says_at_most(
    http: httpx.Client, model: str, name: str, most: int
) -> None:
    assert ask(http, model, name, [[1] * most]).status_code == 200
    refused(ask(http, model, name, [[1] * (most + 1)]), 413, name, f"at most {most}")


@pytest.mark.slow
def test_a_history_of_megabytes_is_refused_unread(http: httpx.Client) -> None:
    given = {
        "name": "history", "shape": [1, 8_000_000], "datatype": "INT64",
        "parameters": {"binary_data_size": 64_000_000},
    }  # fmt: skip
    body, headers = packed({"inputs": [given]}, struct.pack("<q", 1) * 8_000_000)
    refused(
        http.post("/v2/models/retail/infer", content=body, headers=headers), 413, "history", "at most 100"
    )


def test_a_client_whose_id_has_more_than_64_bits_is_told_so(http: httpx.Client) -> None:
    body = b'{"instances":[{"history":[18446744073709551616]}]}'
    headers = {"content-type": "application/json"}
    answer = http.post("/v1/models/retail:predict", content=body, headers=headers)
    refused(answer, 400, "instances[0].history[0]: got 18446744073709551616", "64 bits")
