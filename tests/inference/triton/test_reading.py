"""A config.pbtxt is read field by field, and every fault is named with its line."""

import errno
from pathlib import Path

import pytest

from inference.store.bundle import Bundle
from inference.store.repository import ModelRepository
from inference.triton import parsing
from inference.triton.config import InstanceGroup, VersionPolicy
from inference.triton.fields import CONFIG_FILE
from inference.triton.reading import Outline, outline
from inference.values import DataType
from tests.inference.triton.files import WHOLE, read, refusal, write


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


def test_a_configuration_that_could_not_be_read_is_read_again_though_it_has_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / CONFIG_FILE).write_text("version_policy { specific { versions: 7 } }")
    with monkeypatch.context() as broken:

        def unreadable(_: Path) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

        broken.setattr(parsing, "read_file", unreadable)
        assert outline(tmp_path) == Outline(faulty=True)
    policy = outline(tmp_path).version_policy
    assert policy is not None
    assert policy.specific == (7,)
