"""2.3 Inference request: id, parameters, inputs, outputs."""

import json
from typing import Any

import httpx
import numpy as np
import pytest

from tests.serving.graphs import MIXED
from tests.serving.protocol.wire import VALUES, echo, infer, refused


def test_an_id_is_given_back_unless_it_is_empty(http: httpx.Client) -> None:
    assert infer(http, "flex", echo([1, 2], id='a"é')).json()["id"] == 'a"é'
    assert "id" not in infer(http, "flex", echo([1, 2], id="")).json()


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        ([1, 2], [1, 2]),
        ([[1, 2]], [1, 2]),
        ([[1], [2]], [2, 1]),
        ([1, 2], [2, 1]),
        ([], [1, 0]),
        ([[]], [1, 0]),
    ],
)
def test_data_may_be_nested_or_flat(http: httpx.Client, data: object, shape: list[int]) -> None:
    output = infer(http, "flex", echo(data, shape)).json()["outputs"][0]
    assert output["shape"] == shape
    assert output["data"] == [float(number) for number in np.ravel(np.array(data))]


def test_outputs_are_those_asked_for_in_that_order(http: httpx.Client) -> None:
    inputs = [{"name": f"in_{n}", "shape": [1, 2], "datatype": n, "data": VALUES[n]} for n in MIXED]
    asked = [{"name": "out_INT8"}, {"name": "out_BOOL"}]
    told = infer(http, "types", {"inputs": inputs, "outputs": asked}).json()
    assert [output["name"] for output in told["outputs"]] == ["out_INT8", "out_BOOL"]
    everything = infer(http, "types", {"inputs": inputs, "outputs": []}).json()
    assert len(everything["outputs"]) == len(MIXED)
    refused(infer(http, "flex", echo([1, 2], outputs=[{"name": "z"}])), 400, "outputs[0].name", "z")


def test_what_the_protocol_does_not_name_is_tolerated(http: httpx.Client) -> None:
    body = echo([1, 2], model_name="other", parameters={"headers": "x", "mine": 1.5, "ok": True})
    assert infer(http, "flex", body).status_code == 200


def test_reserved_parameters(http: httpx.Client) -> None:
    def ask(**parameters: Any) -> httpx.Response:
        return infer(http, "flex", echo([1, 2], parameters=parameters))

    refused(ask(triton_enable_empty_final_response=True), 400, "triton_")
    refused(ask(sequence_id=7), 501, "sequence_id")
    assert ask(sequence_id=0, sequence_start=False).status_code == 200
    assert ask(sequence_id="").status_code == 200
    assert ask(priority=1).status_code == 200
    refused(ask(priority=-1), 400, "parameters.priority")
    assert ask(timeout=60_000_000).status_code == 200
    refused(ask(timeout="soon"), 400, "parameters.timeout")
    refused(ask(binary_data_output="yes"), 400, "parameters.binary_data_output")
    refused(ask(mine=[1]), 400, "parameters")


def test_a_deadline_that_has_passed_is_answered_504(http: httpx.Client) -> None:
    many = [1] * 200_000  # which take some milliseconds to read
    asked = echo(many, [1, len(many)], parameters={"timeout": 1000})
    refused(infer(http, "flex", asked), 504, "deadline of 1 ms")
    answer = http.post(
        "/v2/models/flex/infer", content=json.dumps(echo([1, 2])), headers={"X-Request-Timeout-Ms": "0.001"}
    )
    refused(answer, 504, "deadline")
    late = http.post("/v2/models/flex/infer", content=b"{}", headers={"X-Request-Timeout-Ms": "soon"})
    refused(late, 400)


def test_the_nearest_deadline_holds(http: httpx.Client) -> None:
    def ask(timeout_us: int, header_ms: str) -> httpx.Response:
        body = echo([1, 2], parameters={"timeout": timeout_us})
        headers = {"X-Request-Timeout-Ms": header_ms}
        return http.post("/v2/models/flex/infer", content=json.dumps(body), headers=headers)

    assert ask(60_000_000, "60000").status_code == 200
    refused(ask(60_000_000, "0.001"), 504, "0.001 ms")
    assert ask(1000, "60000").status_code in (200, 504)


def test_a_deadline_under_a_millisecond_is_taken_for_none(http: httpx.Client) -> None:
    """Of a client that writes seconds where the protocol has microseconds."""
    for timeout_us in (1, 30, 999):
        assert infer(http, "flex", echo([1, 2], parameters={"timeout": timeout_us})).status_code == 200


@pytest.mark.parametrize("parameters", [{"a": {}}, {"a": [1]}, [], "x", 1])
def test_parameters_are_texts_numbers_and_booleans(http: httpx.Client, parameters: Any) -> None:
    refused(infer(http, "flex", echo([1, 2], parameters=parameters)), 400, "parameters")


def test_rows_over_the_configuration_are_cut_into_runs(http: httpx.Client) -> None:
    """Where Triton answers 400, as if a client knew how a server batches."""
    most = http.get("/v2/models/flex/config").json()["max_batch_size"]
    for rows in (most, most + 1, 10 * most + 3):
        values = [float(value) for value in range(rows)]
        answer = infer(http, "flex", echo(values, [rows, 1]))
        assert answer.json()["outputs"][0] == {
            "name": "y", "datatype": "FP32", "shape": [rows, 1], "data": values
        }  # fmt: skip


def test_parameters_of_a_tensor_that_nobody_knows_are_tolerated(http: httpx.Client) -> None:
    body = echo([1, 2], outputs=[{"name": "y", "parameters": {"mine": 1}}])
    body["inputs"][0]["parameters"] = {"mine": "x"}
    assert infer(http, "flex", body).json()["outputs"][0]["data"] == [1.0, 2.0]
