#!/usr/bin/env bash
# ONNX Runtime's DFT has seven digits for lengths that are powers of two and two to four otherwise.
#
# With: onnxruntime 1.32.0 (CPU), onnx 1.23.2, numpy 2.4.6, Python 3.11.
# Expected: a float32 DFT is good to about 1e-6 of the largest coefficient at any length, as numpy's,
#   scipy's and torch's are.
# Seen: length 1024: 7e-7. Length 1000 (not even a prime): 3e-4. Length 10007: 3e-3. Length 44100,
#   one second of sound: 1e-2, and the inverse is off by 1e-2 of the signal's deviation.
#   Other lengths go through a chirp whose angles are computed in float32.
# Source: https://github.com/microsoft/onnxruntime/pull/15522 (the algorithm),
#   https://github.com/onnx/onnx/issues/4798 (an early report of differences)
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


def dft(length, inverse):
    graph = helper.make_graph(
        [helper.make_node("DFT", ["x", "", "axis"], ["y"], inverse=inverse)],
        "dft",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, length, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, length, 2])],
        [helper.make_tensor("axis", TensorProto.INT64, [], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda pairs: session.run(None, {"x": pairs})[0]


errors = {}
for length in (1024, 1000, 10007, 44100):
    signal = np.random.default_rng(0).normal(size=length).astype(np.float32)
    pairs = np.stack([signal, np.zeros_like(signal)], axis=-1)[None]
    spectrum = dft(length, 0)(pairs)
    exact = np.fft.fft(signal.astype(np.float64))
    errors[length] = np.abs(spectrum[0, :, 0] + 1j * spectrum[0, :, 1] - exact).max() / np.abs(exact).max()
    back = dft(length, 1)(np.stack([exact.real, exact.imag], axis=-1)[None].astype(np.float32))
    print(f"length {length}: forward off by {errors[length]:.1e}, the inverse by {np.abs(back[0, :, 0] - signal).max():.1e}")

assert errors[1024] < 5e-6, errors
assert errors[1000] > 2e-5 and errors[10007] > 3e-4 and errors[44100] > 1e-3, f"more exact than before: {errors}"
PYTHON
