#!/usr/bin/env bash
# Pillow clips a 16-bit grey PNG to white and scales a 16-bit colour one.
#
# With: pillow 13.0.0, opencv-python-headless 5.0.0.93, numpy 2.4.6, Python 3.11.
# Expected: .convert("RGB") of a 16-bit picture maps 0..65535 to 0..255, whether it has one channel or
#   three; OpenCV's IMREAD_COLOR does.
# Seen: the grey picture is opened as "I;16" and convert cuts at 255: 15 of 16 shades are white. The
#   colour picture with the same shades is opened as 8-bit "RGB", scaled. A model of X-rays or depth
#   maps sees a white sheet, and nothing is raised.
# Source: https://pillow.readthedocs.io/en/stable/handbook/concepts.html (modes)
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --no-compile --disable-pip-version-check -q \
    pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import io

import cv2
import numpy as np
from PIL import Image

shades = (np.arange(16, dtype=np.uint16) * 4096).reshape(4, 4)
scaled = (shades >> 8).ravel().tolist()
for name, picture in (("grey", shades), ("colour", np.dstack([shades] * 3))):
    data = cv2.imencode(".png", picture)[1]
    opened = Image.open(io.BytesIO(data.tobytes()))
    pillow = np.asarray(opened.convert("RGB"))[..., 0].ravel().tolist()
    opencv = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., 0].ravel().tolist()
    print(f"16-bit {name}, mode {opened.mode}: Pillow {pillow}, OpenCV {opencv}")
    assert opencv == scaled
    assert pillow == (scaled if name == "colour" else [0] + [255] * 15), "grey is scaled now"
PYTHON
