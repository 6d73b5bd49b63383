#!/usr/bin/env bash
# One graph, one version of ONNX Runtime: the browser's build casts and lowers otherwise.
#
# With: onnxruntime 1.30.0 (Python, x86-64), onnxruntime-web 1.30.0 (wasm, Node.js 20), onnx 1.23.2, numpy 2.4.6.
# Expected: the same release gives the same answers; the wasm build differs in the last digits of sums.
# Seen: Cast of -1.0 to uint8 is 255 and 0, of 4e9 to int32 -2147483648 and 2147483647, of NaN to int32
#   -2147483648 and 0. StringNormalizer (LOWER, locale C) leaves a capital E with an accent alone in Python, and
#   lowers it in the browser. Features that are hashed, clipped by a cast or lowered on the client are not those the
#   server computes.
# Source: https://onnx.ai/onnx/operators/onnx__Cast.html (out of range is undefined),
#   https://onnxruntime.ai/docs/get-started/with-javascript/web.html
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    onnxruntime==1.30.0 onnx==1.23.2 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, shape_inference

work = pathlib.Path(sys.prefix).parent / "web"
work.mkdir()
(work / "package.json").write_text('{"type": "module"}')
subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", "onnxruntime-web@1.30.0"], cwd=work, check=True)
(work / "run.js").write_text("""
import fs from "fs";
import * as ort from "onnxruntime-web";
ort.env.wasm.numThreads = 1;
const [path, kind, values] = process.argv.slice(2);
const session = await ort.InferenceSession.create(fs.readFileSync(path), { executionProviders: ["wasm"] });
const data = JSON.parse(values).map((value) => (kind === "string" || value !== null ? value : NaN));
const x = new ort.Tensor(kind, kind === "string" ? data : Float32Array.from(data), [data.length]);
const outputs = await session.run({ x });
console.log(JSON.stringify(Array.from(outputs[session.outputNames.at(-1)].data, (each) => (typeof each === "bigint" ? Number(each) : each))));
""")


def both(name, values, node, outputs):
    text = isinstance(values[0], str)
    x = helper.make_tensor_value_info("x", TensorProto.STRING if text else TensorProto.FLOAT, [len(values)])
    graph = helper.make_graph([node], "graph", [x], [helper.make_tensor_value_info(each, kind, None) for each, kind in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path = work / "model.onnx"
    path.write_bytes(shape_inference.infer_shapes(model).SerializeToString())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    python = session.run(None, {"x": np.array(values, object if text else np.float32)})[-1].tolist()
    sent = json.dumps([None if value != value else value for value in values])
    run = subprocess.run(["node", "run.js", path, "string" if text else "float32", sent], cwd=work, check=True, capture_output=True, text=True)
    browser = json.loads(run.stdout.strip().splitlines()[-1])
    print(f"{name} of {values}: Python {python}, browser {browser}")
    return python, browser


byte = both("Cast to uint8", [-1.0, 200.0], helper.make_node("Cast", ["x"], ["y"], to=TensorProto.UINT8), [("y", TensorProto.UINT8)])
assert byte == ([255, 200], [0, 200]), "both cast alike now"
whole = both("Cast to int32", [4e9, float("nan"), -7.5], helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT32), [("y", TensorProto.INT32)])
assert whole == ([-(2**31), -(2**31), -7], [2**31 - 1, 0, -7]), "both cast alike now"
lower = both("StringNormalizer", ["\u00c9A"], helper.make_node("StringNormalizer", ["x"], ["y"], case_change_action="LOWER", locale="C"), [("y", TensorProto.STRING)])
assert lower == (["\u00c9a"], ["\u00e9a"]), "both lower alike now"
PYTHON
