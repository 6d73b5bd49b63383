"""Models with a `config.pbtxt` beside them."""

from pathlib import Path

import pytest

from inference.errors import ConfigInvalid
from inference.store.bundle import Bundle
from inference.triton.config import TritonConfig
from inference.triton.fields import CONFIG_FILE
from inference.triton.reading import read_config
from tests.bundles import sum_graph, write_bare

SUM = 'input { name: "x" data_type: TYPE_FP32 dims: 3 }'

# Found in people's repositories more than anything else.
WHOLE = """
name: "sum"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [
  { name: "x", data_type: TYPE_FP32, dims: [ 3 ] },
  { name: "y" data_type: TYPE_FP32 dims: [ -1 ] }  # one after the other
]
output [ { name: "total" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "labels.txt" } ]
instance_group [ { count: 2 kind: KIND_CPU }, { count: 3 kind: KIND_GPU gpus: [ 0 ] }, { count: 5 passive: true } ]
dynamic_batching {
  preferred_batch_size: [ 4, 8 ]
  max_queue_delay_microseconds: 100
  default_queue_policy { max_queue_size: 40 default_timeout_microseconds: 250000 }
}
optimization { graph { level: 1 } cuda { graphs: true } }
version_policy: { latest { num_versions: 2 } }
parameters: { key: "intra_op_thread_count" value: { string_value: "3" } }
parameters: { key: "enable_mem_pattern" value: { string_value: "0" } }
parameters: { key: "baton.batching" value: { string_value: "trusted" } }
"""


def write(root: Path, text: str, graph: bytes | None = None) -> Path:
    """A model `sum` under that configuration; the folder of its version."""
    folder = write_bare(root, "sum", graph or sum_graph())
    (folder.parent / "labels.txt").write_bytes(b"first\r\n\nthird\n")
    (folder.parent / CONFIG_FILE).write_text(text)
    return folder


def read(root: Path, text: str) -> TritonConfig:
    found = read_config(write(root, text))
    assert found is not None
    return found


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        Bundle.open(folder)
    return caught.value.reason
