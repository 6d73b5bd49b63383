"""2.6 Classification extension."""

from typing import Any

import httpx
import pytest

from tests.serving.graphs import MIXED
from tests.serving.protocol.wire import VALUES, blob_of, echo, infer, refused, unpacked


def ask_classes(
    http: httpx.Client, model: str, body: dict[str, Any], name: str, **parameters: Any
) -> httpx.Response:
    return infer(http, model, {**body, "outputs": [{"name": name, "parameters": parameters}]})


def test_classification_in_json(http: httpx.Client) -> None:
    answer = ask_classes(http, "flex", echo([3, 1, 2, 2], [2, 2]), "y", classification=5).json()
    assert answer["outputs"] == [
        {
            "name": "y",
            "datatype": "BYTES",
            "shape": [2, 2],
            "data": ["3.000000:0", "1.000000:1", "2.000000:0", "2.000000:1"],
        }
    ]


def test_classification_without_a_batch_axis(http: httpx.Client) -> None:
    body = {"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP32", "data": [0, 5, 1, 9, 2, 3]}]}
    answer = ask_classes(http, "whole", body, "y", classification=2).json()
    assert answer["outputs"][0]["shape"] == [2]
    assert answer["outputs"][0]["data"] == ["9.000000:3", "5.000000:1"]


def test_classification_in_binary(http: httpx.Client) -> None:
    told, rest = unpacked(ask_classes(http, "flex", echo([3, 1]), "y", classification=1, binary_data=True))
    assert told["outputs"][0]["datatype"] == "BYTES"
    assert rest == blob_of("BYTES", ["3.000000:0"])


@pytest.mark.parametrize(
    ("datatype", "first"), [("UINT64", "18446744073709551615:1"), ("INT8", "127:1"), ("BOOL", "1:0")]
)
def test_classification_of_whole_numbers(http: httpx.Client, datatype: str, first: str) -> None:
    inputs = [{"name": f"in_{n}", "shape": [1, 2], "datatype": n, "data": VALUES[n]} for n in MIXED]
    answer = ask_classes(http, "types", {"inputs": inputs}, f"out_{datatype}", classification=1)
    assert answer.json()["outputs"][0]["data"] == [first]


@pytest.mark.parametrize("datatype", ["BYTES", "FP16"])
def test_classification_refuses_what_has_no_rank(http: httpx.Client, datatype: str) -> None:
    inputs = [{"name": f"in_{n}", "shape": [1, 2], "datatype": n, "data": VALUES[n]} for n in MIXED]
    answer = ask_classes(http, "types", {"inputs": inputs}, f"out_{datatype}", classification=1)
    refused(answer, 400, "outputs[0].parameters.classification", datatype)


def test_a_label_follows_its_index_and_no_more_are_told_than_there_are(http: httpx.Client) -> None:
    body = {"inputs": [{"name": "image", "shape": [1, 4, 4, 1], "datatype": "UINT8", "data": [255] * 16}]}
    answer = ask_classes(http, "brightness", body, "probabilities", classification=9).json()["outputs"][0]
    assert (answer["datatype"], answer["shape"]) == ("BYTES", [1, 2])
    assert [text.split(":")[1:] for text in answer["data"]] == [["1", "bright"], ["0", "dark"]]
    assert [len(text.split(":")[0].split(".")[1]) for text in answer["data"]] == [6, 6]


def test_the_values_are_those_of_the_output_as_it_is(http: httpx.Client) -> None:
    answer = ask_classes(http, "flex", echo([-7.25, 1e6, 3], [1, 3]), "y", classification=3).json()
    assert answer["outputs"][0]["data"] == ["1000000.000000:1", "3.000000:2", "-7.250000:0"]


@pytest.mark.parametrize("classes", [-1, True, "2", 1.5])
def test_classes_are_counted(http: httpx.Client, classes: Any) -> None:
    answer = ask_classes(http, "flex", echo([1, 2]), "y", classification=classes)
    refused(answer, 400, "outputs[0].parameters.classification")


def test_no_classes_are_no_classification(http: httpx.Client) -> None:
    answer = ask_classes(http, "flex", echo([1, 2]), "y", classification=0).json()
    assert answer["outputs"][0]["data"] == [1.0, 2.0]


def test_bf16_has_no_rank(http: httpx.Client) -> None:
    answer = ask_classes(http, "half", echo([1, 2], datatype="BF16"), "y", classification=1)
    refused(answer, 400, "outputs[0].parameters.classification", "BF16")


def test_classification_goes_into_no_shared_memory(http: httpx.Client) -> None:
    answer = ask_classes(http, "flex", echo([1, 2]), "y", classification=1, shared_memory_region="r")
    refused(answer, 501, "shared memory")
