"""2.7 A graph input [N] of a batching model: told as [-1, 1], as Triton tells it, and taken as [n] and [n, 1]."""

import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.bundles import graph_bytes, write_bare
from tests.serving.graphs import identity_graph
from tests.serving.protocol.wire import packed, refused, unpacked
from tests.serving.servers import start

pytestmark = pytest.mark.slow

TABLE = np.arange(40, dtype=np.float32).reshape(10, 4)


def ids_graph() -> bytes:
    """id int64 [N] → its row of a table of ten."""
    info = helper.make_tensor_value_info
    nodes = [helper.make_node("Gather", ["table", "id"], ["y"])]
    inputs, outputs = [info("id", TensorProto.INT64, ["N"])], [info("y", TensorProto.FLOAT, ["N", 4])]
    return graph_bytes(nodes, inputs, outputs, {"table": TABLE})


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    root = tmp_path_factory.mktemp("models")
    write_bare(root, "ids", ids_graph())
    write_bare(root, "flat", identity_graph(TensorProto.FLOAT, "N"))
    write_bare(root, "texts", identity_graph(TensorProto.STRING, "N"))
    with start(models=root) as running, httpx.Client(base_url=running.url) as client:
        yield client


def ask(http: httpx.Client, data: object, shape: list[int], model: str = "ids") -> httpx.Response:
    name, datatype = {"ids": ("id", "INT64"), "flat": ("x", "FP32"), "texts": ("x", "BYTES")}[model]
    given = {"name": name, "shape": shape, "datatype": datatype, "data": data}
    return http.post(f"/v2/models/{model}/infer", content=json.dumps({"inputs": [given]}))


def test_it_is_shown_as_a_column(http: httpx.Client) -> None:
    told, config = http.get("/v2/models/ids").json(), http.get("/v2/models/ids/config").json()
    assert told["inputs"] == [{"name": "id", "datatype": "INT64", "shape": [-1, 1]}]
    assert config["max_batch_size"] > 0
    (given,) = config["input"]
    assert given == {
        "name": "id", "data_type": "TYPE_INT64", "dims": [1], "reshape": {"shape": []}, "optional": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "shape"),
    [([3, 1], [2]), ([3, 1], [2, 1]), ([[3], [1]], [2, 1]), ([3.0, 1.0], [2, 1])],
    ids=["as the graph has it", "a column, flat", "a column, nested", "written with a point"],
)
def test_both_shapes_are_taken_in_json(http: httpx.Client, data: list[Any], shape: list[int]) -> None:
    output = ask(http, data, shape).json()["outputs"][0]
    assert (output["shape"], output["data"]) == ([2, 4], TABLE[[3, 1]].ravel().tolist())


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_both_shapes_are_taken_in_binary(http: httpx.Client, shape: list[int]) -> None:
    given = {"name": "id", "shape": shape, "datatype": "INT64", "parameters": {"binary_data_size": 16}}
    body, headers = packed(
        {"inputs": [given], "parameters": {"binary_data_output": True}}, struct.pack("<2q", 3, 1)
    )
    _, rest = unpacked(http.post("/v2/models/ids/infer", content=body, headers=headers))
    assert rest == TABLE[[3, 1]].tobytes()


def test_other_shapes_are_refused(http: httpx.Client) -> None:
    for shape in ([1, 2], [2, 1, 1], [], [0], [0, 1]):
        refused(ask(http, [3, 1][: max(1, sum(shape))], shape), 400, "inputs[0].shape")


def test_an_output_stays_as_the_graph_gives_it(http: httpx.Client) -> None:
    """tritonclient reads any shape, and perf_analyzer none: so nothing is changed that a client computes with."""
    assert http.get("/v2/models/flat").json()["outputs"][0]["shape"] == [-1]
    assert ask(http, [1, 2], [2, 1], "flat").json()["outputs"][0]["shape"] == [2]
    output = ask(http, ["a", "b"], [2, 1], "texts").json()["outputs"][0]
    assert (output["shape"], output["data"]) == ([2], ["a", "b"])


def test_a_raw_request_is_one_number(http: httpx.Client) -> None:
    headers = {"Inference-Header-Content-Length": "0"}
    _, rest = unpacked(http.post("/v2/models/ids/infer", content=struct.pack("<q", 7), headers=headers))
    assert rest == TABLE[7].tobytes()
