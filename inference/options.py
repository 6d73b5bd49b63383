"""What may be chosen of how a graph runs, in the words of flags and manifests. Importing it costs nothing."""

from typing import Literal

Device = Literal["cpu", "cuda", "tensorrt", "auto"]
Precision = Literal["fp32", "int8"]
