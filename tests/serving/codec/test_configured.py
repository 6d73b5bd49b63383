"""Shapes on the wire and in the graph where `config.pbtxt` tells them apart, and its deadline."""

import json
from typing import Any

import numpy as np
import pytest

from inference.errors import InferenceFailed
from inference.triton.shapes import Reshape
from inference.values import DataType
from serving.codec.configured import ConfiguredCodec, Reshapes
from tests.serving.codec.manifests import manifest, spec

MANIFEST = manifest([spec("x", DataType.FP32, -1, 4)], [spec("y", DataType.FP32, -1, 4)])


def codec(timeout_us: int = 0) -> ConfiguredCodec:
    to_graph = {"x": Reshape((4,), (2, 2), batched=True)}
    to_client = {"y": Reshape((2, 2), (4,), batched=True)}
    return ConfiguredCodec(MANIFEST, {}, None, Reshapes(to_graph, to_client), timeout_us)


def body(**extra: Any) -> bytes:
    given = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
    return json.dumps({"inputs": [given], **extra}).encode()


def test_inputs_are_reshaped_for_the_graph_and_outputs_for_the_client() -> None:
    request = codec().decode(body())
    assert request.tensors["x"].tolist() == [[[1, 2], [3, 4]]]
    answer = codec().encode(request, {"y": request.tensors["x"]})
    assert json.loads(answer.body)["outputs"][0]["shape"] == [1, 4]


def test_an_output_of_another_size_is_the_graphs_fault() -> None:
    request = codec().decode(body())
    with pytest.raises(
        InferenceFailed,
        match=r"^output y: got shape \[1, 3\] from the graph, expected \[2, 2\] as in config\.pbtxt$",
    ):
        codec().encode(request, {"y": np.zeros((1, 3), np.float32)})


@pytest.mark.parametrize(
    ("configured", "sent", "taken"),
    [(5000, 0, 5000), (5000, 9000, 5000), (5000, 2000, 2000), (0, 9000, 9000)],
)
def test_the_configured_deadline_is_the_default_and_the_most(configured: int, sent: int, taken: int) -> None:
    extra = {"parameters": {"timeout": sent}} if sent else {}
    assert codec(configured).decode(body(**extra)).timeout_us == taken
