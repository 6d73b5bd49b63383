"""Where tests run graphs, and which of them a machine can run."""

import os

import pytest

from inference.runtime.providers import CUDA, PROVIDERS, available_providers

PROVIDER = PROVIDERS[os.environ.get("BATON_DEVICE", "cpu")]
"""That of the tests' servers: on a machine with a GPU they are run with BATON_DEVICE=cuda too."""

_HELD = CUDA in available_providers()
with_cuda = pytest.mark.skipif(not _HELD, reason="this ONNX Runtime has no CUDA")
without_cuda = pytest.mark.skipif(_HELD, reason="this ONNX Runtime has CUDA")
