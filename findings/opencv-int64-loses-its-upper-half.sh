#!/usr/bin/env bash
# OpenCV takes 64-bit integers and gives back 32-bit ones, the upper half cut off.
#
# With: opencv-python-headless 5.0.0.93, numpy 2.4.6, Python 3.11.
# Expected: an array type that is not supported raises, as bool, or int32 with INTER_LINEAR, do in
#   cv2.resize; OpenCV 5 even names CV_64S among its types. Or the numbers come back.
# Seen: cv2.resize (nearest), flip, rotate, copyMakeBorder, transpose and warpAffine of int64 and uint64
#   return int32: 2**40 + 3 comes back as 3, 2**31 as -2147483648. Maps of instance or item ids, which
#   are int64 by numpy's default, lose what does not fit, in silence.
# Source: https://docs.opencv.org/5.x/ (Mat types)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    opencv-python-headless==5.0.0.93 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import cv2
import numpy as np

ids = np.array([[2**40 + 3, 2**31, 7]])
calls = {
    "resize": lambda x: cv2.resize(x, (3, 1), interpolation=cv2.INTER_NEAREST),
    "rotate": lambda x: cv2.rotate(x, cv2.ROTATE_180)[:, ::-1],
    "flip": lambda x: cv2.flip(cv2.flip(x, 1), 1),
    "copyMakeBorder": lambda x: cv2.copyMakeBorder(x, 0, 0, 0, 0, cv2.BORDER_CONSTANT),
    "transpose": lambda x: cv2.transpose(x).T,
}
for kind in (np.int64, np.uint64):
    for name, call in calls.items():
        back = call(ids.astype(kind))
        print(f"{name} of {kind.__name__} {ids.tolist()}: {back.dtype} {back.tolist()}")
        assert back.dtype == np.int32 and back.tolist() == [[3, -(2**31), 7]], "64 bits survive now"
try:
    cv2.resize(ids.astype(np.int32), (2, 1), interpolation=cv2.INTER_LINEAR)
except cv2.error as error:
    print("int32, linear:", str(error).splitlines()[0][-60:])
PYTHON
