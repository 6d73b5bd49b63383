"""A model's tensors under its config.pbtxt: the rows of a batch, and the client's view."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from inference.store.bundle import Bundle
from inference.triton.fields import CONFIG_FILE
from inference.triton.tensors import client_view
from tests.bundles import sum_graph, write_bare, write_brightness
from tests.inference.triton.files import write
from tests.serving.graphs import identity_graph


@pytest.mark.parametrize(
    ("text", "rows", "shape"),
    [
        ("max_batch_size: 0", 0, (-1, 3)),
        ("max_batch_size: 5", 5, (-1, 3)),
        ("max_batch_size: 500", 500, (-1, 3)),
        ("", 64, (-1, 3)),
        ('input { name: "x" dims: [-1, 3] }', 64, (-1, 3)),
        ('input { name: "x" dims: [-1, -1] }', 64, (-1, 3)),
        ('input { name: "x" dims: [1, 3] }', 0, (1, 3)),
        ('max_batch_size: 0 input { name: "x" dims: [2, 3] }', 0, (2, 3)),
        ('max_batch_size: 5 input { name: "x" dims: [3] }', 5, (-1, 3)),
        ('max_batch_size: 5 input { name: "x" dims: [1, 3, 1] reshape { shape: [3] } }', 5, (-1, 1, 3, 1)),
        ('max_batch_size: 0 input { name: "x" dims: [3] reshape { shape: [1, 3] } }', 0, (3,)),
        ('input { name: "x" dims: [3] reshape { shape: [1, 3] } }', 0, (3,)),
    ],
)
def test_the_first_axis_is_a_batch_where_the_operator_says_so(
    tmp_path: Path, text: str, rows: int, shape: tuple[int, ...]
) -> None:
    bundle = Bundle.open(write(tmp_path, text))
    assert bundle.manifest.max_batch_size == bundle.client_view().manifest.max_batch_size == rows
    assert bundle.manifest.inputs[0].shape == (-1, 3), "the graph stays as it is"
    assert bundle.client_view().manifest.inputs[0].shape == shape


def test_outputs_that_are_not_listed_are_kept_back(tmp_path: Path) -> None:
    folder = write_brightness(tmp_path)
    (folder.parent / CONFIG_FILE).write_text('max_batch_size: 4 output { name: "logits" dims: 2 }')
    bundle = Bundle.open(folder)
    assert [spec.name for spec in bundle.manifest.outputs] == ["probabilities", "logits"]
    assert [spec.name for spec in bundle.client_view().manifest.outputs] == ["logits"]


@pytest.mark.parametrize(
    ("text", "rows"),
    [("max_batch_size: 4", 4), ("max_batch_size: 400", 16), ("max_batch_size: 0", 1), ("", 16)],
)
def test_a_trained_bundles_own_limit_stays_the_upper_one(tmp_path: Path, text: str, rows: int) -> None:
    folder = write_brightness(tmp_path)
    (folder.parent / CONFIG_FILE).write_text(text)
    assert Bundle.open(folder).manifest.max_batch_size == rows


def test_a_tensor_without_axes_is_one_of_a_single_element_to_callers(tmp_path: Path) -> None:
    for name, text in (("0", "dims: [1]"), ("1", "dims: [1] reshape { shape: [] }")):
        folder = write(
            tmp_path / name,
            f'max_batch_size: 0 input {{ name: "x" {text} }}',
            identity_graph(TensorProto.FLOAT),
        )
        seen = Bundle.open(folder).client_view()
        assert seen.manifest.inputs[0].shape == (1,)
        assert seen.inputs["x"](np.ones(1)).shape == ()


def test_without_a_configuration_callers_see_the_graph(tmp_path: Path) -> None:
    bundle = Bundle.open(write_bare(tmp_path, "sum", sum_graph()))
    assert bundle.config is None
    assert client_view(None, bundle.manifest).manifest is bundle.manifest


def test_an_output_of_unknown_rank_is_shown_as_the_configuration_has_it(tmp_path: Path) -> None:
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3]),
        helper.make_tensor_value_info("shape", TensorProto.INT64, ["k"]),
    ]
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    unknown = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_model(
        helper.make_graph([node], "g", inputs, [unknown]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    text = 'max_batch_size: 4 output { name: "y" dims: [ 3 ] }'
    bundle = Bundle.open(write(tmp_path, text, graph.SerializeToString()))
    assert bundle.manifest.outputs[0].shape == ()
    assert bundle.client_view().manifest.outputs[0].shape == (-1, 3)
