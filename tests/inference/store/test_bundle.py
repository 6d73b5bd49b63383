"""A bundle is opened only if it is exactly what was published."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from inference import errors
from inference.predictor import Predictor
from inference.processors import build_processor
from inference.store.bundle import Bundle, file_record
from inference.values import Payload
from tests.bundles import edit_json, graph_bytes, png, sum_graph, write_bare, write_brightness


def test_a_bundle_answers_with_its_labels_through_the_predictor(tmp_path: Path) -> None:
    predictor = Predictor.open(write_brightness(tmp_path))
    answers = list(predictor.predict([Payload(png(level), "image/png") for level in (0, 255, 10)]))
    assert [answer["label"] for answer in answers] == ["dark", "bright", "dark"]
    assert list(answers[1]["probabilities"]) == ["bright", "dark"]


def test_a_folder_with_only_a_graph_gets_a_manifest_derived_from_it(tmp_path: Path) -> None:
    manifest = Bundle.open(write_bare(tmp_path, "sum", sum_graph())).manifest
    assert (manifest.name, manifest.version, manifest.task, manifest.max_batch_size) == (
        "sum",
        1,
        "tensor",
        64,
    )
    assert [spec.shape for spec in manifest.inputs] == [(-1, 3), (-1, 3)]


def _flip_a_byte(folder: Path) -> None:
    graph = folder / "model.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)


def _change_a_golden_value(folder: Path) -> None:
    golden = json.loads((folder / "golden.json").read_text())
    golden["examples"][1]["outputs"]["logits"][0] += 0.5
    (folder / "golden.json").write_text(json.dumps(golden))


def _change_a_golden_value_and_its_digest(folder: Path) -> None:
    _change_a_golden_value(folder)
    _relist(folder, "golden.json")


def _relist(folder: Path, name: str) -> None:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    files[name] = file_record((folder / name).read_bytes()).model_dump()
    edit_json(folder / "manifest.json", files=files)


def _swap_the_graph(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(sum_graph())
    _relist(folder, "model.onnx")


def _break_the_graph(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"not a graph")
    _relist(folder, "model.onnx")


def _lead_outside(folder: Path) -> None:
    (folder.parent / "secret").write_text("x")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    files["../secret"] = file_record(b"x").model_dump()
    edit_json(folder / "manifest.json", files=files)


def _link_outside(folder: Path) -> None:
    outside = folder.parent / "outside.json"
    outside.write_bytes((folder / "labels.json").read_bytes())
    (folder / "labels.json").unlink()
    (folder / "labels.json").symlink_to(outside)


def _one_label_too_many(folder: Path) -> None:
    (folder / "labels.json").write_text('["dark", "bright", "green"]')
    _relist(folder, "labels.json")


def _rename_the_version(folder: Path) -> None:
    edit_json(folder / "manifest.json", version=7)


def _link_to_a_folder(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    (folder / "more").symlink_to("../elsewhere")


def _lead_a_listed_folder_outside(folder: Path) -> None:
    (folder / "golden").rename(folder.parent / "elsewhere")
    (folder / "golden").symlink_to("../elsewhere")


def _pipe_in_the_place_of(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return make


def _many_unlisted(folder: Path) -> None:
    for number in range(500):
        (folder / f"{number:03}").write_text("x")


def _too_long(folder: Path) -> None:
    with (folder / "manifest.json").open("ab") as file:
        file.truncate(17 << 20)


def _no_tolerance(folder: Path) -> None:
    edit_json(folder / "golden.json", tolerances={"int8": {"atol": 0, "rtol": 0}})
    _relist(folder, "golden.json")


def _golden(**change: object) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        golden = json.loads((folder / "golden.json").read_text())
        golden["examples"][1].update(change)
        (folder / "golden.json").write_text(json.dumps(golden))
        _relist(folder, "golden.json")

    return make


FAULTS: list[tuple[Callable[[Path], object], type[errors.BundleRefused], str]] = [
    (_flip_a_byte, errors.DigestMismatch, "model.onnx has sha256"),
    (_change_a_golden_value, errors.DigestMismatch, "golden.json"),
    (_change_a_golden_value_and_its_digest, errors.GoldenMismatch, "golden/1.png alone: logits"),
    (lambda folder: (folder / "labels.json").unlink(), errors.FileMissing, "labels.json is listed"),
    (lambda folder: (folder / "notes.txt").write_text("x"), errors.FileUnknown, "notes.txt not listed"),
    (lambda folder: edit_json(folder / "manifest.json", surprise=1), errors.ManifestInvalid, "surprise"),
    (
        lambda folder: edit_json(folder / "manifest.json", schema_version=2),
        errors.ManifestInvalid,
        "schema_version",
    ),
    (lambda folder: (folder / "manifest.json").write_text("{"), errors.ManifestInvalid, "manifest.json"),
    (_rename_the_version, errors.ManifestInvalid, "it is for brightness/7, expected brightness/1"),
    (_lead_outside, errors.PathOutside, "../secret"),
    (_link_outside, errors.PathOutside, "labels.json is listed in manifest.json, and leads out"),
    (_swap_the_graph, errors.GraphInvalid, "the manifest says"),
    (_break_the_graph, errors.GraphInvalid, "cannot load"),
    (_link_to_a_folder, errors.FileUnknown, "more/ not listed"),
    (lambda folder: (folder / "empty").mkdir(), errors.FileUnknown, "empty/ not listed"),
    (lambda folder: (folder / "golden" / "deep").mkdir(), errors.FileUnknown, "golden/deep/ not listed"),
    (lambda folder: (folder / "x").symlink_to("x"), errors.FileUnknown, "x not listed"),
    (lambda folder: os.mkfifo(folder / "pipe"), errors.FileUnknown, "pipe not listed"),
    (_many_unlisted, errors.FileUnknown, "009 and more not listed"),
    (_lead_a_listed_folder_outside, errors.PathOutside, "golden, and leads out of its folder"),
    (_pipe_in_the_place_of("labels.json"), errors.FileMissing, "labels.json: got a pipe"),
    (_pipe_in_the_place_of("model.onnx"), errors.FileMissing, "model.onnx: got a pipe"),
    (_pipe_in_the_place_of("manifest.json"), errors.ManifestInvalid, "manifest.json: got a pipe"),
    (_too_long, errors.ManifestInvalid, "got 17825792 bytes, expected at most 16777216"),
    (_no_tolerance, errors.ManifestInvalid, "tolerances: got int8, expected one of fp32"),
    (_golden(file="golden/9.png"), errors.FileUnknown, "golden/9.png is not listed"),
    (_golden(file="manifest.json"), errors.FileUnknown, "manifest.json is not listed"),
    (_golden(file="labels.json"), errors.ManifestInvalid, "golden.json: examples.1: labels.json: got"),
    (_golden(outputs={"logits": [[1], [1, 2]]}), errors.ManifestInvalid, "lists of several lengths"),
    (_golden(outputs={"logits": ["a"]}), errors.ManifestInvalid, "expected finite numbers"),
    (_one_label_too_many, errors.ManifestInvalid, "got 3 labels, expected 2"),
]


@pytest.mark.parametrize(
    ("spoil", "kind", "words"), FAULTS, ids=[kind.__name__ + "-" + words for _, kind, words in FAULTS]
)
def test_a_spoiled_bundle_is_refused_by_name(
    tmp_path: Path, spoil: Callable[[Path], object], kind: type[errors.BundleRefused], words: str
) -> None:
    folder = write_brightness(tmp_path)
    spoil(folder)
    with pytest.raises(errors.BundleRefused) as refused:
        Predictor.open(folder)
    assert type(refused.value) is kind
    assert words in str(refused.value)
    assert "brightness/1" in str(refused.value)


def test_an_output_without_an_axis_for_the_classes_is_refused_before_it_is_asked(tmp_path: Path) -> None:
    folder = write_brightness(tmp_path)
    outputs = json.loads((folder / "manifest.json").read_text())["outputs"]
    outputs[0]["shape"] = [-1]
    edit_json(folder / "manifest.json", outputs=outputs)
    words = r"outputs\.probabilities\.shape: got \[-1\], expected \[-1, columns\]"
    with pytest.raises(errors.ManifestInvalid, match=words):
        build_processor(Bundle.open(folder))


def test_links_inside_a_bundle_are_followed_as_a_mounted_volume_has_them(tmp_path: Path) -> None:
    folder = write_brightness(tmp_path)
    (folder / "..2026").mkdir()
    for entry in sorted(folder.iterdir()):
        if entry.name != "..2026":
            entry.rename(folder / "..2026" / entry.name)
            entry.symlink_to(f"..data/{entry.name}")
    (folder / "..data").symlink_to("..2026")
    assert Predictor.open(folder).bundle.manifest.name == "brightness"
    (folder / "..2026" / "golden" / "more.png").write_bytes(png(3))
    with pytest.raises(errors.FileUnknown, match=r"golden/more\.png not listed"):
        Bundle.open(folder)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty" / "1").mkdir(parents=True)
    with pytest.raises(errors.FileMissing, match=r"neither manifest.json nor model.onnx"):
        Bundle.open(tmp_path / "empty" / "1")


def test_weights_kept_outside_the_folder_of_a_bare_graph_are_refused(tmp_path: Path) -> None:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper

    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [64]) for name in ("x", "y")]
    data = graph_bytes(
        [helper.make_node("Add", ["x", "w"], ["y"])], info[:1], info[1:], {"w": np.ones(64, np.float32)}
    )
    model = onnx.load_from_string(data)
    weight = model.graph.initializer[0]
    (tmp_path / "w.bin").write_bytes(weight.raw_data)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", os.path.join("..", "..", "w.bin")  # noqa: PTH118 - it must not be resolved
    folder = write_bare(tmp_path, "leaky", model.SerializeToString())
    with pytest.raises(
        errors.PathOutside, match=r"keeps weights in '\.\./\.\./w\.bin', expected a relative path"
    ):
        Bundle.open(folder)
