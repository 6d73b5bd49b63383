"""2.1 Endpoints: paths and verbs, and what each tells."""

import json

import httpx
import pytest

from serving.http.routes.models import EXTENSIONS
from tests.serving.protocol.wire import SUM, refused


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2?a=b"])
def test_server_metadata(http: httpx.Client, path: str) -> None:
    told = http.get(path).json()
    assert told["name"] == "baton"
    assert isinstance(told["version"], str)
    assert told["extensions"] == EXTENSIONS


def test_health_answers_get_and_head(http: httpx.Client) -> None:
    assert http.get("/v2/health/live").json() == {"live": True}
    assert http.get("/v2/health/ready").json() == {"ready": True}
    for path in ("/v2/health/live", "/v2/health/ready"):
        head = http.head(path)
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("base", ["/v2/models/sum", "/v2/models/sum/versions/1"])
def test_a_model_tells_of_itself(http: httpx.Client, base: str) -> None:
    assert http.get(f"{base}/ready").json() == {"name": "sum", "ready": True}
    told = http.get(base).json()
    assert told["platform"] == "onnxruntime_onnx"
    assert told["outputs"] == [{"name": "total", "datatype": "FP32", "shape": [-1, 3]}]
    config = http.get(f"{base}/config").json()
    assert config["input"][0] == {"name": "x", "data_type": "TYPE_FP32", "dims": [3], "optional": False}
    assert "dynamic_batching" in config
    assert http.get(f"{base}/stats").json()["model_stats"][0]["version"] == "1"
    assert http.get(f"{base}/profile").json()["plan"]["max_batch_size"] >= 1


def test_a_model_without_a_batch_axis_has_batch_size_0(http: httpx.Client) -> None:
    config = http.get("/v2/models/whole/config").json()
    assert config["max_batch_size"] == 0
    assert config["input"][0]["dims"] == [2, 3]
    assert "dynamic_batching" not in config
    assert http.get("/v2/models/whole").json()["inputs"][0]["shape"] == [2, 3]


def test_strings_are_called_so_in_the_configuration(http: httpx.Client) -> None:
    assert http.get("/v2/models/echo/config").json()["input"][0]["data_type"] == "TYPE_STRING"
    assert http.get("/v2/models/echo").json()["inputs"][0]["datatype"] == "BYTES"


def test_statistics_of_all_models(http: httpx.Client) -> None:
    names = [told["name"] for told in http.get("/v2/models/stats").json()["model_stats"]]
    assert names == sorted(names)
    assert "sum" in names


@pytest.mark.parametrize("version", ["", "/versions/1", "/versions/01"])
def test_infer(http: httpx.Client, version: str) -> None:
    answer = http.post(f"/v2/models/sum{version}/infer", content=json.dumps(SUM))
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "model_name": "sum",
        "model_version": "1",
        "outputs": [{"name": "total", "datatype": "FP32", "shape": [1, 3], "data": [11.0, 22.0, 33.0]}],
    }


def test_a_list_of_the_models(http: httpx.Client) -> None:
    assert "sum" in http.get("/v2/models").json()["models"]
    assert "sum" in http.get("/v1/models").json()["models"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/models/sum?x=1"),
        ("GET", "/v2/models/sum/ready?x"),
        ("GET", "/v2/models/sum/config?"),
        ("GET", "/v2/health/live?a=b&c"),
        ("POST", "/v2/models/sum/infer?x=1"),
        ("POST", "/v2/models/sum/versions/1/infer?x=1"),
        ("POST", "/v2/repository/index?x=1"),
    ],
)
def test_what_follows_a_question_mark_is_ignored(http: httpx.Client, method: str, path: str) -> None:
    body = json.dumps(SUM) if path.split("?")[0].endswith("infer") else None
    assert http.request(method, path, content=body).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v2/models/sum/", "/v2/health/live/", "/v2/models/sum/infer/", "/v1/models/"]
)
def test_no_path_but_the_first_ends_in_a_slash(http: httpx.Client, path: str) -> None:
    refused(http.request("POST" if "infer" in path else "GET", path), 404)


def test_a_name_may_be_quoted_and_holds_no_slash(http: httpx.Client) -> None:
    assert http.get("/v2/models/%73um").json()["name"] == "sum"
    assert http.post("/v2/models/%73um/infer", content=json.dumps(SUM)).status_code == 200
    refused(http.get("/v2/models/a%2Fb"), 404)
    refused(http.post("/v2/models/a%2Fsum/infer", content=json.dumps(SUM)), 404)
    refused(http.get("/v2/models/a%20b"), 404, "'a b'")


PROOFS: dict[str, tuple[str, str]] = {
    "binary_tensor_data": ("GET", "/v2"),
    "classification": ("GET", "/v2"),
    "model_configuration": ("GET", "/v2/models/sum/config"),
    "model_repository": ("POST", "/v2/repository/index"),
    "parameters": ("GET", "/v2"),
    "schedule_policy": ("GET", "/v2"),
    "statistics": ("GET", "/v2/models/stats"),
}
"""What each extension answers; those of `infer` itself have sections of their own."""


def test_every_extension_that_is_named_is_there(http: httpx.Client) -> None:
    assert set(EXTENSIONS) == PROOFS.keys()
    for method, path in PROOFS.values():
        assert http.request(method, path).status_code == 200


@pytest.mark.parametrize(
    ("extension", "paths"),
    [
        ("generate", ["/v2/models/sum/generate", "/v2/models/sum/generate_stream"]),
    ],
)
def test_an_extension_that_is_not_named_is_not_there(
    http: httpx.Client, extension: str, paths: list[str]
) -> None:
    assert extension not in EXTENSIONS
    for path in paths:
        refused(http.get(path), 404)
        refused(http.post(path, content=b"{}"), 404)
