"""Strings that are no UTF-8, beside numbers, through ONNX Runtime; and what is said where that cannot be done."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from inference.errors import Unsupported
from inference.runtime import strings
from inference.runtime.session import OrtSession
from tests.bundles import graph_bytes


def session() -> OrtSession:
    """text [N] → the same; numbers [N, 2] → doubled."""
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Identity", ["text"], ["again"]),
        helper.make_node("Add", ["numbers", "numbers"], ["doubled"]),
    ]
    inputs = [
        info("text", TensorProto.STRING, ["N"]),
        info("numbers", TensorProto.FLOAT, ["N", 2]),
    ]
    outputs = [
        info("again", TensorProto.STRING, ["N"]),
        info("doubled", TensorProto.FLOAT, ["N", 2]),
    ]
    return OrtSession(graph_bytes(nodes, inputs, outputs, {}), Path("m/1"))


def test_other_tensors_of_the_graph_are_what_they_always_are() -> None:
    texts = np.array(["\udcff", "plain", "\udc80" * 100], np.object_)
    numbers = np.arange(6, dtype=np.float32).reshape(3, 2)
    outputs = session().run({"text": texts, "numbers": numbers})
    assert outputs["again"].tolist() == texts.tolist()
    assert outputs["doubled"].tolist() == (2 * numbers).tolist()


def test_where_memory_cannot_be_read_the_caller_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strings, "_can_read", lambda: False)
    tensors = {"text": np.array(["\udcff"], np.object_), "numbers": np.zeros((1, 2), np.float32)}
    with pytest.raises(Unsupported, match="UTF-8"):
        session().run(tensors)


def test_no_string_and_a_long_one() -> None:
    for texts in ([], ["\udcff" + "x" * 1_000_000]):
        array = np.array(texts, np.object_)
        numbers = np.zeros((len(texts), 2), np.float32)
        assert session().run({"text": array, "numbers": numbers})["again"].tolist() == texts
