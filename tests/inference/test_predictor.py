"""A predictor answers in the order of its payloads, and refuses a graph that is not the manifest's."""

from pathlib import Path

import pytest

from inference.errors import FileMissing, GraphInvalid
from inference.predictor import Predictor
from inference.store.bundle import file_record
from inference.values import Payload
from tests.bundles import edit_json, png, sum_graph, write_brightness

LEVELS = (0, 255, 40, 200, 90)


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_answers_come_in_the_order_of_the_payloads(tmp_path: Path, batch_size: int) -> None:
    predictor = Predictor.open(write_brightness(tmp_path))
    answers = predictor.predict([Payload(png(level), "image/png") for level in LEVELS], batch_size)
    assert [answer["label"] for answer in answers] == ["dark", "bright", "dark", "bright", "dark"]


def test_each_exchange_is_one_row_in_and_one_row_out(tmp_path: Path) -> None:
    predictor = Predictor.open(write_brightness(tmp_path))
    pairs = list(predictor.exchanges([Payload(png(level), "image/png") for level in LEVELS], batch_size=3))
    assert [int(features.tensors["image"].max()) for features, _ in pairs] == list(LEVELS)
    assert {outputs["logits"].shape for _, outputs in pairs} == {(1, 2)}


def test_a_precision_without_a_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"no graph in int8, it has \['fp32'\]"):
        Predictor.open(write_brightness(tmp_path), "int8")


def test_a_graph_with_other_tensors_than_the_manifests_is_refused(tmp_path: Path) -> None:
    folder = write_brightness(tmp_path)
    (folder / "model.onnx").write_bytes(sum_graph())
    manifest = folder / "manifest.json"
    files = Predictor.open(write_brightness(tmp_path / "other")).bundle.manifest.model_dump()["files"]
    files["model.onnx"] = file_record(sum_graph()).model_dump()
    edit_json(manifest, files=files)
    told = r"the graph has x FP32 \[-1, 3\], y FP32 \[-1, 3\], the manifest says image UINT8 \[-1, 4, 4, 1\]"
    with pytest.raises(GraphInvalid, match=told):
        Predictor.open(folder)
