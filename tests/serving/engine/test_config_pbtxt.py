"""Triton repositories as people have them, served with what their config.pbtxt says."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from onnx import TensorProto, helper

from inference.triton.fields import CONFIG_FILE
from inference.values import Array
from serving.engine.loading import ModelLoader
from serving.engine.profile import ProfileCache
from tests.bundles import LABELS, graph_bytes, sum_graph, write_bare, write_brightness
from tests.serving.graphs import identity_graph
from tests.serving.protocol.wire import infer, refused
from tests.serving.servers import ThreadedServer, start

# As in Triton's quick start, whose graph has a first axis of 1 and two axes of 1 behind its 1,000 classes.
DENSENET = """
name: "densenet_onnx"
platform: "onnxruntime_onnx"
max_batch_size : 0
input [
  {
    name: "data_0"
    data_type: TYPE_FP32
    format: FORMAT_NCHW
    dims: [ 3, 8, 8 ]
    reshape { shape: [ 1, 3, 8, 8 ] }
  }
]
output [
  {
    name: "fc6_1"
    data_type: TYPE_FP32
    dims: [ 3 ]
    reshape { shape: [ 1, 3, 1, 1 ] }
    label_filename: "densenet_labels.txt"
  }
]
"""
TRUST = 'parameters { key: "baton.batching" value { string_value: "trusted" } }'
RECOGNITION = """
name: "recognition"
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_INT64 dims: [ 1 ] reshape: { shape: [ ] } } ]
output [ { name: "y" data_type: TYPE_INT64 dims: [ 1 ] reshape: { shape: [ ] } } ]
dynamic_batching { max_queue_delay_microseconds: 100 }
"""


def densenet_graph() -> bytes:
    """data_0 [1, 3, 8, 8] → fc6_1 [1, 3, 1, 1], the mean of each channel."""
    data = helper.make_tensor_value_info("data_0", TensorProto.FLOAT, [1, 3, 8, 8])
    classes = helper.make_tensor_value_info("fc6_1", TensorProto.FLOAT, [1, 3, 1, 1])
    return graph_bytes([helper.make_node("GlobalAveragePool", ["data_0"], ["fc6_1"])], [data], [classes], {})


def share_graph() -> bytes:
    """x [batch, 3] → y, each column over its own sum: a first axis that varies and is no batch."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("x", "y")]
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=1),
        helper.make_node("Div", ["x", "sum"], ["y"]),
    ]
    return graph_bytes(nodes, infos[:1], infos[1:], {"axes": np.array([0], np.int64)})


def configure(folder: Path, text: str) -> None:
    """Put it beside the version folder."""
    (folder.parent / CONFIG_FILE).write_text(text)


def ones(name: str, shape: list[int], array: Array | None = None) -> Any:
    made = triton.InferInput(name, shape, "FP32")
    made.set_data_from_numpy(np.ones(shape, np.float32) if array is None else array)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedServer]:
    root = tmp_path_factory.mktemp("repository")
    densenet = write_bare(root, "densenet_onnx", densenet_graph())
    configure(densenet, DENSENET)
    (densenet.parent / "densenet_labels.txt").write_text("RED\nGREEN\nBLUE\n")
    recognition = write_bare(root, "recognition", identity_graph(TensorProto.INT64, "n"))
    configure(recognition, RECOGNITION)
    share = write_bare(root, "share", share_graph())
    configure(share, "max_batch_size: 0")
    late = write_bare(root, "late", sum_graph())
    configure(late, "dynamic_batching { default_queue_policy { default_timeout_microseconds: 1 } }")
    bright = write_brightness(root)
    configure(
        bright,
        'max_batch_size: 4 output { name: "logits" dims: [2] } version_policy { latest { num_versions: 3 } }',
    )
    with start(models=root) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: ThreadedServer) -> Iterator[Any]:
    made = triton.InferenceServerClient(server.url.removeprefix("http://"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def http(server: ThreadedServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as made:
        yield made


def test_the_repository_of_the_quick_start_is_served_as_its_clients_expect(client: Any) -> None:
    told = client.get_model_metadata("densenet_onnx")
    assert told["inputs"] == [{"name": "data_0", "datatype": "FP32", "shape": [3, 8, 8]}]
    assert told["outputs"] == [{"name": "fc6_1", "datatype": "FP32", "shape": [3]}]
    config = client.get_model_config("densenet_onnx")
    assert config["max_batch_size"] == 0
    assert config["input"][0]["format"] == "FORMAT_NCHW"
    assert config["input"][0]["reshape"] == {"shape": [1, 3, 8, 8]}
    assert config["output"][0]["label_filename"] == "densenet_labels.txt"


def test_a_picture_without_a_batch_is_classified_with_labels(client: Any) -> None:
    picture = np.stack([np.full((8, 8), level, np.float32) for level in (2, 5, 1)])
    expected = triton.InferRequestedOutput("fc6_1", class_count=2)
    answer = client.infer("densenet_onnx", [ones("data_0", [3, 8, 8], picture)], outputs=[expected])
    assert answer.as_numpy("fc6_1").tolist() == [b"5.000000:1:GREEN", b"2.000000:0:RED"]
    assert client.infer("densenet_onnx", [ones("data_0", [3, 8, 8], picture)]).as_numpy("fc6_1").tolist() == [
        2,
        5,
        1,
    ]


def test_a_shape_that_is_only_the_graphs_is_not_the_callers(client: Any) -> None:
    with pytest.raises(triton.InferenceServerException, match=r"inputs\[0\].shape: got \[1, 3, 8, 8\]"):
        client.infer("densenet_onnx", [ones("data_0", [1, 3, 8, 8])])


def test_a_row_of_no_axes_is_one_of_a_single_element_to_callers(http: httpx.Client) -> None:
    told = http.get("/v2/models/recognition").json()
    assert (told["inputs"][0]["shape"], told["outputs"][0]["shape"]) == ([-1, 1], [-1, 1])

    def ask(number: int) -> Any:
        body = {"inputs": [{"name": "x", "shape": [2, 1], "datatype": "INT64", "data": [number, -number]}]}
        return infer(http, "recognition", body).json()["outputs"][0]

    with ThreadPoolExecutor(8) as pool:
        for number, output in enumerate(pool.map(ask, range(64))):
            assert (output["shape"], output["data"]) == ([2, 1], [number, -number])


def test_a_first_axis_that_belongs_to_the_request_never_meets_anothers(http: httpx.Client) -> None:
    rng = np.random.default_rng(3)
    rows = [rng.random(3).round(3).tolist() for _ in range(96)]

    def ask(row: list[float]) -> Any:
        body = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": row}]}
        return infer(http, "share", body).json()["outputs"][0]["data"]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, rows)) == [[1.0, 1.0, 1.0]] * len(rows)
    assert http.get("/v2/models/share/config").json()["max_batch_size"] == 0
    assert http.get("/v2/models/share").json()["inputs"][0]["shape"] == [-1, 3]


def test_who_names_no_deadline_has_the_configurations(http: httpx.Client) -> None:
    body = {
        "inputs": [
            {"name": name, "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]} for name in ("x", "y")
        ]
    }
    refused(infer(http, "late", body), 504, "0.001 ms")
    refused(infer(http, "late", {**body, "parameters": {"timeout": 10_000_000}}), 504, "0.001 ms")


def test_a_trained_bundle_is_bounded_and_keeps_its_task(http: httpx.Client) -> None:
    pixels = {"name": "image", "shape": [1, 4, 4, 1], "datatype": "UINT8", "data": [255] * 16}
    answer = infer(http, "brightness", {"inputs": [pixels]}).json()
    assert [output["name"] for output in answer["outputs"]] == ["logits"]
    asked = {"inputs": [pixels], "outputs": [{"name": "probabilities"}]}
    refused(infer(http, "brightness", asked), 400, "outputs[0].name", "one of logits")
    config = http.get("/v2/models/brightness/config").json()
    assert config["max_batch_size"] == 4
    assert config["version_policy"] == {"latest": {"num_versions": 3}}
    classes = {
        "inputs": [pixels],
        "outputs": [{"name": "logits", "parameters": {"classification": 1}}],
    }
    assert infer(http, "brightness", classes).json()["outputs"][0]["data"][0].endswith(f":1:{LABELS[1]}")


def served(root: Path, graph: bytes, text: str) -> Any:
    """The model `m` under that configuration, as a server of two CPUs that has measured it runs it."""
    configure(write_bare(root, "m", graph), text)
    runs = ThreadPoolExecutor(2)
    loader = ModelLoader(
        device="cpu",
        precision=None,
        p99_ms=None,
        max_batch_size=None,
        max_pending_rows=None,
        cache=ProfileCache(None),
        runs=runs,
        cpus=2,
        at_once=True,
    )
    loaded = loader(root / "m" / "1")

    async def finish() -> Any:
        return loaded()

    return asyncio.run(finish())


def test_instances_threads_and_queue_are_as_the_operator_says(tmp_path: Path) -> None:
    text = """
        max_batch_size: 16
        instance_group [ { count: 3 kind: KIND_CPU } ]
        dynamic_batching { preferred_batch_size: [ 2, 5 ] default_queue_policy { max_queue_size: 40 } }
        parameters { key: "intra_op_thread_count" value { string_value: "2" } }
        optimization { graph { level: -1 } }
    """
    model = served(tmp_path, sum_graph(), text)
    plan = model.batcher.plan
    assert (plan.inline, plan.instances, model.profile.chosen.threads) == (False, 3, 2)
    assert plan.preferred_batch_size == min(5, plan.max_batch_size)
    assert plan.max_pending_rows == max(40, plan.max_batch_size) + 3 * plan.max_batch_size
    assert model.predictor.session.options.optimization == "basic"


def test_one_instance_of_a_quick_graph_stays_on_the_event_loop(tmp_path: Path) -> None:
    model = served(tmp_path, sum_graph(), "instance_group { count: 1 }")
    assert (model.batcher.plan.inline, model.batcher.plan.instances) == (True, 1)


def test_instances_of_another_device_say_nothing(tmp_path: Path) -> None:
    model = served(tmp_path, sum_graph(), "instance_group { count: 7 kind: KIND_GPU }")
    assert model.batcher.plan.instances != 7


@pytest.mark.parametrize(
    ("text", "batched"), [("max_batch_size: 8", False), (f"max_batch_size: 8 {TRUST}", True)]
)
def test_rows_whose_answers_depend_on_their_company_meet_only_where_the_operator_vouches(
    tmp_path: Path, text: str, batched: bool
) -> None:
    model = served(tmp_path, share_graph(), text)
    assert model.profile.batching.batched is batched
    assert model.manifest.max_batch_size == (8 if batched else 0)
    assert model.manifest.inputs[0].shape == (-1, 3)


def test_a_sample_request_is_what_a_model_is_measured_with(tmp_path: Path) -> None:
    """Nobody would guess that ids are picked from a table of two: tried with others, the graph fails."""
    infos = [
        helper.make_tensor_value_info("x", TensorProto.INT64, ["n", "k"]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 37]),
    ]
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["rows"]),
        helper.make_node("Add", ["rows", "zeros"], ["y"]),
    ]
    weights: dict[str, Array] = {
        "table": np.array([3, 7], np.float32),
        "zeros": np.zeros((1, 37), np.float32),
    }
    graph = graph_bytes(nodes, infos[:1], infos[1:], weights)
    sample = 'inputs { key: "x" value { data_type: TYPE_INT64 dims: 37 random_data: true } }'
    told = served(tmp_path / "told", graph, f"max_batch_size: 8 model_warmup {{ batch_size: 2 {sample} }}")
    assert (told.profile.note, told.profile.batching.batched) == ("", True)
    assert not served(tmp_path / "untold", graph, "max_batch_size: 8").profile.batching.batched


def refresh(server: ThreadedServer) -> None:
    """Let the server look at its folder twice, since what has just changed may be half copied."""
    assert server.loop is not None
    for _ in range(2):
        asyncio.run_coroutine_threadsafe(server.app.registry.refresh(), server.loop).result(30)


def index(server: ThreadedServer) -> dict[str, tuple[str, str]]:
    """State and reason of each version."""
    told = httpx.post(f"{server.url}/v2/repository/index").json()
    return {f"{entry['name']}/{entry['version']}": (entry["state"], entry["reason"]) for entry in told}


@pytest.mark.slow
def test_a_faulty_configuration_refuses_its_model_alone_until_it_is_mended(tmp_path: Path) -> None:
    write_bare(tmp_path, "good", sum_graph())
    folder = write_bare(tmp_path, "bad", sum_graph())
    configure(folder, 'name: "bad"\nmax_batchsize: 3\n')
    with start(models=tmp_path, strict_readiness=False) as server:
        told = index(server)
        assert told["good/1"] == ("READY", "")
        assert told["bad/1"][0] == "UNAVAILABLE"
        assert "config.pbtxt:2: max_batchsize: ModelConfig has no such field" in told["bad/1"][1]
        answer = httpx.post(f"{server.url}/v2/models/bad/infer", json={})
        assert (answer.status_code, "config.pbtxt:2" in answer.text) == (503, True)
        configure(folder, 'name: "bad"\nmax_batch_size: 3\n')
        refresh(server)
        assert index(server)["bad/1"] == ("READY", "")
        assert httpx.get(f"{server.url}/v2/models/bad/config").json()["max_batch_size"] == 3


@pytest.mark.slow
def test_what_another_backend_would_serve_is_named_beside_what_is_served(tmp_path: Path) -> None:
    write_bare(tmp_path, "classify", sum_graph())
    for name, text in {
        "pipeline": 'platform: "ensemble"\nensemble_scheduling { step { model_name: "classify" model_version: -1 } }',
        "tokenize": 'backend: "python"\nmax_batch_size: 8',
    }.items():
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / CONFIG_FILE).write_text(text)
    with start(models=tmp_path, strict_readiness=False) as server:
        told = index(server)
        assert told["classify/1"] == ("READY", "")
        assert "config.pbtxt:2: ensemble_scheduling: got it set" in told["pipeline/1"][1]
        assert "config.pbtxt:1: backend: got 'python', expected 'onnxruntime'" in told["tokenize/1"][1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        ("latest { num_versions: 2 }", ["2", "3"]),
        ("all { }", ["1", "2", "3"]),
        ("specific { versions: [ 1, 3 ] }", ["1", "3"]),
        ("specific { versions: 2 }", ["2"]),
    ],
)
def test_a_policy_says_which_versions_answer(tmp_path: Path, policy: str, versions: list[str]) -> None:
    for version in (1, 2, 3):
        write_bare(tmp_path, "sum", sum_graph(), version)
    (tmp_path / "sum" / CONFIG_FILE).write_text(f"version_policy: {{ {policy} }}")
    write_bare(tmp_path, "other", sum_graph(), 1)
    write_bare(tmp_path, "other", sum_graph(), 2)
    with start(models=tmp_path) as server:
        assert httpx.get(f"{server.url}/v2/models/sum").json()["versions"] == versions
        assert httpx.get(f"{server.url}/v2/models/sum/versions/{versions[0]}").status_code == 200
        assert httpx.get(f"{server.url}/v2/models/other").json()["versions"] == ["2"], "as --versions says"


@pytest.mark.slow
def test_a_bad_version_counts_for_none_of_the_latest(tmp_path: Path) -> None:
    for version in (1, 2):
        write_bare(tmp_path, "sum", sum_graph(), version)
    write_bare(tmp_path, "sum", b"broken", 3)
    (tmp_path / "sum" / CONFIG_FILE).write_text("version_policy { latest { num_versions: 2 } }")
    with start(models=tmp_path, strict_readiness=False) as server:
        assert httpx.get(f"{server.url}/v2/models/sum").json()["versions"] == ["1", "2"]


@pytest.mark.slow
def test_a_policy_for_versions_that_are_not_there_is_said(tmp_path: Path) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    (tmp_path / "sum" / CONFIG_FILE).write_text("version_policy { specific { versions: [ 4, 5 ] } }")
    with start(models=tmp_path) as server:
        reason = "bundle sum/1 refused: version_policy: got versions [1], expected one of [4, 5]"
        assert index(server)["sum/1"] == ("UNAVAILABLE", reason)
        (tmp_path / "sum" / CONFIG_FILE).write_text("version_policy { all { } }")
        refresh(server)
        assert index(server)["sum/1"] == ("READY", "")


@pytest.mark.slow
def test_a_graph_that_has_another_shape_than_it_says_fails_by_name(tmp_path: Path) -> None:
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "k"]) for name in ("x", "y")]
    graph = graph_bytes([helper.make_node("Identity", ["x"], ["y"])], infos[:1], infos[1:], {})
    text = 'max_batch_size: 4 output { name: "y" dims: [ 2, 2 ] reshape { shape: [ 4 ] } }'
    configure(write_bare(tmp_path, "flex", graph), text)
    with start(models=tmp_path) as server, httpx.Client(base_url=server.url) as http:

        def ask(width: int) -> httpx.Response:
            data = list(range(width))
            return infer(
                http,
                "flex",
                {"inputs": [{"name": "x", "shape": [1, width], "datatype": "FP32", "data": data}]},
            )

        assert ask(4).json()["outputs"][0]["shape"] == [1, 2, 2]
        refused(ask(3), 500, "output y: got shape [1, 3] from the graph, expected [4] as in config.pbtxt")
