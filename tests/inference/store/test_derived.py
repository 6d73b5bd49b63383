"""The manifest of a bare graph, and files in its place that are no graph."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from inference.errors import FileMissing, GraphInvalid
from inference.store.bundle import Bundle
from inference.store.derived import DERIVED_MAX_BATCH_SIZE, existing_graph
from tests.bundles import graph_bytes, sum_graph, write_bare
from tests.serving.graphs import identity_graph


def test_a_dynamic_first_axis_may_be_a_batch(tmp_path: Path) -> None:
    manifest = Bundle.open(write_bare(tmp_path, "sum", sum_graph())).manifest
    assert (manifest.task, manifest.serve, manifest.max_batch_size) == (
        "tensor",
        "fp32",
        DERIVED_MAX_BATCH_SIZE,
    )
    assert list(manifest.files) == ["model.onnx"]


def test_a_fixed_first_axis_is_no_batch(tmp_path: Path) -> None:
    folder = write_bare(tmp_path, "one", identity_graph(TensorProto.FLOAT, 1, 3))
    assert Bundle.open(folder).manifest.max_batch_size == 0


def test_a_graph_without_inputs_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Constant", [], ["y"], value_float=1.0)
    graph = graph_bytes([node], [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])], {})
    with pytest.raises(GraphInvalid, match="the graph has no inputs"):
        Bundle.open(write_bare(tmp_path, "constant", graph))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "got an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<html>", "a page of the web or XML"),
        (b"PK\x03\x04", "a zip file"),
    ],
    ids=["empty", "LFS", "HTML", "zip"],
)
def test_a_file_that_is_obviously_no_graph_is_told_by_its_kind(
    tmp_path: Path, data: bytes, told: str
) -> None:
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(GraphInvalid, match=told):
        existing_graph(tmp_path, "model.onnx")


def test_a_missing_graph_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"neither manifest\.json nor other\.onnx"):
        existing_graph(tmp_path, "other.onnx")
