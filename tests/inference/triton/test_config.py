"""What is read of Triton's config.pbtxt: every field has its place, and every fault is named with its line."""

import importlib.util
import logging
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient
from google.protobuf import text_format
from onnx import TensorProto, helper

from inference.errors import ConfigInvalid
from inference.manifest import TensorSpec
from inference.store.bundle import Bundle
from inference.store.repository import ModelRepository
from inference.triton.config import InstanceGroup, TritonConfig, VersionPolicy
from inference.triton.fields import CONFIG_FILE, HONOURED, IGNORED, REFUSED
from inference.triton.reading import outline, read_config
from inference.triton.schema import config_message
from inference.triton.shapes import Reshape
from inference.triton.tensors import asked
from inference.triton.warmup import warmup_tensors
from inference.values import DataType
from tests.bundles import sum_graph, write_bare, write_brightness
from tests.serving.graphs import identity_graph

DOCS = (Path(__file__).parents[3] / "docs" / "repository.md").read_text(encoding="utf-8")
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


def triton_message() -> Any:
    """Triton's own messages, as its client has them; loaded from their file, since the package around it wants grpc."""
    path = Path(str(tritonclient.__file__)).parent / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("triton_model_config", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ModelConfig


def drawn(message: Any, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """The tree of a message's fields, without the names of its types."""
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.containing_oneof is not None,
            field.enum_type and [(value.name, value.number) for value in field.enum_type.values],
            field.message_type and drawn(field.message_type, (*above, field.name)),
        )
        for field in message.fields
    }


def test_the_fields_are_those_of_tritons_own_client() -> None:
    assert drawn(config_message().DESCRIPTOR) == drawn(triton_message().DESCRIPTOR)


def paths(message: Any, prefix: str = "") -> list[str]:
    """Every field as deep as it is told apart."""
    found = []
    for field in message.fields:
        path = f"{prefix}{field.name}"
        if path in HONOURED | IGNORED | REFUSED or field.message_type is None:
            found.append(path)
        else:
            found += paths(field.message_type, f"{path}.")
    return found


def test_every_field_of_tritons_has_its_place() -> None:
    every = paths(config_message().DESCRIPTOR)
    assert sorted(every) == sorted([*HONOURED, *IGNORED, *REFUSED])


@pytest.mark.parametrize("table", [HONOURED, IGNORED, REFUSED], ids=["honoured", "ignored", "refused"])
def test_the_guide_has_every_field_with_what_becomes_of_it(table: dict[str, str]) -> None:
    for field, reason in table.items():
        assert f"| `{field}` | {reason} |" in DOCS, f"put into docs/repository.md: | `{field}` | {reason} |"


def test_what_has_a_meaning_is_read(tmp_path: Path) -> None:
    config = read(tmp_path, WHOLE)
    assert config.max_batch_size == 8
    assert [(entry.name, entry.datatype, entry.dims) for entry in config.inputs] == [
        ("x", DataType.FP32, (3,)),
        ("y", DataType.FP32, (-1,)),
    ]
    assert config.labels == {"total": ("first", "", "third")}
    assert config.instance_groups == (InstanceGroup("KIND_CPU", 2), InstanceGroup("KIND_GPU", 3))
    assert (config.instances("cpu"), config.instances("cuda"), config.threads) == (2, 3, 3)
    assert (config.preferred_batch_size, config.max_queue_size, config.default_timeout_us) == (8, 40, 250_000)
    assert config.optimization == "extended"
    assert config.version_policy == VersionPolicy(latest=2)
    assert config.trusted
    assert config.ignored == (
        "dynamic_batching.max_queue_delay_microseconds",
        "instance_group.gpus",
        "optimization.cuda",
        "parameters.enable_mem_pattern",
    )


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    config = read(tmp_path, "")
    assert (config.max_batch_size, config.instances("cpu"), config.threads, config.trusted) == (None,) * 3 + (
        False,
    )
    assert config.ignored == ()
    assert Bundle.open(tmp_path / "sum" / "1").manifest.max_batch_size == 64


def test_our_own_settings_leave_the_file_one_that_triton_reads(tmp_path: Path) -> None:
    read(tmp_path, WHOLE)
    text_format.Parse(WHOLE, triton_message()())


def test_one_line_in_the_log_names_what_has_no_effect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "baton.config"):
        read(tmp_path, WHOLE).log_ignored("cpu")
    (line,) = caplog.messages
    assert line.startswith(f"sum: {CONFIG_FILE}: without effect here: dynamic_batching.max_queue_delay")
    assert "parameters.enable_mem_pattern" in line
    assert "instance_group for another device than cpu" in line


FAULTS = {
    "misspelt": (
        'name: "sum"\nmax_batchsize: 3',
        ":2: max_batchsize: ModelConfig has no such field",
        "max_batch_size?",
    ),
    "misspelt inside": (
        'max_batch_size: 3\ninput {\n  name: "x"\n  dim: 3\n}',
        ":4: dim: ModelInput has no such field, did you mean dims?",
    ),
    "of nobody's": ("\n\nserve_with: 3", ":3: serve_with: ModelConfig has no such field"),
    "no type of Triton's": ('input {\n name: "x" data_type: TYPE_FP31 }', ":2:", "TYPE_FP31"),
    "a text for a number": ('max_batch_size: "many"', ":1:", "Couldn't parse integer"),
    "twice": ("max_batch_size: 3\nmax_batch_size: 4", ":2:", "max_batch_size"),
    "JSON": ('{"name": "sum"}', ":1:"),
    "another's name": ('name: "product"', "name: got 'product', expected 'sum'"),
    "fewer than none": ("max_batch_size: -1", "max_batch_size: got -1, expected 0 or more"),
    "no such input": (
        'max_batch_size: 3\ninput { name: "z" }',
        "input[0].name: got 'z', expected one of the graph's, x, y",
    ),
    "no such output": ('output { name: "x" }', "output[0].name: got 'x', expected one of the graph's, total"),
    "no name": ("input { dims: 3 }", "input[0].name: got none"),
    "the same twice": (
        'input { name: "x" } input { name: "x" }',
        "input[1].name: got 'x', expected each tensor once",
    ),
    "another datatype": (
        'input { name: "x" data_type: TYPE_INT64 }',
        "input[0].data_type: got TYPE_INT64, expected the graph's, TYPE_FP32",
    ),
    "other dims": (
        'max_batch_size: 3\noutput { name: "total" dims: 4 }',
        "output[0].dims: got [4], expected the graph's, [3]",
    ),
    "the batch among the dims": (
        'max_batch_size: 3\ninput { name: "x" dims: [-1, 3] }',
        "input[0].dims: got [-1, 3], expected the graph's, [3] (with a max_batch_size, dims leave out the batch)",
    ),
    "dims without the batch": (
        'input { name: "x" dims: [3] }',
        "input[0].dims: got [3], expected the graph's, [-1, 3] (without a max_batch_size, dims have the batch too)",
    ),
    "an axis of 0": ('input { name: "x" dims: [0] }', "input[0].dims: got [0], expected axes of 1 and more"),
    "a reshape of other size": (
        'max_batch_size: 3\ninput { name: "x" dims: [2, 2] reshape { shape: 3 } }',
        "input[0].reshape.shape: got [3], expected as many elements as dims, [2, 2]",
    ),
    "a reshape that is not the graph's": (
        'max_batch_size: 3\ninput { name: "x" dims: [4] reshape { shape: [2, 2] } }',
        "input[0].reshape.shape: got [2, 2], expected the graph's, [3]",
    ),
    "a format of two dims": (
        'input { name: "x" dims: [-1, 3] format: FORMAT_NCHW }',
        "input[0].format: got FORMAT_NCHW with 2 dims, expected 3",
    ),
    "no labels": (
        'output { name: "total" label_filename: "none.txt" }',
        "label_filename: got 'none.txt', which is not",
    ),
    "labels of the machine's": (
        'output { name: "total" label_filename: "/etc/passwd" }',
        "label_filename: got '/etc/passwd', expected a file inside sum/",
    ),
    "labels of another's": (
        'output { name: "total" label_filename: "../secret.txt" }',
        "label_filename: got '../secret.txt', expected a file inside sum/",
    ),
    "a graph elsewhere": ('default_model_filename: "../m.onnx"', "default_model_filename: got '../m.onnx'"),
    "no instance": ("instance_group { count: -1 }", "instance_group[0].count: got -1, expected 0 or more"),
    "a batch over the limit": (
        "max_batch_size: 4 dynamic_batching { preferred_batch_size: [4, 8] }",
        "dynamic_batching.preferred_batch_size: got 8, expected 1 to max_batch_size, 4",
    ),
    "threads in words": (
        'parameters { key: "intra_op_thread_count" value { string_value: "two" } }',
        "parameters.intra_op_thread_count: got 'two'",
    ),
    "a setting of ours that is none": (
        'parameters { key: "baton.batchin" value { string_value: "trusted" } }',
        "parameters.baton.batchin: got a setting that is not known here, expected baton.batching",
    ),
    "trust in other words": (
        'parameters { key: "baton.batching" value { string_value: "yes" } }',
        "parameters.baton.batching: got 'yes', expected 'trusted'",
    ),
    "tensorrt": (
        'name: "sum"\nplatform: "tensorrt_plan"',
        ":2: platform: got 'tensorrt_plan', expected 'onnxruntime_onnx'",
    ),
    "python": ('backend: "python"', ":1: backend: got 'python', expected 'onnxruntime'"),
    "an ensemble": (
        'platform: "ensemble"\nensemble_scheduling { step { model_name: "a" model_version: -1 } }',
        ":2: ensemble_scheduling: got it set, and without it answers would change: models are not chained here",
    ),
    "sequences": ("sequence_batching { }", ":1: sequence_batching: got it set"),
    "ragged": ('input { name: "x"\nallow_ragged_batch: true }', ":2: input.allow_ragged_batch: got it set"),
    "decoupled": (
        "model_transaction_policy { decoupled: true }",
        "model_transaction_policy.decoupled: got it set",
    ),
    "operators": ('model_operations { op_library_filename: "x.so" }', "model_operations: got it set"),
    "two schedulers": ("dynamic_batching { }\nsequence_batching { }", ":2:", "sequence_batching"),
}


@pytest.mark.parametrize(("text", "told"), [(text, told) for text, *told in FAULTS.values()], ids=FAULTS)
def test_a_fault_is_named_with_what_came_and_what_was_wanted(
    tmp_path: Path, text: str, told: list[str]
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    reason = refusal(write(tmp_path, text))
    assert reason.startswith(CONFIG_FILE)
    for part in told:
        assert part in reason


def test_what_is_turned_off_is_no_fault(tmp_path: Path) -> None:
    read(
        tmp_path,
        "model_transaction_policy { decoupled: false } input { name: 'x' allow_ragged_batch: false }"
        ' cc_model_filenames { } response_cache { enable: false } backend: ""'.replace(
            "cc_model_filenames { }", ""
        ),
    )


@pytest.mark.parametrize("kind", ["folder", "link to nowhere", "not text", "too long"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, kind: str) -> None:
    folder = write(tmp_path, "")
    file = folder.parent / CONFIG_FILE
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "link to nowhere":
        file.symlink_to(tmp_path / "nowhere")
    else:
        file.write_bytes(b"\xff\xfe" if kind == "not text" else b"#" * (2 << 20))
    assert refusal(folder).startswith(CONFIG_FILE)
    assert ModelRepository(tmp_path).versions("sum") == [1], (
        "it is listed, so that it is refused with the reason"
    )


def test_labels_behind_a_link_out_of_the_folder_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = write(tmp_path, 'output { name: "total" label_filename: "link.txt" }')
    (folder.parent / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert "expected a file inside sum/" in refusal(folder)


# From here on: what it makes of the tensors.


@pytest.mark.parametrize(
    ("text", "rows", "shape"),
    [
        ("max_batch_size: 0", 0, (-1, 3)),
        ("max_batch_size: 5", 5, (-1, 3)),
        ("max_batch_size: 500", 500, (-1, 3)),
        ("", 64, (-1, 3)),
        ('input { name: "x" dims: [-1, 3] }', 64, (-1, 3)),
        ('input { name: "x" dims: [-1, -1] }', 64, (-1, 3)),
        ('input { name: "x" dims: [1, 3] }', 0, (1, 3)),
        ('max_batch_size: 0 input { name: "x" dims: [2, 3] }', 0, (2, 3)),
        ('max_batch_size: 5 input { name: "x" dims: [3] }', 5, (-1, 3)),
        ('max_batch_size: 5 input { name: "x" dims: [1, 3, 1] reshape { shape: [3] } }', 5, (-1, 1, 3, 1)),
        ('max_batch_size: 0 input { name: "x" dims: [3] reshape { shape: [1, 3] } }', 0, (3,)),
        ('input { name: "x" dims: [3] reshape { shape: [1, 3] } }', 0, (3,)),
    ],
)
def test_the_first_axis_is_a_batch_where_the_operator_says_so(
    tmp_path: Path, text: str, rows: int, shape: tuple[int, ...]
) -> None:
    bundle = Bundle.open(write(tmp_path, text))
    assert bundle.manifest.max_batch_size == bundle.asked().manifest.max_batch_size == rows
    assert bundle.manifest.inputs[0].shape == (-1, 3), "the graph stays as it is"
    assert bundle.asked().manifest.inputs[0].shape == shape


def test_a_batch_needs_an_axis(tmp_path: Path) -> None:
    folder = write(tmp_path, "max_batch_size: 4", identity_graph(TensorProto.FLOAT, 1, 3))
    told = "max_batch_size: got 4, but the graph's input 'x' has shape [1, 3], whose first axis is no batch"
    assert told in refusal(folder)


def test_outputs_that_are_not_listed_are_kept_back(tmp_path: Path) -> None:
    folder = write_brightness(tmp_path)
    (folder.parent / CONFIG_FILE).write_text('max_batch_size: 4 output { name: "logits" dims: 2 }')
    bundle = Bundle.open(folder)
    assert [spec.name for spec in bundle.manifest.outputs] == ["probabilities", "logits"]
    assert [spec.name for spec in bundle.asked().manifest.outputs] == ["logits"]


@pytest.mark.parametrize(
    ("text", "rows"),
    [("max_batch_size: 4", 4), ("max_batch_size: 400", 16), ("max_batch_size: 0", 1), ("", 16)],
)
def test_a_trained_bundles_own_limit_stays_the_upper_one(tmp_path: Path, text: str, rows: int) -> None:
    folder = write_brightness(tmp_path)
    (folder.parent / CONFIG_FILE).write_text(text)
    assert Bundle.open(folder).manifest.max_batch_size == rows


def test_a_trained_bundle_has_rows_whatever_the_configuration_says(tmp_path: Path) -> None:
    folder = write_brightness(tmp_path)
    (folder.parent / CONFIG_FILE).write_text('max_batch_size: 0 input { name: "image" dims: [5, 4, 4, 1] }')
    assert "expected -1 first: a bundle with a manifest takes rows" in refusal(folder)


@pytest.mark.parametrize(
    ("source", "target", "shape", "result"),
    [
        ((1,), (), (5, 1), (5,)),
        ((), (1,), (5,), (5, 1)),
        ((2, 3), (6,), (5, 2, 3), (5, 6)),
        ((4, -1, 2), (2, 2, -1, 1, 2), (5, 4, 7, 2), (5, 2, 2, 7, 1, 2)),
        ((-1, -1), (-1, 1, -1), (5, 2, 3), (5, 2, 1, 3)),
        ((-1, -1), (-1, 1, -1), (5, 0, 3), (5, 0, 1, 3)),
    ],
)
def test_axes_that_vary_are_carried_over_one_to_one(
    source: tuple[int, ...], target: tuple[int, ...], shape: tuple[int, ...], result: tuple[int, ...]
) -> None:
    array = np.arange(np.prod(shape)).reshape(shape)
    reshaped = Reshape(source, target, batched=True)(array)
    assert reshaped.shape == result
    assert reshaped.reshape(-1).tolist() == array.reshape(-1).tolist()


def test_a_tensor_without_axes_is_one_of_a_single_element_to_callers(tmp_path: Path) -> None:
    for name, text in (("0", "dims: [1]"), ("1", "dims: [1] reshape { shape: [] }")):
        folder = write(
            tmp_path / name,
            f'max_batch_size: 0 input {{ name: "x" {text} }}',
            identity_graph(TensorProto.FLOAT),
        )
        seen = Bundle.open(folder).asked()
        assert seen.manifest.inputs[0].shape == (1,)
        assert seen.inputs["x"](np.ones(1)).shape == ()


def test_without_a_configuration_callers_see_the_graph(tmp_path: Path) -> None:
    bundle = Bundle.open(write_bare(tmp_path, "sum", sum_graph()))
    assert bundle.config is None
    assert asked(None, bundle.manifest).manifest is bundle.manifest


# Warm-up.

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
    with pytest.raises(ConfigInvalid, match=r"input_data_file: got . elements in \d+ bytes, expected 2"):
        warm(tmp_path, WARM, data)


# Versions, and the graph's file.


@pytest.mark.parametrize(
    ("text", "policy", "served"),
    [
        ("", None, [7]),
        ("version_policy { latest { } }", VersionPolicy(latest=1), [7]),
        ("version_policy { latest { num_versions: 2 } }", VersionPolicy(latest=2), [3, 7]),
        ("version_policy: {all{}}", VersionPolicy(), [1, 3, 7]),
        (
            "version_policy { specific { versions: [3, 1, 9] } }",
            VersionPolicy(specific=(3, 1, 9)),
            [1, 3],
        ),
        ("version_policy { specific { versions: 9 } }", VersionPolicy(specific=(9,)), []),
    ],
)
def test_a_policy_says_which_versions_are_served(
    tmp_path: Path, text: str, policy: VersionPolicy | None, served: list[int]
) -> None:
    config = read(tmp_path, text)
    assert config.version_policy == policy == outline(tmp_path / "sum").version_policy
    assert config.versions([7, 1, 3]) == served


def test_the_graph_may_have_another_name(tmp_path: Path) -> None:
    folder = write(tmp_path, 'default_model_filename: "sum_v2.onnx"')
    repository = ModelRepository(tmp_path)
    assert repository.versions("sum") == [], "there is no such file yet"
    (folder / "model.onnx").rename(folder / "sum_v2.onnx")
    assert repository.versions("sum") == [1]
    assert repository.open("sum").graph().file == "sum_v2.onnx"


def test_a_policy_that_is_changed_is_seen(tmp_path: Path) -> None:
    write(tmp_path, "version_policy { all { } }")
    assert ModelRepository(tmp_path).look().policies == {"sum": VersionPolicy()}
    (tmp_path / "sum" / CONFIG_FILE).write_text("version_policy { latest { num_versions: 3 } }")
    assert ModelRepository(tmp_path).look().policies == {"sum": VersionPolicy(latest=3)}


def test_an_output_of_unknown_rank_is_shown_as_the_configuration_has_it(tmp_path: Path) -> None:
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3]),
        helper.make_tensor_value_info("shape", TensorProto.INT64, ["k"]),
    ]
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    unknown = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_model(
        helper.make_graph([node], "g", inputs, [unknown]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    text = 'max_batch_size: 4 output { name: "y" dims: [ 3 ] }'
    bundle = Bundle.open(write(tmp_path, text, graph.SerializeToString()))
    assert bundle.manifest.outputs[0].shape == ()
    assert bundle.asked().manifest.outputs[0].shape == (-1, 3)
