"""From a trained module to one ONNX file: dynamic batch, everything between raw input and answer inside."""

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from onnx import ModelProto, numpy_helper
from torch import Tensor, nn
from torch.export import Dim

from training.lineage import WEIGHTS_KEY
from training.run import atomic_write
from training.tasks.base import Axes

OPSET = 20
"""ONNX Runtime 1.20, the oldest that serves, knows opsets up to 21."""


class _Positional(nn.Module):
    """Any graph as a function of positional inputs, so that one rule describes their dynamic axes."""

    def __init__(self, deployed: nn.Module) -> None:
        super().__init__()
        self.deployed = deployed  # `graph` is a name that torch.export takes for itself

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.deployed(*inputs)
        return outputs


def export(
    graph: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    target: Path,
    axes: Axes | None = None,
) -> None:
    """Write `graph` as ONNX; `inputs` are examples by name, of two rows or more."""
    # The channels-last layout of training would be exported as a chain of index arithmetic.
    graph = graph.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with warnings.catch_warnings():
        # The exporter uses names of PyTorch and of Python that are deprecated.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _Positional(graph),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=(_dynamic(inputs, axes or {}),),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    proto = program.model_proto
    forget_origins(proto)
    name_weights(proto, graph)
    atomic_write(target, proto.SerializeToString())


def forget_origins(proto: ModelProto) -> None:
    """Remove the exporter's notes at each node and value: stack traces, with the paths of this machine."""
    graph = proto.graph
    for noted in (*graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        noted.ClearField("metadata_props")
        noted.ClearField("doc_string")


def name_weights(proto: ModelProto, graph: nn.Module) -> None:
    """Record the initializer of each weight, for a model that starts from the bundle (`training.fit.transfer`).

    The exporter transposes and merges weights under names of its own, so their values identify them.
    """
    arrays = {one.name: numpy_helper.to_array(one) for one in proto.graph.initializer}
    found = {}
    for name, weight in graph.state_dict().items():
        value = weight.numpy()
        for other, array in arrays.items():
            if array.shape == value.shape and np.array_equal(array, value):
                found[name] = [other, False]
            elif value.ndim == 2 and array.shape == value.T.shape and np.array_equal(array, value.T):
                found[name] = [other, True]
    proto.metadata_props.add(key=WEIGHTS_KEY, value=json.dumps(found))


def _dynamic(inputs: Mapping[str, Tensor], axes: Axes) -> tuple[dict[int, Dim], ...]:
    """Axes by input, in order; an axis name that occurs twice is one dimension."""
    names = {"batch", *(name for named in axes.values() for name in named.values())}
    dims = {name: Dim(name) for name in names}
    return tuple(
        {0: dims["batch"], **{axis: dims[name] for axis, name in axes.get(tensor, {}).items()}}
        for tensor in inputs
    )
