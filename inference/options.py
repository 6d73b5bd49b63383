"""The choices of how a graph runs, in the words of flags and manifests. Importing it costs nothing."""

from typing import Literal

Device = Literal["cpu", "cuda", "tensorrt", "auto"]
Precision = Literal["fp32", "int8", "fp16", "bf16"]
"""Of a bundle that was trained here fp32 or int8; of somebody else's graph whatever most of its weights are."""
