#!/usr/bin/env bash
# RegexFullMatch: "\w" is a letter of any language in the reference evaluator, of ASCII in ONNX Runtime.
#
# With: onnxruntime 1.32.0 (CPU), onnx 1.23.2, numpy 2.4.6, Python 3.11.
# Expected: one graph, one answer. The operator's text asks for RE2 syntax.
# Seen: for the pattern "\w+" the reference evaluator (Python's re) matches "Zoe" with a diaeresis and
#   Arabic digits for "\d"; ONNX Runtime (RE2, where both are ASCII) does not. A feature "is a word" that was
#   tried in the one is another feature in the other. "\p{L}+" is right in ONNX Runtime, and
#   an error in the evaluator.
# Source: https://onnx.ai/onnx/operators/onnx__RegexFullMatch.html, https://github.com/google/re2/wiki/Syntax
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

x = np.array(["Zoe", "Zo\u00eb", "12", "\u0661\u0662"], dtype=object)


def runs(pattern):
    graph = helper.make_graph(
        [helper.make_node("RegexFullMatch", ["x"], ["y"], pattern=pattern)],
        "match",
        [helper.make_tensor_value_info("x", TensorProto.STRING, [4])],
        [helper.make_tensor_value_info("y", TensorProto.BOOL, [4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})[0].tolist(), lambda: ReferenceEvaluator(model).run(None, {"x": x})[0].tolist()


for pattern, theirs, reference in ((r"\w+", [True, False, True, False], [True] * 4), (r"\d+", [False, False, True, False], [False, False, True, True])):
    runtime, evaluator = (run() for run in runs(pattern))
    print(f"{pattern}: ONNX Runtime {runtime}, reference {evaluator} for {x.tolist()}")
    assert runtime == theirs and evaluator == reference, "the two agree now"

runtime, evaluator = runs(r"\p{L}+")
print(r"\p{L}+: ONNX Runtime", runtime())
assert runtime() == [True, True, False, False]
try:
    evaluator()
except Exception as error:
    print("reference:", type(error).__name__, error)
else:
    raise AssertionError("the evaluator reads RE2 classes now")
PYTHON
