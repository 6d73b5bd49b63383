"""Tensors of a config.pbtxt that are not those of the graph are refused."""

from pathlib import Path

from onnx import TensorProto

from inference.triton.fields import CONFIG_FILE
from tests.bundles import write_brightness
from tests.inference.triton.files import refusal, write
from tests.serving.graphs import identity_graph


def test_a_batch_needs_an_axis(tmp_path: Path) -> None:
    folder = write(tmp_path, "max_batch_size: 4", identity_graph(TensorProto.FLOAT, 1, 3))
    told = "max_batch_size: got 4, but the graph's input 'x' has shape [1, 3], whose first axis is no batch"
    assert told in refusal(folder)


def test_a_trained_bundle_has_rows_whatever_the_configuration_says(tmp_path: Path) -> None:
    folder = write_brightness(tmp_path)
    (folder.parent / CONFIG_FILE).write_text('max_batch_size: 0 input { name: "image" dims: [5, 4, 4, 1] }')
    assert "expected -1 first: a bundle with a manifest takes rows" in refusal(folder)
