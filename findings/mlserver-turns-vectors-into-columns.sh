#!/usr/bin/env bash
# MLServer's numpy codec turns a vector into a column, on the wire and after it.
#
# With: mlserver 1.7.1, numpy 2.4.6, Python 3.11.
# Expected: an array of shape [3] is written with shape [3] and read back as it was.
# Seen: it is written with shape [3, 1] and read back as (3, 1), while a vector that another server
#   wrote with [3] is read as (3,). A scalar is written with [1]. Code that compares or broadcasts with a
#   vector (labels - predictions) makes a 3 x 3 table out of it. And infinities: both are null in the JSON,
#   and NaN when read back.
# Source: https://github.com/SeldonIO/MLServer/blob/master/mlserver/codecs/numpy.py
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    mlserver==1.7.1 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
from mlserver.codecs import NumpyCodec
from mlserver.types import ResponseOutput

vector = np.array([1.0, 2.0, 3.0], np.float32)
written = NumpyCodec.encode_output("y", vector)
back = NumpyCodec.decode_output(written)
foreign = NumpyCodec.decode_output(ResponseOutput(name="y", shape=[3], datatype="FP32", data=[1.0, 2.0, 3.0]))
print(f"(3,) is written with shape {written.shape} and read back as {back.shape}; [3] of another server as {foreign.shape}")
print(f"vector - what came back: {(vector - back).shape}")
assert written.shape == [3, 1] and back.shape == (3, 1), "vectors stay vectors now"
assert foreign.shape == (3,) and (vector - back).shape == (3, 3)
assert NumpyCodec.encode_output("y", np.array(3.0)).shape == [1]

text = NumpyCodec.encode_output("y", np.array([[np.inf, -np.inf]])).model_dump_json()
again = NumpyCodec.decode_output(ResponseOutput.model_validate_json(text))
print("infinities as JSON:", text, "and read back:", again)
assert np.isnan(again).all(), "infinities survive now"
PYTHON
