"""Weights beside a graph are files of its own folder, wherever in the graph they are named, and lie still meanwhile."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from inference.errors import (
    BundleRefused,
    DigestMismatch,
    FileMissing,
    FileUnknown,
    GraphInvalid,
    PathOutside,
)
from inference.predictor import Predictor
from inference.store.bundle import Bundle, file_record
from inference.store.graph_file import GraphFile
from inference.store.weights import Unchanged, graph_facts, weights_beside
from tests.bundles import edit_json, write_bare, write_brightness


def external(location: str, name: str = "w") -> TensorProto:
    """Four numbers that are kept in a file."""
    made = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    made.external_data.add(key="location", value=location)
    return made


def info(name: str, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["N", 4])


def model(location: str, *, place: str = "initializer") -> bytes:
    """x + w, with w in a file that is named in one of the places where a tensor may stand."""
    made = onnx.ModelProto()
    add, inputs, outputs = helper.make_node("Add", ["x", "w"], ["y"]), [info("x")], [info("y")]
    weight = external(location)
    if place == "initializer":
        graph = helper.make_graph([add], "g", inputs, outputs, [weight])
    elif place == "constant":
        graph = helper.make_graph(
            [helper.make_node("Constant", [], ["w"], value=weight), add], "g", inputs, outputs
        )
    else:  # a graph in a node, which ONNX Runtime reads by another way than the others
        inner = helper.make_graph(
            [helper.make_node("Add", ["x", "w"], ["a"])], "a", [], [info("a")], [weight]
        )
        other = helper.make_graph([helper.make_node("Identity", ["x"], ["b"])], "b", [], [info("b")])
        yes = helper.make_node(
            "Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True])
        )
        chosen = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=other)
        graph = helper.make_graph([yes, chosen], "g", inputs, outputs)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = made.SerializeToString()
    return data


PLACES = ("initializer", "constant", "graph in a node")


def numbers(value: float) -> bytes:
    return np.full(4, value, np.float32).tobytes()


def test_every_place_where_a_tensor_may_stand_is_looked_at() -> None:
    sparse = onnx.SparseTensorProto(values=external("1"), indices=external("2"), dims=[9])
    graph = helper.make_graph([], "g", [], [], [external("3")], sparse_initializer=[sparse])
    inner = helper.make_graph([], "i", [], [], [external("4")])
    node, kinds = helper.make_node("Any", [], []), onnx.AttributeProto
    eight, nine = onnx.SparseTensorProto(values=external("8")), onnx.SparseTensorProto(indices=external("9"))
    node.attribute.extend(
        [
            kinds(name="t", type=kinds.TENSOR, t=external("5")),
            kinds(name="ts", type=kinds.TENSORS, tensors=[external("6"), external("7")]),
            kinds(name="g", type=kinds.GRAPH, g=inner),
            kinds(name="s", type=kinds.SPARSE_TENSOR, sparse_tensor=eight),
            kinds(name="ss", type=kinds.SPARSE_TENSORS, sparse_tensors=[nine]),
            kinds(
                name="gs", type=kinds.GRAPHS, graphs=[helper.make_graph([], "j", [], [], [external("10")])]
            ),
        ]
    )
    graph.node.append(node)
    function = onnx.FunctionProto(
        name="f", domain="d", node=[helper.make_node("Constant", [], ["o"], value=external("11"))]
    )
    function.attribute_proto.append(
        onnx.AttributeProto(name="t", type=onnx.AttributeProto.TENSOR, t=external("12"))
    )
    training = onnx.TrainingInfoProto(
        initialization=helper.make_graph([], "t", [], [], [external("13")]),
        algorithm=helper.make_graph([], "u", [], [], [external("14")]),
    )
    made = onnx.ModelProto(graph=graph, functions=[function], training_info=[training])
    assert GraphFile.of(made.SerializeToString()).external == {str(number) for number in range(1, 15)}


def test_a_field_key_of_more_than_32_bits_is_refused_since_other_readers_see_another_field() -> None:
    with pytest.raises(ValueError, match="expected 32 bits"):
        GraphFile.of(b"\x88\x80\x80\x80\x10\x01")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("location", ["w.bin", "./w.bin", "deep/w.bin"])
def test_a_bare_graph_keeps_its_weights_in_its_folder(tmp_path: Path, location: str, place: str) -> None:
    folder = write_bare(tmp_path, "m", model(location, place=place))
    (folder / location).parent.mkdir(exist_ok=True)
    (folder / location).write_bytes(numbers(3))
    session = Bundle.open(folder).session
    assert session is not None
    assert session.run({"x": np.zeros((1, 4), np.float32)})["y"].tolist() == [[3, 3, 3, 3]]


OUTSIDE = {
    "a path up": ("../w.bin", PathOutside),
    "a path up and down": ("deep/../../w.bin", PathOutside),
    "an absolute path": ("/proc/self/environ", PathOutside),
    "an address in memory": ("*/_ORT_MEM_ADDR_/*", PathOutside),
    "a backslash": ("..\\w.bin", PathOutside),
    "a control character": ("w.bin\0", PathOutside),
    "no name": ("", PathOutside),
    "a file that is not there": ("away.bin", FileMissing),
    "a link out": ("link.bin", PathOutside),
    "a link to a folder outside": ("out/w.bin", PathOutside),
    "a link to itself": ("round.bin", FileMissing),
    "a pipe": ("pipe.bin", FileMissing),
    "a folder": ("deep", FileMissing),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("location", "kind"), OUTSIDE.values(), ids=OUTSIDE)
def test_a_bare_graph_reads_nothing_else(
    tmp_path: Path, location: str, kind: type[BundleRefused], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_bare(tmp_path, "m", model(location, place=place))
    (folder.parent / "w.bin").write_bytes(numbers(3))
    (folder / "deep").mkdir()
    (folder / "link.bin").symlink_to("../w.bin")
    (folder / "out").symlink_to("..")
    (folder / "round.bin").symlink_to("round.bin")
    os.mkfifo(folder / "pipe.bin")
    monkeypatch.chdir(folder.parent)
    with pytest.raises(kind, match=r"model\.onnx keeps weights in"):
        Bundle.open(folder)


def with_weights(root: Path, location: str, *, listed: bool = True) -> Path:
    """A bundle whose graph keeps a weight in a file beside it."""
    folder = write_brightness(root)
    graph = onnx.load_from_string((folder / "model.onnx").read_bytes())
    (weight,) = (each for each in graph.graph.initializer if each.name == "bias")
    data = np.asarray(onnx.numpy_helper.to_array(weight)).tobytes()
    weight.CopyFrom(TensorProto(name="bias", data_type=1, dims=[2], data_location=TensorProto.EXTERNAL))
    weight.external_data.add(key="location", value=location)
    files = Bundle.open(folder).manifest.model_dump(mode="json")["files"]
    contents = {"model.onnx": graph.SerializeToString(), **({"bias.bin": data} if listed else {})}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        files[name] = file_record(content).model_dump()
    edit_json(folder / "manifest.json", files=files)
    return folder


def test_a_bundle_lists_the_weights_beside_its_graph_and_answers_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = with_weights(tmp_path, "bias.bin")
    (tmp_path / "bias.bin").write_bytes(np.array([9, 9], np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    assert (
        Predictor.open(folder).precision == "fp32"
    )  # its golden examples hold, so it was the bundle's own file


def test_weights_that_were_changed_are_refused_by_their_digest(tmp_path: Path) -> None:
    folder = with_weights(tmp_path, "bias.bin")
    bundle = Bundle.open(folder)
    (folder / "bias.bin").write_bytes(np.array([9, 9], np.float32).tobytes())
    with pytest.raises(DigestMismatch, match=r"bias\.bin has sha256"):
        bundle.load()


def test_weights_that_a_bundle_does_not_list_are_refused_though_they_lie_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = with_weights(tmp_path, "bias.bin", listed=False)
    (tmp_path / "bias.bin").write_bytes(np.array([4, -4], np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileMissing, match=r"keeps weights in 'bias\.bin', which cannot be read"):
        Predictor.open(folder)
    (folder / ".bias.bin").write_bytes(np.array([4, -4], np.float32).tobytes())  # which is passed over
    hidden = with_weights(tmp_path / "other", ".bias.bin", listed=False)
    (hidden / ".bias.bin").write_bytes(np.array([4, -4], np.float32).tobytes())
    with pytest.raises(FileUnknown, match=r"\.bias\.bin is not listed in manifest\.json"):
        Predictor.open(hidden)


def test_an_operator_that_reads_a_file_by_itself_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", ep_cache_context="../../x")
    graph = helper.make_graph([node], "g", [info("x")], [info("y")])
    with pytest.raises(GraphInvalid, match="EPContext, which reads a file by itself"):
        Bundle.open(write_bare(tmp_path, "m", helper.make_model(graph).SerializeToString()))


def test_a_file_that_changes_while_it_is_loaded_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    loaded = Unchanged(tmp_path, ["a", "away"])
    loaded.check()
    (tmp_path / "b").write_bytes(b"1")
    (tmp_path / "b").replace(tmp_path / "a")
    with pytest.raises(DigestMismatch, match="a was changed while it was loaded"):
        loaded.check()


def test_a_bare_graph_that_is_replaced_gives_no_second_session(tmp_path: Path) -> None:
    folder = write_bare(tmp_path, "m", model("w.bin"))
    (folder / "w.bin").write_bytes(numbers(3))
    bundle = Bundle.open(folder)
    bundle.load()
    (folder / "w.bin").unlink()
    (folder / "w.bin").write_bytes(numbers(4))
    with pytest.raises(DigestMismatch, match=r"w\.bin was changed while it was loaded"):
        bundle.load()


def test_the_facts_of_no_graph_are_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(GraphInvalid, match=r"model\.onnx is none"):
        graph_facts(b"not a graph", tmp_path, "model.onnx")
    assert weights_beside(GraphFile.of(b""), tmp_path, "model.onnx") == []
