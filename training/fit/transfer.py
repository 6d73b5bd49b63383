"""Transfer learning: start from the weights of another model, with a new head.

The source is a published bundle, a run, or a checkpoint. A bundle's weights are read from its graph, where
the exporter has folded each batch norm into the layer before it. Here the norm is taken out again, so that the model
is the bundle's function and can be trained on.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from inference.errors import BatonError
from inference.store.bundle import Bundle
from training.architectures.base import ForeignStart, Network
from training.config import TrainConfig
from training.data.examples import Batch, Examples
from training.errors import ConfigError
from training.fit.checkpoint import PREFIX, read_checkpoint
from training.lineage import WEIGHTS_KEY, newest_version
from training.run import RunFiles

STATISTICS_ROWS = 512
"""Rows of train, enough for the mean and variance of each channel; they go through the model as one batch."""

_GRAPH_PREFIX = "deployed.model."  # as `export` nests the model
_FOLDED_BIAS = "_bias"  # the exporter's suffix to a weight's name, for the bias that a norm left


class Source(NamedTuple):
    """Weights by the model's own names; `biases` of the layers that a batch norm was folded into."""

    weights: Mapping[str, Tensor]
    biases: Mapping[str, Tensor]
    about: str


def start_from(
    model: Network, config: TrainConfig, train: Examples, inputs: Callable[[Batch], Batch]
) -> None:
    """Fill all of `model` but its head; every weight must be found in its own shape, or `ConfigError` lists them."""
    source = read_source(Path(config.init_from))
    if (foreign := model.foreign_start()) is not None:
        _start_from_other(foreign, config, source)
        return
    norms = dict(_folded_norms(model)) if source.biases else {}
    kept = model.head_names() | {name for norm in norms.values() for name in _tensors_of(model, norm)}
    state = model.state_dict()
    expected = {
        name: value for name, value in state.items() if name not in kept and value.is_floating_point()
    }
    faults = _misfits(source, {name: list(value.shape) for name, value in expected.items()})
    faults += [
        f"  {name}: it has no bias folded in" for name in norms if f"{name}.weight" not in source.biases
    ]
    if faults:
        raise ConfigError(
            f"init_from: {config.init_from} ({source.about}) is not this model\n" + "\n".join(faults[:8])
        )
    with torch.no_grad():
        for name in expected:
            state[name].copy_(source.weights[name])
    if norms:
        _unfold(model, norms, source.biases, train, inputs)


def _start_from_other(start: ForeignStart, config: TrainConfig, source: Source) -> None:
    if faults := _misfits(source, start.shapes):
        about = f"{config.init_from} ({source.about}) is no {start.about}"
        raise ConfigError(f"init_from: {about}\n" + "\n".join(faults))
    start.fill(source.weights)


def check_same_split(source: Path, split: Path) -> None:
    """Refuse to start from a recommender that has learned from events held out here, or that may have."""
    theirs = RunFiles(source).split
    if not theirs.is_file():
        raise ConfigError(f"init_from: {source} is no run, which alone knows its held-out rows")
    if json.loads(theirs.read_text()) != json.loads(split.read_text()):
        raise ConfigError(
            f"init_from: {source} has held out other events; expected the same data, --seed and --validation"
        )


def read_source(path: Path) -> Source:
    """From a bundle, the newest version in a bundle's folder, a run's directory, or a checkpoint file."""
    run = RunFiles(path)
    if run.best.is_file():
        return _from_checkpoint(run.best)
    if path.is_file():
        return _from_checkpoint(path)
    try:
        return _from_bundle(Bundle.open(newest_version(path)))
    except BatonError as error:
        raise ConfigError(f"init_from: {path} is no bundle, run or checkpoint: {error}") from error


def _from_checkpoint(path: Path) -> Source:
    state = read_checkpoint(path).get("state_dict", {})
    weights = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    return Source(weights, {}, "a checkpoint")


def _from_bundle(bundle: Bundle) -> Source:
    proto = onnx.load_from_string(bundle.read(bundle.graph("fp32").file))
    arrays = {
        one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in proto.graph.initializer
    }
    weights = {name.removeprefix(_GRAPH_PREFIX): value for name, value in arrays.items()}
    for name, (other, transposed) in _recorded(proto).items():
        weights[name.removeprefix("model.")] = arrays[other].T if transposed else arrays[other]
    biases = {
        name.removesuffix(_FOLDED_BIAS): value
        for name, value in weights.items()
        if name.endswith(f"weight{_FOLDED_BIAS}")
    }
    manifest = bundle.manifest
    options = manifest.provenance.config.get("model", "{}") if manifest.provenance else "{}"
    return Source(weights, biases, f"{manifest.architecture}, model {options}")


def _recorded(proto: onnx.ModelProto) -> dict[str, Any]:
    found = {entry.key: entry.value for entry in proto.metadata_props}
    record: dict[str, Any] = json.loads(found.get(WEIGHTS_KEY, "{}"))
    return record


def _folded_norms(model: nn.Module) -> list[tuple[str, str]]:
    """Each layer without a bias with the batch norm that follows it, by name."""
    pairs = []
    layer = None
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            layer = name
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and layer is not None:
            pairs.append((layer, name))
            layer = None
    return pairs


def _unfold(
    model: nn.Module,
    norms: Mapping[str, str],
    biases: Mapping[str, Tensor],
    train: Examples,
    inputs: Callable[[Batch], Batch],
) -> None:
    """Make each norm add its folded bias and nothing else, with the statistics of the new data as its own.

    With mean m and variance v of its input, scale √(v + ε) and shift b + m undo the normalising. In training,
    where a norm uses its batch, the result is the same up to the batch's chance.
    """
    modules = dict(model.named_modules())
    measured: dict[str, tuple[Tensor, Tensor]] = {}

    def recorder(name: str) -> Any:
        def hook(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            x = given[0].float()
            axes = [axis for axis in range(x.ndim) if axis != 1]
            measured[name] = x.mean(axes), x.var(axes, unbiased=False)

        return hook

    for layer, name in norms.items():
        norm = modules[name]
        _set(norm, torch.zeros_like(norm.bias), 1 - norm.eps, torch.tensor(1.0), biases[f"{layer}.weight"])
    handles = [modules[name].register_forward_pre_hook(recorder(name)) for name in norms.values()]
    rows = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:STATISTICS_ROWS]
    was_training = model.training
    with torch.inference_mode():
        model.eval()(*inputs(train.batch(rows, torch.Generator())).values())
    model.train(was_training)
    for handle in handles:
        handle.remove()
    for layer, name in norms.items():
        mean, variance = (value.clone() for value in measured[name])
        scale = (variance + modules[name].eps).sqrt()
        _set(modules[name], mean, variance, scale, biases[f"{layer}.weight"] + mean)


def _set(norm: nn.Module, mean: Tensor, variance: Tensor | float, scale: Tensor, shift: Tensor) -> None:
    with torch.no_grad():
        norm.running_mean.copy_(mean)  # type: ignore[operator]
        norm.running_var.copy_(torch.as_tensor(variance))  # type: ignore[operator]
        norm.weight.copy_(scale)  # type: ignore[operator]
        norm.bias.copy_(shift)  # type: ignore[operator]


def _tensors_of(model: nn.Module, module: str) -> list[str]:
    return [name for name in model.state_dict() if name.rpartition(".")[0] == module]


def _misfits(source: Source, expected: Mapping[str, Sequence[int]]) -> list[str]:
    """A line for every weight that is not there in the shape expected of it."""
    found = {name: list(source.weights[name].shape) if name in source.weights else None for name in expected}
    return [
        f"  {name}: it has {found[name]}, expected {list(shape)}"
        for name, shape in expected.items()
        if found[name] != list(shape)
    ]
