"""The manifest: graphs are listed files, paths stay inside the bundle, and nothing unknown is taken."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from inference.manifest import Manifest
from tests.bundles import write_brightness


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((write_brightness(tmp_path) / "manifest.json").read_text())
    return found


def test_a_manifest_is_read_as_it_was_written(content: dict[str, Any]) -> None:
    assert json.loads(Manifest.model_validate(content).model_dump_json()) == content


@pytest.mark.parametrize("path", ["/etc/passwd", "../labels.json", "a\\b", "./a", "a//b"])
def test_a_path_out_of_the_bundle_is_refused(content: dict[str, Any], path: str) -> None:
    content["files"][path] = content["files"]["labels.json"]
    with pytest.raises(ValidationError, match="expected a plain relative path inside the bundle"):
        Manifest.model_validate(content)


def test_the_graph_to_serve_is_one_of_the_graphs(content: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"serve: got 'int8', expected one of \['fp32'\]"):
        Manifest.model_validate({**content, "serve": "int8"})


def test_a_graph_is_a_listed_file(content: dict[str, Any]) -> None:
    content["graphs"]["fp32"]["file"] = "other.onnx"
    with pytest.raises(ValidationError, match=r"graphs\.fp32\.file: got 'other\.onnx', expected one listed"):
        Manifest.model_validate(content)


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"colour": "red"},
        {"name": "a b"},
        {"version": 0},
        {"version": 10**18},
        {"max_batch_size": -1},
        {"max_batch_size": 1 << 17},
        {"task": "text"},
        {"description": "x" * 70_000},
        {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [-2]}]},
        {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 1 << 15, 1 << 15]}]},
        {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1] * 65}]},
        {"inputs": []},
    ],
)
def test_an_unknown_field_or_a_value_out_of_range_is_refused(
    content: dict[str, Any], change: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        Manifest.model_validate({**content, **change})
