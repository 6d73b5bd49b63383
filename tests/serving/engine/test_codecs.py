"""The codec of a model: a plain one, unless its `config.pbtxt` asks for another shape or a deadline."""

from collections.abc import Iterator

import pytest
from onnx import TensorProto

from serving.codec.configured import ConfiguredCodec
from serving.codec.infer import InferCodec
from serving.engine.codecs import codec_of, labels_of
from serving.engine.registry import ModelRegistry
from tests.bundles import LABELS, write_bare
from tests.serving.graphs import identity_graph
from tests.serving.servers import ThreadedServer, start

CONFIG = """
max_batch_size: 4
input [ {{ name: "x" data_type: TYPE_FP32 dims: [ 2 ] }} ]
output [ {{ name: "y" data_type: TYPE_FP32 dims: [ 2 ] {label} }} ]
{more}
"""
DEADLINE = "dynamic_batching { default_queue_policy { default_timeout_microseconds: 5000 } }"


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelRegistry]:
    root = tmp_path_factory.mktemp("configured")
    for name, label, more in (("plain", "", ""), ("late", "", DEADLINE), ("named", LABELLED, "")):
        write_bare(root, name, identity_graph(TensorProto.FLOAT, "batch", 2))
        (root / name / "config.pbtxt").write_text(CONFIG.format(label=label, more=more))
        (root / name / "names.txt").write_text("left\nright\n")
    with start(models=root) as server:
        yield server.app.registry


LABELLED = 'label_filename: "names.txt"'


def test_a_model_without_a_configuration_has_a_plain_codec(server: ThreadedServer) -> None:
    assert type(codec_of(server.app.registry.get("sum"))) is InferCodec


@pytest.mark.slow
def test_only_a_configuration_that_changes_requests_makes_another_codec(configured: ModelRegistry) -> None:
    assert type(codec_of(configured.get("plain"))) is InferCodec
    codec = codec_of(configured.get("late"))
    assert type(codec) is ConfiguredCodec
    body = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}'
    assert codec.decode(body).timeout_us == 5000


def test_outputs_that_have_an_element_a_label_are_labelled(server: ThreadedServer) -> None:
    labels = labels_of(server.app.registry.get("brightness"))
    assert {name: tuple(named) for name, named in labels.items()} == {
        "probabilities": LABELS,
        "logits": LABELS,
    }
    assert labels_of(server.app.registry.get("sum")) == {}


def test_labels_of_a_configuration_are_those_of_its_file(configured: ModelRegistry) -> None:
    assert list(labels_of(configured.get("named"))["y"]) == ["left", "right"]
