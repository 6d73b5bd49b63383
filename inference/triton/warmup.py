"""The sample requests of `model_warmup`, as tensors that the graph takes."""

from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from inference.errors import counted
from inference.folder import UnfitFile, read_regular, said_of
from inference.manifest import TensorSpec
from inference.triton.checks import Check, typed
from inference.triton.config import TritonConfig, Warmup, WarmupInput
from inference.triton.shapes import Reshape, Shape, entry_of, graph_shapes, shown_spec
from inference.values import Array, DataType, Tensors

_LENGTH = np.dtype("<u4")  # before each element of a BYTES file
_MOST_BYTES = 1 << 31  # of a file: twice a tensor of float32 that has as many elements as are allowed


def warmup_tensors(config: TritonConfig | None, specs: Sequence[TensorSpec], bundle: Path) -> Tensors | None:
    """The first sample request, as the graph (`specs`) takes it; None where there is none, `ConfigInvalid` if faulty.

    Random numbers are the same at every start: fractions from 0 to 1, and of whole numbers 0 and 1, which are valid
    ids anywhere.
    """
    if config is None or not config.warmups:
        return None
    rng = np.random.default_rng(0)
    found = [
        _sample(config, index, sample, specs, bundle, rng) for index, sample in enumerate(config.warmups)
    ]
    return found[0]


def _sample(
    config: TritonConfig,
    index: int,
    sample: Warmup,
    specs: Sequence[TensorSpec],
    bundle: Path,
    rng: np.random.Generator,
) -> Tensors:
    check, field = Check(config, bundle), f"model_warmup[{index}]"
    if not config.max_batch_size and sample.rows != 1:
        raise check.fault(
            f"{field}.batch_size", f"got {sample.rows}, expected 1, since there is no max_batch_size"
        )
    if config.max_batch_size and sample.rows > config.max_batch_size:
        raise check.fault(
            f"{field}.batch_size",
            f"got {sample.rows}, expected at most max_batch_size, {config.max_batch_size}",
        )
    known = {spec.name: spec for spec in specs}
    if known.keys() != sample.inputs.keys():
        raise check.fault(
            f"{field}.inputs", f"got {', '.join(sample.inputs) or 'none'}, expected {', '.join(known)}"
        )
    tensors: dict[str, Array] = {}
    for name, spec in known.items():
        tensor, at = sample.inputs[name], f"{field}.inputs.{name}"
        if tensor.datatype is not spec.datatype:
            raise check.fault(
                f"{at}.data_type", f"got {typed(tensor.datatype)}, expected {typed(spec.datatype)}"
            )
        tensors[name] = _as_the_graph_takes(check, at, tensor, spec, sample.rows, rng)
    return tensors


def _as_the_graph_takes(
    check: Check, field: str, tensor: WarmupInput, spec: TensorSpec, rows: int, rng: np.random.Generator
) -> Array:
    entry = entry_of(check.config.inputs, spec.name)
    batched = bool(check.config.max_batch_size)
    dims = shown_spec(spec, entry, batched=batched).shape
    tail = dims[1:] if batched else dims
    if tail and (len(tail) != len(tensor.dims) or any(
        want not in (-1, axis) for want, axis in zip(tail, tensor.dims, strict=True)
    )):  # fmt: skip
        raise check.fault(f"{field}.dims", f"got {list(tensor.dims)}, expected {list(tail)}")
    array = _data(check, field, tensor, rng)
    if batched:
        array = np.repeat(array[None], rows, axis=0)
    for shape in () if entry is None else graph_shapes(spec, entry, batched=batched):
        array = Reshape(tensor.dims, shape, batched)(array)
    return array


def _data(check: Check, field: str, tensor: WarmupInput, rng: np.random.Generator) -> Array:
    datatype, dims = tensor.datatype, tensor.dims
    if tensor.file is not None:
        return _from_file(check, field, _read(check, field, tensor.file), datatype, dims)
    if datatype is DataType.BYTES:
        return np.full(dims, "", dtype=np.object_)
    if not tensor.random:
        return np.zeros(dims, datatype.dtype)
    if datatype is DataType.BF16:
        return (rng.random(dims, np.float32).view("<u4") >> 16).astype(datatype.dtype)
    if datatype.dtype.kind == "f":
        return rng.random(dims).astype(datatype.dtype)
    return rng.integers(0, 2, dims).astype(datatype.dtype)


def _read(check: Check, field: str, file: Path) -> bytes:
    try:
        return read_regular(file, _MOST_BYTES)
    except OSError as error:
        raise check.fault(f"{field}.input_data_file", f"it cannot be read: {said_of(error)}") from error
    except UnfitFile as error:
        raise check.fault(f"{field}.input_data_file", str(error)) from error


def _from_file(check: Check, field: str, data: bytes, datatype: DataType, dims: Shape) -> Array:
    """Raw numbers in row-major order; of BYTES each behind its length, as in a binary request."""
    expected = prod(dims)
    if datatype is not DataType.BYTES:
        if len(data) != expected * datatype.dtype.itemsize:
            raise check.fault(
                f"{field}.input_data_file",
                f"got {counted(len(data), 'byte')}, expected {expected * datatype.dtype.itemsize} for {list(dims)}",
            )
        return np.frombuffer(data, datatype.dtype).reshape(dims)
    elements: list[str] = []
    place = 0
    while place + _LENGTH.itemsize <= len(data):
        start = place + _LENGTH.itemsize
        place = start + int.from_bytes(data[place:start], "little")
        elements.append(data[start:place].decode("utf-8", "replace"))
    if len(elements) != expected or place != len(data):
        raise check.fault(
            f"{field}.input_data_file",
            f"got {counted(len(elements), 'element')} in {counted(len(data), 'byte')}, "
            f"expected {expected}, each behind its length",
        )
    return np.array(elements, dtype=np.object_).reshape(dims)
