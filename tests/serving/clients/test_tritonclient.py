"""`tritonclient` over HTTP, both the one that blocks and the one for event loops: all that they can ask."""

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ml_dtypes
import numpy as np
import onnx
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as aio
from onnx import numpy_helper
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from tests.bundles import write_bare
from tests.serving.protocol.wire import VALUES
from tests.serving.servers import ADMIN, ThreadedServer, start

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


OPEN = {"Authorization": f"Bearer {ADMIN}"}


class Blocking:
    """The client for event loops, asked as the other one is: each call is waited for."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._runner.get_loop()
        self._client = self._runner.run(self._made(url))

    async def _made(self, url: str) -> Any:
        return aio.InferenceServerClient(url)  # which wants a running loop

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            return await method(*arguments, **named)

        return lambda *arguments, **named: self._runner.run(call(*arguments, **named))

    def close(self) -> None:
        """Hang up, and end its loop."""
        self._runner.run(self._client.close())
        self._runner.close()


CLIENTS = {"http": triton.InferenceServerClient, "aio": Blocking}


@pytest.fixture(params=CLIENTS)
def client(server: ThreadedServer, request: pytest.FixtureRequest) -> Iterator[Any]:
    made = CLIENTS[request.param](server.url.removeprefix("http://"))
    yield made
    made.close()


def tensor(name: str, array: Any, datatype: str, *, binary: bool) -> Any:
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("sum")
    assert client.is_model_ready("sum", "1")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    told = client.get_model_metadata("sum")
    assert told["inputs"][0] == {"name": "x", "datatype": "FP32", "shape": [-1, 3]}
    assert told["versions"] == ["1"]
    assert client.get_model_config("sum")["max_batch_size"] == 64
    assert {
        "name": "sum",
        "version": "1",
        "state": "READY",
        "reason": "",
    } in client.get_model_repository_index()


@pytest.mark.parametrize("binary_in", [False, True], ids=["json in", "binary in"])
@pytest.mark.parametrize("binary_out", [False, True], ids=["json out", "binary out"])
def test_two_inputs_with_a_batch_that_nobody_wrote_a_manifest_for(
    client: Any, binary_in: bool, binary_out: bool
) -> None:
    x, y = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((2, 3), np.float32)
    inputs = [tensor("x", x, "FP32", binary=binary_in), tensor("y", y, "FP32", binary=binary_in)]
    outputs = [triton.InferRequestedOutput("total", binary_data=binary_out)]
    answer = client.infer("sum", inputs, outputs=outputs, request_id="7")
    np.testing.assert_array_equal(answer.as_numpy("total"), x + y)
    assert answer.get_response()["id"] == "7"


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_bytes_come_back_unchanged(client: Any, binary: bool) -> None:
    texts = np.array([["naïve"], [""], ["日本"]], dtype=np.object_)
    outputs = [triton.InferRequestedOutput("y", binary_data=binary)]
    answer = client.infer("echo", [tensor("x", texts, "BYTES", binary=binary)], outputs=outputs)
    got = [text.decode() if isinstance(text, bytes) else text for text in answer.as_numpy("y")[:, 0]]
    assert got == ["naïve", "", "日本"]


def test_bf16_comes_back_as_the_client_presents_it(client: Any) -> None:
    numbers = np.array([[1.0, -2.5], [0.0, 3.0]], ml_dtypes.bfloat16)
    answer = client.infer("half", [tensor("x", numbers, "BF16", binary=True)])
    np.testing.assert_array_equal(answer.as_numpy("y"), numbers)


@pytest.mark.slow
def test_who_knows_the_token_loads_and_unloads(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="token"):
        client.unload_model("whole")
    client.unload_model("whole", headers=OPEN, unload_dependents=True)
    assert not client.is_model_ready("whole")
    client.load_model("whole", headers=OPEN)
    assert client.is_model_ready("whole")


def test_the_repository_is_listed_and_a_reload_serves_on(client: Any) -> None:
    listed = {each["name"]: each["state"] for each in client.get_model_repository_index(headers=OPEN)}
    assert listed["sum"] == "READY"
    client.load_model("sum", headers=OPEN)
    assert client.is_model_ready("sum")


def test_files_in_a_load_are_refused(client: Any) -> None:
    with pytest.raises(InferenceServerException, match=r"file|config|parameters"):
        client.load_model("sum", headers=OPEN, config="{}", files={"file:1/model.onnx": b"graph"})


def test_traces_are_told_and_what_is_not_in_force_cannot_be_set(client: Any) -> None:
    for model in (None, "sum"):
        told = client.get_trace_settings(model_name=model)
        assert told["trace_level"] == ["OFF"]
        assert client.update_trace_settings(model, {"trace_level": ["OFF"]}) == told
        with pytest.raises(InferenceServerException, match="in force is"):
            client.update_trace_settings(model, {"trace_level": ["TIMESTAMPS"]})


def test_log_settings_are_told_and_what_is_not_in_force_cannot_be_set(client: Any) -> None:
    told = client.get_log_settings()
    assert told.keys() >= {"log_info", "log_warning", "log_error", "log_verbose_level"}
    assert client.update_log_settings({"log_info": told["log_info"]}) == told
    with pytest.raises(InferenceServerException, match="in force is"):
        client.update_log_settings({"log_verbose_level": 2})


def test_shared_memory_is_off(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="shared memory"):
        client.register_system_shared_memory("region", "/key", 8)
    with pytest.raises(InferenceServerException, match="shared memory"):
        client.register_cuda_shared_memory("region", b"handle", 0, 8)
    assert client.get_system_shared_memory_status() == client.get_cuda_shared_memory_status() == []
    client.unregister_system_shared_memory()
    client.unregister_cuda_shared_memory("region")
    region = triton.InferInput("x", [1, 2], "FP32")
    region.set_shared_memory("region", 8)
    with pytest.raises(InferenceServerException, match=r"inputs\[0\]"):
        client.infer("flex", [region])


@pytest.mark.parametrize(
    ("name", "binary"),
    [(name, binary) for name in VALUES for binary in (False, True) if binary or name != "FP16"],  # bytes only
)
def test_every_datatype_comes_back(client: Any, name: str, binary: bool) -> None:
    arrays = {each: np.array([VALUES[each]] * 2, triton_to_np_dtype(each)) for each in VALUES}
    inputs = [
        tensor(f"in_{each}", array, each, binary=binary if each == name else True)
        for each, array in arrays.items()
    ]
    outputs = [triton.InferRequestedOutput(f"out_{name}", binary_data=binary)]
    got = client.infer("types", inputs, outputs=outputs).as_numpy(f"out_{name}")
    if name == "BYTES":
        got = np.array(
            [[text.decode() if isinstance(text, bytes) else text for text in row] for row in got], object
        )
    assert got.dtype == triton_to_np_dtype(name)
    np.testing.assert_array_equal(got, arrays[name])


@pytest.mark.parametrize("binary_in", [False, True], ids=["json in", "binary in"])
@pytest.mark.parametrize("binary_out", [False, True], ids=["json out", "binary out"])
def test_what_is_not_finite_is_read_back_as_computed(client: Any, binary_in: bool, binary_out: bool) -> None:
    odd = np.array([[np.nan, np.inf, -np.inf, 0.1]], np.float32)
    expected = [triton.InferRequestedOutput("y", binary_data=binary_out)]
    answer = client.infer("flex", [tensor("x", odd, "FP32", binary=binary_in)], outputs=expected)
    np.testing.assert_array_equal(answer.as_numpy("y"), odd)


def test_bytes_that_are_no_text_come_back_as_they_are(client: Any) -> None:
    odd = np.array([[b"\xff\xfe"], [b"text"], [b"\x00\xe9" * 30]], np.object_)
    answer = client.infer("echo", [tensor("x", odd, "BYTES", binary=True)])
    assert answer.as_numpy("y").tolist() == odd.tolist()


def test_a_graph_of_ids_is_asked_as_triton_shows_it(client: Any) -> None:
    assert client.get_model_metadata("tens")["inputs"][0]["shape"] == [-1, 1]
    column = np.array([[4], [5]])
    answer = client.infer("tens", [tensor("x", column, "INT64", binary=True)])
    np.testing.assert_array_equal(answer.as_numpy("y").ravel(), [40, 50])


def test_options_of_a_request_are_taken(client: Any) -> None:
    answer = client.infer(
        "sum",
        [tensor(name, np.ones((1, 3), np.float32), "FP32", binary=True) for name in ("x", "y")],
        model_version="1",
        request_id="",
        priority=1,
        timeout=30_000_000,  # microseconds
        headers={"X-Mine": "own"},
        query_params={"test": 1},
        parameters={"mine": "own"},
    )
    np.testing.assert_array_equal(answer.as_numpy("total"), np.full((1, 3), 2, np.float32))
    assert answer.get_output("total")["datatype"] == "FP32"


def test_twenty_at_once_by_its_own_threads(server: ThreadedServer) -> None:
    many = triton.InferenceServerClient(server.url.removeprefix("http://"), concurrency=8)
    numbers = [np.full((1, 3), place, np.float32) for place in range(20)]
    asked = [many.async_infer("flex", [tensor("x", each, "FP32", binary=True)]) for each in numbers]
    for each, answer in zip(numbers, asked, strict=True):
        np.testing.assert_array_equal(answer.get_result().as_numpy("y"), each)
    many.close()


def test_bodies_made_and_read_without_a_connection(server: ThreadedServer) -> None:
    made = triton.InferenceServerClient
    numbers = np.array([[1, 2, 3]], np.float32)
    body, length = made.generate_request_body([tensor("x", numbers, "FP32", binary=True)])
    headers = {"Inference-Header-Content-Length": str(length)}
    answer = httpx.post(f"{server.url}/v2/models/flex/infer", content=body, headers=headers)
    split = int(answer.headers["Inference-Header-Content-Length"])
    read = made.parse_response_body(answer.content, header_length=split)
    np.testing.assert_array_equal(read.as_numpy("y"), numbers)


TRIED = {
    "close", "is_server_live", "is_server_ready", "is_model_ready", "get_server_metadata", "get_model_metadata",
    "get_model_config", "get_model_repository_index", "load_model", "unload_model", "get_inference_statistics",
    "update_trace_settings", "get_trace_settings", "update_log_settings", "get_log_settings",
    "get_system_shared_memory_status", "register_system_shared_memory", "unregister_system_shared_memory",
    "get_cuda_shared_memory_status", "register_cuda_shared_memory", "unregister_cuda_shared_memory",
    "generate_request_body", "parse_response_body", "infer", "async_infer", "register_plugin", "unregister_plugin",
    "plugin",
}  # fmt: skip


@pytest.mark.parametrize("kind", [triton.InferenceServerClient, aio.InferenceServerClient], ids=CLIENTS)
def test_every_method_is_tried(kind: type[Any]) -> None:
    public = {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}
    assert public <= TRIED


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_classification_names_the_likeliest(client: Any, binary: bool) -> None:
    pixels = np.full((2, 4, 4, 1), 255, np.uint8)
    pixels[1] = 0
    outputs = [triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)]
    answer = client.infer("brightness", [tensor("image", pixels, "UINT8", binary=True)], outputs=outputs)
    got = answer.as_numpy("probabilities")
    words = [[text.decode() if isinstance(text, bytes) else text for text in row] for row in got]
    assert [row[0].split(":")[1:] for row in words] == [["1", "bright"], ["0", "dark"]]
    assert words[0][0].startswith("0.9996")
    assert len(words[0][0].split(":")[0]) == len("0.999665")


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_both_ways(client: Any, algorithm: str) -> None:
    long = np.arange(2000, dtype=np.float32).reshape(1, -1)
    answer = client.infer(
        "flex",
        [tensor("x", long, "FP32", binary=True)],
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    np.testing.assert_array_equal(answer.as_numpy("y"), long)


def test_statistics_count_what_was_asked(client: Any) -> None:
    def now() -> dict[str, Any]:
        told: dict[str, Any] = client.get_inference_statistics("whole")["model_stats"][0]
        return told

    before = now()
    for _ in range(3):
        client.infer("whole", [tensor("x", np.zeros((2, 3), np.float32), "FP32", binary=True)])
    after = now()
    assert after["inference_count"] - before["inference_count"] == 3
    assert after["execution_count"] - before["execution_count"] == 3
    stats = after["inference_stats"]
    assert set(stats) == {
        "success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss",
    }  # fmt: skip
    assert stats["queue"]["count"] == stats["success"]["count"]
    assert stats["success"]["ns"] >= stats["compute_infer"]["ns"] > 0
    assert after["batch_stats"][0]["batch_size"] == 1
    assert after["last_inference"] > 1_700_000_000_000


def test_errors_arrive_with_their_words(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="Request for unknown model: 'x' is not found"):
        client.get_model_metadata("x")
    with pytest.raises(InferenceServerException, match=r"inputs\[0\]\.shape"):
        client.infer("flex", [tensor("x", np.zeros((1, 2, 3), np.float32), "FP32", binary=True)])


@pytest.mark.slow
def test_squeezenet_of_the_onnx_package_gives_its_expected_output(tmp_path: Path) -> None:
    write_bare(tmp_path, "squeezenet", (LIGHT / "light_squeezenet.onnx").read_bytes())
    expected = numpy_helper.to_array(onnx.load_tensor(LIGHT / "light_squeezenet_output_0.pb"))
    with start(models=tmp_path) as server:
        client = triton.InferenceServerClient(server.url.removeprefix("http://"))
        spec = client.get_model_metadata("squeezenet")["inputs"][0]
        shape = [1 if axis < 0 else axis for axis in spec["shape"]]
        # The package's own runner makes the input of its light models like this.
        size = int(np.prod(shape))
        pixels = (np.arange(size, dtype=np.float32) / size).reshape(shape)
        answer = client.infer("squeezenet", [tensor(spec["name"], pixels, "FP32", binary=True)])
        name = answer.get_response()["outputs"][0]["name"]
        np.testing.assert_allclose(answer.as_numpy(name), expected, rtol=1e-3, atol=1e-6)
        client.close()
