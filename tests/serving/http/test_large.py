"""Large requests through a real server: the same answers, in their own time, and refusals that cost nothing."""

import base64
import gzip
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from onnx import TensorProto
from PIL import Image

from serving.codec.infer import INLINE_BYTES
from serving.engine.large_work import Pacer
from serving.engine.metrics import SUCCESS
from serving.http import exchange
from tests.bundles import write_bare, write_brightness
from tests.serving.graphs import identity_graph
from tests.serving.servers import ThreadedServer, start

ELEMENTS = 100_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedServer]:
    root = tmp_path_factory.mktemp("large")
    write_bare(root, "same", identity_graph(TensorProto.FLOAT, "batch", "n"))
    write_bare(root, "texts", identity_graph(TensorProto.STRING, "batch", "n"))
    write_brightness(root)
    with start(models=root, max_inflight_bytes=256 << 20) as server:
        yield server


def post(server: ThreadedServer, path: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
    url = urlsplit(server.url)
    connection = HTTPConnection(url.hostname or "", url.port, timeout=60)
    try:
        connection.request(
            "POST", path, body, {name.replace("_", "-"): text for name, text in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def floats(count: int = ELEMENTS) -> list[float]:
    numbers: list[float] = np.random.default_rng(2).random(count, np.float32).round(4).tolist()
    return numbers


def infer(data: Any, shape: list[int], datatype: str = "FP32", **rest: Any) -> bytes:
    head = {"name": "x", "shape": shape, "datatype": datatype, "data": data}
    return json.dumps({"inputs": [head], **rest}).encode()


@pytest.mark.parametrize("way", ["fast", "close", "gzip", "again"])
@pytest.mark.parametrize("nested", [False, True])
def test_numbers_come_back_as_they_were_sent(large: ThreadedServer, way: str, nested: bool) -> None:
    sent = np.array(floats(), np.float32)
    body = infer(sent.reshape(4, -1).tolist() if nested else sent.tolist(), [4, ELEMENTS // 4])
    assert len(body) > INLINE_BYTES
    headers = {"close": {"Connection": "close"}, "gzip": {"Content_Encoding": "gzip"}}.get(way, {})
    if way == "gzip":
        body = gzip.compress(body)
    for _ in range(2 if way == "again" else 1):  # the head is known from the second on
        status, _, answer = post(large, "/v2/models/same/infer", body, **headers)
        assert status == 200, answer[:200]
        (output,) = json.loads(answer)["outputs"]
        assert output["shape"] == [4, ELEMENTS // 4]
        np.testing.assert_array_equal(np.array(output["data"], np.float32), sent)


def test_a_large_answer_comes_binary_or_compressed_too(large: ThreadedServer) -> None:
    sent = np.array(floats(), np.float32)
    body = infer(sent.tolist(), [1, ELEMENTS], parameters={"binary_data_output": True})
    status, headers, answer = post(large, "/v2/models/same/infer", body)
    head = int(headers["inference-header-content-length"])
    assert (status, int(headers["content-length"])) == (200, len(answer))
    np.testing.assert_array_equal(np.frombuffer(answer[head:], np.float32), sent)
    plain = post(large, "/v2/models/same/infer", infer(sent.tolist(), [1, ELEMENTS]))[2]
    packed = post(large, "/v2/models/same/infer", infer(sent.tolist(), [1, ELEMENTS]), Accept_Encoding="gzip")
    assert packed[1]["content-encoding"] == "gzip"
    assert gzip.decompress(packed[2]) == plain


def test_a_small_request_may_have_a_large_answer(large: ThreadedServer) -> None:
    texts = ["é" * 9] * 6000
    status, _, answer = post(large, "/v2/models/texts/infer", infer(texts, [1, 6000], "BYTES"))
    assert (status, json.loads(answer)["outputs"][0]["data"]) == (200, texts)


def test_strings_come_back_as_they_were_sent(large: ThreadedServer) -> None:
    texts = [f'"{number}",]\n' * (number % 7) for number in range(30_000)]
    status, _, answer = post(large, "/v2/models/texts/infer", infer(texts, [1, 30_000], "BYTES"))
    assert (status, json.loads(answer)["outputs"][0]["data"]) == (200, texts)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (infer([0.5] * ELEMENTS, [1, ELEMENTS, 1]), 400, "inputs[0].shape: got"),
        (infer([0.5] * ELEMENTS, [1, ELEMENTS + 1]), 400, "inputs[0].data: got 100000 elements, expected 100001"),
        (infer([*[0.5] * ELEMENTS, "a"], [1, ELEMENTS + 1]), 400, "inputs[0].data[100000]: got a str"),
        (infer([0.5] * ELEMENTS, [1, ELEMENTS])[:-2], 400, "body: got"),
        (infer([0.5] * ELEMENTS, [1, ELEMENTS], parameters={"timeout": -1}), 400, "parameters.timeout"),
        (infer([0.5] * ELEMENTS, [1, ELEMENTS], parameters={"timeout": 1000}), 504, "deadline of 1 ms"),
    ],
)  # fmt: skip
def test_a_fault_is_told_and_counted_once(
    large: ThreadedServer, body: bytes, status: int, words: str
) -> None:
    before = _failures(large)
    came, _, answer = post(large, "/v2/models/same/infer", body)
    assert (came, words in json.loads(answer)["error"]) == (status, True), answer[:300]
    assert _failures(large) == before + 1


def test_bytes_that_do_not_fit_are_refused_before_they_are_made(large: ThreadedServer) -> None:
    inflight = large.app.inflight
    taken = [inflight.hold(size << 20, "test") for size in (70, 60)]
    try:
        status, headers, answer = post(
            large, "/v2/models/texts/infer", infer([""] * 800_000, [1, 800_000], "BYTES")
        )
    finally:
        for each in taken:
            each.release()
    assert (status, "retry-after" in headers) == (429, True), answer[:300]
    assert "inputs: the request needs" in json.loads(answer)["error"]
    assert inflight.used == 0


def test_work_for_a_client_that_left_is_given_up(large: ThreadedServer) -> None:
    url = urlsplit(large.url)
    body = infer([0.25] * 3_000_000, [1, 3_000_000])
    head = f"POST /v2/models/same/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    before = _failures(large)
    with socket.create_connection((url.hostname, url.port)) as connection:
        connection.sendall(head.encode() + body)
    until = time.monotonic() + 30
    while _failures(large) == before and time.monotonic() < until:
        time.sleep(0.02)
    assert _failures(large) == before + 1
    while large.app.inflight.used and time.monotonic() < until:
        time.sleep(0.02)
    assert large.app.inflight.used == 0


def test_others_are_answered_while_a_large_request_is_decoded(
    large: ThreadedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    pace = Pacer.__call__

    def hold(self: Pacer) -> None:
        entered.set()
        assert go_on.wait(30)
        pace(self)

    monkeypatch.setattr(Pacer, "__call__", hold)
    answers: list[int] = []
    body = infer([0.5] * ELEMENTS, [1, ELEMENTS])
    asking = threading.Thread(target=lambda: answers.append(post(large, "/v2/models/same/infer", body)[0]))
    asking.start()
    try:
        assert entered.wait(30)
        assert post(large, "/v2/models/same/infer", infer([1.0], [1, 1]))[0] == 200
        assert not answers
    finally:
        go_on.set()
        asking.join(60)
    assert answers == [200]


def noise(side: int) -> bytes:
    """A BMP of so many pixels a side, three bytes each."""
    pixels = np.random.default_rng(4).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "BMP")
    return file.getvalue()


@pytest.mark.parametrize("verb", ["predict", "explain"])
def test_a_large_image_in_json_is_answered_as_the_image_alone(large: ThreadedServer, verb: str) -> None:
    content = noise(400)
    image, path = base64.b64encode(content).decode(), f"/v1/models/brightness:{verb}"
    alone = post(large, path, content, Content_Type="image/bmp")
    one = post(large, path, json.dumps({"instances": [{"b64": image}]}).encode())
    assert (one[0], one[2]) == (alone[0], alone[2]) == (200, alone[2])


@pytest.mark.parametrize(
    ("instances", "status", "words"),
    [
        ([{"b64": f"{'A' * 500}*{'A' * 400_000}"}], 400, "instances[0].b64: got AAAA"),
        (["x", {"b64": "A" * 400_000, "k": 1}], 400, "instances[0]: got x, expected an object"),
        ([{"b64": "A" * 400_000, "k": 1}], 400, "instances[0]: got {'b64': 'AAAA"),
        ([{"b64": "A" * 900}] * 1025, 413, "instances: got 1025 instances, expected at most"),
        ([{"history": list(range(300_000))}], 413, "instances[0]: got"),
        ([], 400, "instances: got an empty list"),
    ],
)
def test_large_instances_that_are_wrong_are_refused_by_field(
    large: ThreadedServer, instances: list[Any], status: int, words: str
) -> None:
    body = json.dumps({"instances": instances, "padding": "x" * (300_000 if not instances else 1)}).encode()
    came, _, answer = post(large, "/v1/models/brightness:predict", body)
    assert (came, json.loads(answer)["error"][: len(words)]) == (status, words)


def test_a_large_image_is_taken_as_it_is(large: ThreadedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    path, content = "/v1/models/brightness:predict", noise(500)
    alone = post(large, path, content, Content_Type="image/bmp")
    monkeypatch.setattr(exchange, "INLINE_BINARY_BYTES", len(content) - 1)
    assert post(large, path, content, Content_Type="image/bmp")[2] == alone[2]
    form = b"\r\n".join(
        [b"--b", b'Content-Disposition: form-data; name="f"; filename="f"', b"Content-Type: image/bmp", b"",
         content, b"--b--", b""]
    )  # fmt: skip
    assert alone[0] == 200
    assert post(large, path, form, Content_Type="multipart/form-data; boundary=b")[2] == alone[2]


def _failures(server: ThreadedServer) -> int:
    """Requests that ended in an error, of all models."""
    outcomes = [model.metrics.outcomes for model in server.app.registry.served()]
    return sum(count for each in outcomes for outcome, count in each.items() if outcome != SUCCESS)


@pytest.mark.parametrize("reads", [True, False], ids=["is read late", "is never read"])
def test_an_answer_that_waited_is_given_back_on_a_thread(
    large: ThreadedServer, monkeypatch: pytest.MonkeyPatch, reads: bool
) -> None:
    given_back: list[list[bytes | memoryview]] = []
    sizes: list[int] = []
    fast_path = large.app.fast_path
    let_go = fast_path.let_go

    def watched(parts: list[bytes | memoryview]) -> None:
        sizes.append(sum(map(len, parts)))
        given_back.append(parts)
        let_go(parts)

    monkeypatch.setattr(fast_path, "let_go", watched)
    numbers = np.random.default_rng(0).random(1_500_000, np.float32)
    tensor = {"name": "x", "shape": [1, len(numbers)], "datatype": "FP32"}
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": numbers.nbytes}}]}).encode()
    url = urlsplit(large.url)
    lines = (
        "POST /v2/models/same/infer HTTP/1.1",
        "Host: here",
        f"Content-Length: {len(head) + numbers.nbytes}",
        f"Inference-Header-Content-Length: {len(head)}",
    )
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=30) as connection:
        connection.sendall("\r\n".join((*lines, "", "")).encode() + head + numbers.tobytes())
        assert connection.recv(9) == b"HTTP/1.1 "
        time.sleep(0.3)
        connection.settimeout(1.0)  # the server is silent when it has sent all
        with suppress(TimeoutError):
            while reads:
                connection.recv(1 << 20)
    until = time.monotonic() + 30
    while not (given_back and not given_back[0]) and time.monotonic() < until:
        time.sleep(0.01)
    assert given_back == [[]], "all parts are let go, once"
    assert sizes[0] > 5_000_000
