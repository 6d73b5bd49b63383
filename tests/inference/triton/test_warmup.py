"""Sample requests become tensors that the graph takes, or a fault with its field."""

import re
import struct
from pathlib import Path
from typing import Any

import pytest

from inference.errors import ConfigInvalid
from inference.manifest import TensorSpec
from inference.triton.reading import read_config
from inference.triton.warmup import warmup_tensors
from inference.values import DataType
from tests.inference.triton.files import refusal, write

SPECS = (
    TensorSpec(name="ids", datatype=DataType.INT64, shape=(-1, -1)),
    TensorSpec(name="text", datatype=DataType.BYTES, shape=(-1, 2)),
    TensorSpec(name="real", datatype=DataType.FP16, shape=(-1,)),
)

WARM = """
max_batch_size: 8
input { name: "real" dims: [1] reshape { shape: [] } }
model_warmup {
  name: "sample" batch_size: 3
  inputs { key: "ids" value { data_type: TYPE_INT64 dims: [9] random_data: true } }
  inputs { key: "text" value { data_type: TYPE_STRING dims: [2] input_data_file: "text.bin" } }
  inputs { key: "real" value { data_type: TYPE_FP16 dims: [1] zero_data: true } }
}
"""


def warm(root: Path, text: str, data: bytes | None = None) -> Any:
    folder = write(root, text)
    (folder.parent / "warmup").mkdir()
    ours = b"".join(struct.pack("<I", len(each)) + each for each in (b"red", "grün".encode()))
    (folder.parent / "warmup" / "text.bin").write_bytes(ours if data is None else data)
    return warmup_tensors(read_config(folder), SPECS, folder)


def test_a_sample_request_is_made_as_the_graph_takes_it(tmp_path: Path) -> None:
    tensors = warm(tmp_path, WARM)
    assert {name: (array.shape, array.dtype.str) for name, array in tensors.items()} == {
        "ids": ((3, 9), "<i8"),
        "text": ((3, 2), "|O"),
        "real": ((3,), "<f2"),
    }
    assert set(tensors["ids"].reshape(-1).tolist()) == {0, 1}
    assert tensors["text"][2].tolist() == ["red", "grün"]
    assert not tensors["real"].any()


def test_a_faulty_sample_refuses_the_model_when_it_is_opened(tmp_path: Path) -> None:
    assert "model_warmup[0].inputs: got none, expected x, y" in refusal(write(tmp_path, "model_warmup { }"))


def test_without_a_sample_there_is_nothing_to_warm_up_with(tmp_path: Path) -> None:
    assert warm(tmp_path, "max_batch_size: 8") is None
    assert warmup_tensors(None, SPECS, tmp_path) is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("batch_size: 3", "batch_size: 9"), "model_warmup[0].batch_size: got 9, expected at most max_batch_size, 8"),
        (("batch_size: 3", "batch_size: 0"), "model_warmup[0].batch_size: got 0, expected 1 or more"),
        (("max_batch_size: 8", ""), "model_warmup[0].batch_size: got 3, expected 1"),
        (('key: "ids"', 'key: "idx"'), "model_warmup[0].inputs: got idx, real, text, expected ids, text, real"),
        (("TYPE_INT64", "TYPE_INT32"), "inputs.ids.data_type: got TYPE_INT32, expected TYPE_INT64"),
        (("dims: [9]", "dims: [-1]"), "inputs.ids.dims: got [-1], expected a size for each axis"),
        (("TYPE_STRING dims: [2]", "TYPE_STRING dims: [3]"), "inputs.text.dims: got [3], expected [2]"),
        (("text.bin", "../labels.txt"), "input_data_file: got '../labels.txt', expected a file inside warmup/"),
        (("text.bin", "none.bin"), "inputs.text.input_data_file: got 'none.bin', which is not there"),
        (("batch_size: 3", "batch_size: 3 cuont: 2"), ":5: cuont: ModelWarmup has no such field, did you mean count?"),
    ],
)  # fmt: skip
def test_a_faulty_sample_is_refused(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    with pytest.raises(ConfigInvalid, match=re.escape(told)):
        warm(tmp_path, WARM.replace(*change))


@pytest.mark.parametrize("data", [b"", b"\1\0\0\0a", b"\1\0\0\0a\2\0\0\0b", b"\1\0\0\0a\1\0\0\0bc"])
def test_a_sample_of_the_wrong_size_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ConfigInvalid, match=r"input_data_file: got . elements? in \d+ bytes, expected 2"):
        warm(tmp_path, WARM, data)
