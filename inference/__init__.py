"""The core that training and serving share: bundles, processors and sessions.

No torch, no web framework, no event loop lives here; `tests/test_imports.py` says so.
"""

import os

# Official ONNX Runtime builds send telemetry (model and graph names among it) unless this is set
# before their first import: microsoft/onnxruntime pull request 27379.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
