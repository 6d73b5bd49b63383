"""A server for clients that others made: bare graphs of every datatype, an image bundle and a shipped text model."""

from collections.abc import Iterator

import pytest
from onnx import TensorProto, helper

from tests.bundles import MODELS, graph_bytes, write_bare
from tests.serving.graphs import identity_graph
from tests.serving.servers import ADMIN, ThreadedServer, start, write_models


def not_graph() -> bytes:
    """x → y = not x, BOOL [batch, 3]."""
    infos = [helper.make_tensor_value_info(name, TensorProto.BOOL, ["batch", 3]) for name in ("x", "y")]
    return graph_bytes([helper.make_node("Not", ["x"], ["y"])], infos[:1], infos[1:], {})


def tens_graph() -> bytes:
    """INT64 [batch] → ten times as much: a graph whose only axis is the batch."""
    ten = helper.make_node("Constant", [], ["ten"], value_int=10)
    infos = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch"]) for name in ("x", "y")]
    return graph_bytes([ten, helper.make_node("Mul", ["x", "ten"], ["y"])], infos[:1], infos[1:], {})


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedServer]:
    root = tmp_path_factory.mktemp("models")
    write_models(root)
    write_bare(root, "not", not_graph())
    write_bare(root, "tens", tens_graph())
    write_bare(root, "long", identity_graph(TensorProto.INT64, "batch", 2))
    (root / "reviews").symlink_to(MODELS / "reviews")
    with start(models=root, admin_token=ADMIN) as running:
        yield running
