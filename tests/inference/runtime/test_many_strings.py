"""Many strings, in pieces and at once: the same answers and the same errors, and others have their turn meanwhile."""

import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import OrtValueVector

from inference.errors import InferenceFailed
from inference.runtime import many_strings
from inference.runtime.session import OrtSession
from inference.values import Array
from tests.bundles import graph_bytes


@pytest.fixture(autouse=True)
def tiny_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_strings, "MANY", 4)
    monkeypatch.setattr(many_strings, "PIECE", 3)
    monkeypatch.setattr(many_strings, "_PIECE_CHARACTERS", 20)


@pytest.fixture
def session() -> OrtSession:
    """text [N, M] → the same; numbers [N, 2] → doubled."""
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Identity", ["text"], ["again"]),
        helper.make_node("Add", ["numbers", "numbers"], ["doubled"]),
    ]
    inputs = [
        info("text", TensorProto.STRING, ["N", "M"]),
        info("numbers", TensorProto.FLOAT, ["N", 2]),
    ]
    outputs = [
        info("again", TensorProto.STRING, ["N", "M"]),
        info("doubled", TensorProto.FLOAT, ["N", 2]),
    ]
    return OrtSession(graph_bytes(nodes, inputs, outputs, {}), Path("m/1"))


def tensors(text: Array) -> dict[str, Array]:
    return {"text": text, "numbers": np.arange(2 * len(text), dtype=np.float32).reshape(-1, 2)}


def objects(*elements: object) -> Array:
    array: Array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array


TEXTS = {
    "plain": objects(*(f"word {number}" for number in range(24))),
    "empty": objects(*[""] * 24),
    "with ends that are empty": objects(*["", "a", ""] * 8),
    "of any length": objects(*("é" * (number * number) for number in range(24))),
    "with bytes that cut other strings": objects(*["\0", "a\0b", "\x1f", " ", ",", "ÿ\n"] * 4),
    "no strings": objects(*[None, 1, 2.5, b"x", True, "a"] * 4),
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("shape", [(24, 1), (1, 24), (4, 6)])
def test_pieces_are_what_the_whole_is(
    session: OrtSession, pieces: list[int], kind: str, shape: tuple[int, int]
) -> None:
    given = tensors(TEXTS[kind].reshape(shape))
    whole = session.run(given)
    assert not pieces
    cut = session.run(given, in_pieces=True)
    assert len(pieces) >= 8
    assert cut.keys() == whole.keys()
    assert cut["again"].tolist() == whole["again"].tolist()
    assert cut["again"].dtype == whole["again"].dtype
    assert cut["doubled"].tolist() == whole["doubled"].tolist()


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the pieces that go in."""
    many_strings._short()  # it is made once, and is no piece
    sizes: list[int] = []
    split = many_strings._split

    def counted(texts: list[str]) -> ort.OrtValue:
        sizes.append(len(texts))
        return split(texts)

    monkeypatch.setattr(many_strings, "_split", counted)
    return sizes


@pytest.mark.parametrize("count", range(5, 14))
def test_no_piece_is_a_string_alone(session: OrtSession, pieces: list[int], count: int) -> None:
    """StringSplit makes nothing of one empty string."""
    given = tensors(objects(*[""] * count).reshape(1, -1))
    assert session.run(given, in_pieces=True)["again"].tolist() == [[""] * count]
    assert sum(pieces) == count
    assert min(pieces) > 1


@pytest.mark.parametrize("few", [objects(), objects(""), objects("a"), objects("", "b")], ids=len)
def test_few_strings_beside_many(few: Array) -> None:
    info = helper.make_tensor_value_info
    nodes = [helper.make_node("Identity", [name], [f"{name} again"]) for name in ("few", "many")]
    inputs = [info(name, TensorProto.STRING, [f"N of {name}"]) for name in ("few", "many")]
    outputs = [info(f"{name} again", TensorProto.STRING, [f"N of {name}"]) for name in ("few", "many")]
    session = OrtSession(graph_bytes(nodes, inputs, outputs, {}), Path("m/1"))
    again = session.run({"few": few, "many": TEXTS["plain"]}, in_pieces=True)
    assert again["few again"].tolist() == few.tolist()
    assert again["many again"].tolist() == TEXTS["plain"].tolist()


def test_outputs_that_are_no_tensors_are_as_ever() -> None:
    """Dicts of scikit-learn's, which are read in one call alone."""
    maps = onnx.ValueInfoProto(name="y")
    maps.type.sequence_type.elem_type.map_type.key_type = TensorProto.INT64
    maps.type.sequence_type.elem_type.map_type.value_type.tensor_type.elem_type = TensorProto.FLOAT
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node(
            "LabelEncoder", ["text"], ["number"], domain="ai.onnx.ml", keys_strings=["a"], values_floats=[1.0]
        ),
        helper.make_node("ZipMap", ["number"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[3, 5]),
    ]
    graph = helper.make_graph(nodes, "g", [info("text", TensorProto.STRING, ["N", 2])], [maps])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    session = OrtSession(made, Path("m/1"))
    text = objects(*"ab" * 10).reshape(10, 2)
    assert (
        session.run({"text": text}, in_pieces=True)["y"].tolist() == session.run({"text": text})["y"].tolist()
    )


def test_an_array_that_lies_otherwise(session: OrtSession) -> None:
    text = TEXTS["plain"].reshape(4, 6).T
    assert session.run(tensors(text), in_pieces=True)["again"].tolist() == text.tolist()
    text = TEXTS["plain"].reshape(4, 6)[:, ::-1]
    assert session.run(tensors(text), in_pieces=True)["again"].tolist() == text.tolist()


def test_bytes_that_are_no_utf_8(session: OrtSession) -> None:
    text = objects(*["plain"] * 10, "\udcff", "\udc80").reshape(1, -1)
    assert session.run(tensors(text), in_pieces=True)["again"].tolist() == text.tolist()


@pytest.mark.parametrize(
    "given",
    [
        {"text": TEXTS["plain"], "numbers": np.zeros((24, 2), np.float32)},
        {"text": TEXTS["plain"].reshape(4, 6), "numbers": np.zeros((4, 3), np.float32)},
        {"text": TEXTS["plain"].reshape(4, 6), "numbers": np.zeros((4, 2), np.float64)},
        {"text": TEXTS["plain"].reshape(4, 6), "numbers": TEXTS["plain"].reshape(4, 6)},
        {"text": TEXTS["plain"].reshape(4, 6)},
        {"text": TEXTS["plain"].reshape(4, 6), "numbers": np.zeros((4, 2), np.float32), "other": np.ones(1)},
    ],
    ids=["rank", "shape", "datatype", "strings for numbers", "missing", "unknown"],
)
def test_errors_are_those_of_the_whole(session: OrtSession, given: dict[str, Array]) -> None:
    with pytest.raises(InferenceFailed) as whole:
        session.run(given)
    with pytest.raises(InferenceFailed) as cut:
        session.run(given, in_pieces=True)
    assert str(cut.value) == str(whole.value)


def test_values_are_freed_while_a_graph_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vector that held a value holds another after the run, so that Python has nothing to free."""
    replaced: list[OrtValueVector] = []

    def noted() -> OrtValueVector:
        replaced.append(OrtValueVector())
        return replaced[-1]

    values = [many_strings._value(TEXTS["plain"]), many_strings._numbers(1)]
    monkeypatch.setattr(many_strings, "OrtValueVector", noted)
    many_strings._release(values)
    assert not values
    given, vector = replaced
    assert [each[0].shape() for each in (given, vector)] == [[1, 2], [1, 2]]


def test_a_released_value_does_not_take_others_with_it() -> None:
    first, second = many_strings._value(TEXTS["plain"]), many_strings._value(TEXTS["empty"])
    values = [first]
    del first
    many_strings._release(values)
    assert second.numpy().tolist() == TEXTS["empty"].tolist()
    assert many_strings._short().numpy().tolist() == [["", ""]]


def test_runs_on_several_threads(session: OrtSession) -> None:
    texts = [objects(*(f"{thread} {place}" for place in range(50))).reshape(1, -1) for thread in range(4)]
    got: dict[int, list[object]] = {}

    def work(thread: int) -> None:
        for _ in range(5):
            got[thread] = session.run(tensors(texts[thread]), in_pieces=True)["again"].tolist()

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert [got[thread] for thread in range(4)] == [text.tolist() for text in texts]


def test_few_strings_go_at_once(session: OrtSession, pieces: list[int]) -> None:
    text = objects("a", "b", "c", "d").reshape(1, -1)
    assert session.run(tensors(text), in_pieces=True)["again"].tolist() == text.tolist()
    assert not pieces
