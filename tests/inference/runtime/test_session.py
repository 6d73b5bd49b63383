"""Graphs of other people's: what is served of them, and in which words the rest is refused."""

import os
from pathlib import Path
from subprocess import run
from sys import executable

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from inference.errors import BundleRefused, GraphInvalid, InferenceFailed
from inference.runtime.session import OrtSession
from inference.store.bundle import Bundle
from inference.values import Array, DataType
from tests.bundles import sum_graph, write_bare
from tests.inference.proving.test_independence import node, tensor

HERE = Path("test/1")
ML = "ai.onnx.ml"


def model(
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
    opset: int = 17,
    ir_version: int = 8,
    **weights: Array,
) -> bytes:
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(ML, 3)]
    graph = helper.make_graph(nodes, "test", inputs, outputs, values)
    made = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)
    data: bytes = made.SerializeToString()
    return data


def zipped(labels: list[int] | list[str]) -> bytes:
    """A classifier as skl2onnx writes it unless it is told `zipmap: False`."""
    names = "classlabels_int64s" if isinstance(labels[0], int) else "classlabels_strings"
    y = onnx.ValueInfoProto(name="y")
    y.type.sequence_type.elem_type.map_type.key_type = (
        TensorProto.INT64 if isinstance(labels[0], int) else TensorProto.STRING
    )
    y.type.sequence_type.elem_type.map_type.value_type.tensor_type.elem_type = TensorProto.FLOAT
    nodes = [node("Softmax", "x", "p", axis=1), helper.make_node("ZipMap", ["p"], ["y"], domain=ML)]
    nodes[1].attribute.append(helper.make_attribute(names, labels))
    return model(nodes, [tensor("x", "N", 3)], [y])


@pytest.mark.parametrize("labels", [[7, 3, 5], ["c", "a", "b"]], ids=["numbers", "texts"])
def test_probabilities_in_dicts_come_as_a_tensor_by_ascending_label(
    labels: list[int] | list[str],
) -> None:
    session = OrtSession(zipped(labels), HERE)
    assert [(spec.datatype, spec.shape) for spec in session.outputs] == [(DataType.FP32, (-1, -1))]
    x = np.array([[0, 1, 2], [3, 0, 0]], np.float32)
    expected = (np.exp(x) / np.exp(x).sum(1, keepdims=True))[:, np.argsort(labels)]
    seen = session.run({"x": x})["y"]
    assert seen.dtype == np.float32
    assert seen == pytest.approx(expected, rel=1e-5)


ADD = [node("Add", "x x", "y")]
X, Y = [tensor("x", "N", 2)], [tensor("y", "N", 2)]
LOWER = [helper.make_node("StringNormalizer", ["x"], ["y"], case_change_action="LOWER", locale="xx_YY.UTF-8")]
TEXTS = [tensor(name, "N", kind=TensorProto.STRING) for name in "xy"]
RUNTIME = rf"ONNX Runtime {ort.__version__}"

REFUSED = {
    "an opset to come": (
        model(ADD, X, Y, opset=99), rf"its opset of ai.onnx is 99, and {RUNTIME} knows those up to \d+",
    ),
    "a format to come": (
        model(ADD, X, Y, ir_version=99), rf"its IR version is 99, and {RUNTIME} knows those up to \d+: save it with",
    ),
    "a locale that is not there": (
        model(LOWER, TEXTS[:1], TEXTS[1:]),
        r"case of strings in the locale xx_YY.UTF-8, which is not installed: generate",
    ),
    "nothing to ask": (
        model([node("Identity", "c", "y")], [], [tensor("y", 2)], c=np.ones(2, np.float32)),
        "the graph has no inputs, so there is nothing to ask it",
    ),
    "no graph at all": (b"broken", "ONNX Runtime cannot load the graph"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_served_is_said_in_a_sentence(tmp_path: Path, data: bytes, words: str) -> None:
    folder = write_bare(tmp_path, "odd", data)
    with pytest.raises(BundleRefused, match=words):
        Bundle.open(folder)


def test_a_graph_of_half_precision_is_told_as_such(tmp_path: Path) -> None:
    half = TensorProto.FLOAT16
    data = model(
        [node("MatMul", "x w", "y")], [tensor("x", "N", 4, kind=half)], [tensor("y", "N", 3, kind=half)],
        w=np.ones((4, 3), np.float16),
    )  # fmt: skip
    manifest = Bundle.open(write_bare(tmp_path, "half", data)).manifest
    assert (manifest.serve, [*manifest.graphs]) == ("fp16", ["fp16"])


def test_an_output_that_is_no_tensor_is_refused_by_name() -> None:
    y = onnx.ValueInfoProto(name="pieces")
    y.type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT
    data = model([node("SplitToSequence", "x", "pieces", axis=1)], X, [y])
    with pytest.raises(
        GraphInvalid, match=r"pieces: got seq\(tensor\(float\)\), expected a tensor of a type"
    ):
        OrtSession(data, HERE)


def convolutions() -> bytes:
    """Some layers of 16 channels, which an image of any size may go through."""
    nodes, last = [], "x"
    weights = {"w0": np.full((16, 3, 3, 3), 0.01, np.float32), "w": np.full((16, 16, 3, 3), 0.01, np.float32)}
    for layer in range(4):
        nodes.append(node("Conv", f"{last} {'w' if layer else 'w0'}", f"c{layer}", pads=[1] * 4))
        last = f"c{layer}"
    nodes.append(node("GlobalAveragePool", last, "y"))
    return model(nodes, [tensor("x", "N", 3, "H", "W")], [tensor("y", "N", 16, 1, 1)], 17, 8, **weights)


BIG = """
import sys
import numpy as np
from inference.runtime import session
from tests.inference.runtime.test_session import convolutions
if sys.argv[1] == "off":
    session._BIG_ELEMENTS = 1 << 40
made = session.OrtSession(convolutions(), session.Path("test/1"))
def run(side):
    made.run({"x": np.zeros((1, 3, side, side), np.float32)})
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20
small = run(64)
run(1500)
print(run(64) - small)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_one_big_image_leaves_no_memory_behind() -> None:
    def left(rule: str) -> int:
        environment = {**os.environ, "PYTHONPATH": "."}
        done = run([executable, "-c", BIG, rule], capture_output=True, text=True, check=True, env=environment)
        return int(done.stdout)

    assert left("off") > 150
    assert left("on") < 50


_EXPAND = """
import numpy as np
from onnx import TensorProto, helper
from pathlib import Path
from inference.runtime.session import OrtSession
table = helper.make_tensor("t", TensorProto.FLOAT, [9, 64], np.zeros(576, np.float32))
graph = helper.make_graph(
    [helper.make_node("Gather", ["t", "ids"], ["e"]), helper.make_node("Relu", ["e"], ["y"])],
    "g",
    [helper.make_tensor_value_info("ids", TensorProto.INT64, ["rows", "length"])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", "length", 64])],
    [table],
)
made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
session = OrtSession(made.SerializeToString(), Path("x/1"))
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
session.run({"ids": np.zeros((1, 10), np.int64)})
before = resident()
session.run({"ids": np.zeros((1, 500_000), np.int64)})
session.run({"ids": np.zeros((1, 10), np.int64)})
left = resident() - before
session.give_back()
print(left, resident() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_what_the_outputs_of_a_big_run_leave_is_given_back_once_they_are_gone() -> None:
    done = run([executable, "-c", _EXPAND], capture_output=True, text=True, check=True, timeout=60)
    left, after = map(int, done.stdout.split())
    assert left > 100 << 20, "the outputs lay in the arena when the run gave the rest back"
    assert after < 20 << 20


def test_what_a_graph_does_not_take_is_raised_and_writes_no_line_of_its_own(
    capfd: pytest.CaptureFixture[str],
) -> None:
    table = np.zeros((3, 2), np.float32)
    ids = [tensor("x", "N", kind=TensorProto.INT64)]
    session = OrtSession(model([node("Gather", "t x", "y")], ids, [tensor("y", "N", 2)], t=table), HERE)
    with pytest.raises(InferenceFailed, match="out of data bounds"):
        session.run({"x": np.array([7])})
    assert capfd.readouterr() == ("", "")


def test_a_run_that_fails_says_what_the_runtime_said() -> None:
    session = OrtSession(sum_graph(), Path("models/sum/1"))
    with pytest.raises(InferenceFailed, match="invalid dimensions"):
        session.run({"x": np.zeros((1, 4), np.float32), "y": np.zeros((1, 3), np.float32)})
