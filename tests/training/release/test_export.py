"""The exported file: dynamic axes, no trace of this machine, and the weights by name."""

import json
from pathlib import Path

import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from inference.runtime.session import OrtSession
from training.lineage import WEIGHTS_KEY
from training.release.export import OPSET, export


class Pooled(nn.Module):
    """Rows of ids of any length → logits."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(9, 4), nn.Linear(4, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor]:
        return (self.head((self.table(ids) * mask[..., None]).sum(1)),)


@pytest.fixture(scope="module")
def module() -> Pooled:
    torch.manual_seed(0)
    return Pooled().eval()


@pytest.fixture(scope="module")
def graph(module: Pooled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    inputs = {"ids": torch.ones(2, 5, dtype=torch.int64), "mask": torch.ones(2, 5)}
    export(module, inputs, ("logits",), path, {"ids": {1: "length"}, "mask": {1: "length"}})
    return path


def test_batch_and_named_axes_are_dynamic(module: Pooled, graph: Path) -> None:
    session = OrtSession(graph.read_bytes(), graph)
    assert {spec.name: spec.shape for spec in session.inputs} == {"ids": (-1, -1), "mask": (-1, -1)}
    ids, mask = torch.randint(0, 9, (3, 7)), torch.ones(3, 7)
    (logits,) = session.run({"ids": ids.numpy(), "mask": mask.numpy()}).values()
    torch.testing.assert_close(torch.from_numpy(logits), module(ids, mask)[0].detach())


def test_nothing_of_this_machine_is_in_the_file(graph: Path) -> None:
    assert str(Path(__file__).parents[3]).encode() not in graph.read_bytes()
    model = onnx.load(graph)
    assert model.opset_import[0].version == OPSET
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def test_every_weight_is_found_by_its_name_transposed_or_not(module: Pooled, graph: Path) -> None:
    model = onnx.load(graph)
    arrays = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    (listed,) = (entry.value for entry in model.metadata_props if entry.key == WEIGHTS_KEY)
    found = json.loads(listed)
    assert found.keys() == module.state_dict().keys()
    for name, (initializer, transposed) in found.items():
        array = torch.tensor(arrays[initializer])
        assert torch.equal(array.T if transposed else array, module.state_dict()[name])
