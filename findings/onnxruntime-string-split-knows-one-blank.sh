#!/usr/bin/env bash
# StringSplit without a delimiter splits at spaces only in ONNX Runtime, at any whitespace in the reference.
#
# With: onnxruntime 1.32.0 (CPU), onnx 1.23.2, numpy 2.4.6, Python 3.11.
# Expected: no delimiter means "consecutive whitespace", as the operator's text says and as str.split does:
#   "a<tab>b<newline>c d" is four words.
# Seen: ONNX Runtime gives two, "a<tab>b<newline>c" and "d"; no-break and ideographic spaces do not
#   split either. The reference evaluator gives four. A text that came in with line breaks is tokenised into
#   words that the vocabulary has never seen. They also disagree on "" with a delimiter: 0 parts and 1.
# Source: https://onnx.ai/onnx/operators/onnx__StringSplit.html
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


def both(text, **attributes):
    graph = helper.make_graph(
        [helper.make_node("StringSplit", ["x"], ["parts", "count"], **attributes)],
        "split",
        [helper.make_tensor_value_info("x", TensorProto.STRING, [1])],
        [helper.make_tensor_value_info("parts", TensorProto.STRING, [1, None]),
         helper.make_tensor_value_info("count", TensorProto.INT64, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.array([text], dtype=object)
    runtime, reference = session.run(None, {"x": x}), ReferenceEvaluator(model).run(None, {"x": x})
    print(f"{text!r} {attributes}: ONNX Runtime {runtime[0][0].tolist()}, reference {[str(part) for part in reference[0][0]]}")
    return int(runtime[1][0]), int(reference[1][0])


assert both("a  b c") == (3, 3)
assert both("a\tb\nc d") == (2, 4), "tabs and line breaks split now"
assert both("a\u00a0b\u3000c") == (1, 3), "other blanks split now"
assert both("", delimiter=",") == (0, 1), "an empty text has as many parts in both now"
PYTHON
