"""A model's tensors as its `config.pbtxt` has them: held against the graph, as callers see them, and in between.

Two manifests of one model: what the graph takes, by which it is loaded, batched and run, and what callers are shown
and held to, which is the same but for narrower axes, reshapes and outputs that are kept back.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from inference.errors import ConfigInvalid
from inference.manifest import Manifest, TensorSpec
from inference.triton_config import CONFIG_FILE, TensorEntry, TritonConfig, Warmup, WarmupInput
from inference.values import Array, DataType, Tensors

Shape = tuple[int, ...]

_LENGTH = np.dtype("<u4")  # before each element of a BYTES file


@dataclass(frozen=True, slots=True)
class Reshape:
    """From one shape to another with as many elements; both without the batch where there is one."""

    source: Shape
    target: Shape
    batched: bool

    def __call__(self, array: Array) -> Array:
        """The same elements; ValueError where they are not as many."""
        rows = array.shape[:1] if self.batched else ()
        sizes = array.shape[len(rows) :]
        free = (size for size, axis in zip(sizes, self.source, strict=False) if axis < 0)
        return array.reshape((*rows, *(next(free, -1) if axis < 0 else axis for axis in self.target)))


@dataclass(frozen=True, slots=True)
class Asked:
    """A model as callers see it: its manifest to them, and the reshapes between them and the graph, by tensor."""

    manifest: Manifest
    inputs: Mapping[str, Reshape]
    outputs: Mapping[str, Reshape]


def bounded(config: TritonConfig, manifest: Manifest, bundle: Path, *, derived: bool) -> Manifest:
    """The manifest with the configuration's limit of rows; `ConfigInvalid` where the tensors do not agree.

    A `derived` manifest knows no more than the graph, so the configuration says whether it takes batches. A bundle's
    rows are proved to be independent, and its own limit stays the upper one.
    """
    check = _Check(config, bundle)
    limit = config.max_batch_size
    if limit:
        check.first_axes(manifest)
    elif not derived:
        check.leaves_rows_alone()
    rows = _rows(config, manifest, derived=derived)
    found = manifest.model_copy(update={"max_batch_size": rows})
    check.tensors(found)
    warmup_tensors(config, found.inputs, bundle)
    return found


def asked(config: TritonConfig | None, manifest: Manifest) -> Asked:
    """What callers see of a model whose `manifest` is `bounded` already."""
    if config is None:
        return Asked(manifest, {}, {})
    batched = bool(config.max_batch_size)
    inputs = [(spec, _entry_of(config.inputs, spec.name)) for spec in manifest.inputs]
    outputs = [(spec, _entry_of(config.outputs, spec.name)) for spec in manifest.outputs]
    if config.outputs:
        outputs = [(spec, entry) for spec, entry in outputs if entry is not None]
    shown = manifest.model_copy(
        update={
            "inputs": tuple(_shown(spec, entry, batched=batched) for spec, entry in inputs),
            "outputs": tuple(_shown(spec, entry, batched=batched) for spec, entry in outputs),
        }
    )
    return Asked(
        shown,
        {
            spec.name: Reshape(entry.dims, target, batched)
            for spec, entry in inputs
            if entry is not None
            for target in _graph_shapes(spec, entry, batched=batched)
        },
        {
            spec.name: Reshape(source, entry.dims, batched)
            for spec, entry in outputs
            if entry is not None
            for source in _graph_shapes(spec, entry, batched=batched)
        },
    )


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


def _rows(config: TritonConfig, manifest: Manifest, *, derived: bool) -> int:
    """Rows of a batch at most; 0: none are put together."""
    limit, own = config.max_batch_size, manifest.max_batch_size
    entries = (*config.inputs, *config.outputs)
    if limit is None:
        # Without a max_batch_size `dims` are whole shapes: what they say of the first axis holds for it.
        whole = all(entry.reshape is None and entry.dims[:1] in ((), (-1,)) for entry in entries)
        return own if whole or not derived else 0
    if derived:
        return limit
    return min(limit or 1, own)  # a bundle's rows need not meet, and are rows all the same


@dataclass(frozen=True, slots=True)
class _Check:
    """Holds a configuration's tensors against a manifest's."""

    config: TritonConfig
    bundle: Path

    def first_axes(self, manifest: Manifest) -> None:
        """Refuse a `max_batch_size` on tensors that have no batch."""
        limit = self.config.max_batch_size
        for kind, specs in (("input", manifest.inputs), ("output", manifest.outputs)):
            for spec in specs:
                # ONNX Runtime tells an unknown rank and no axes alike: what an output then has is found when it runs.
                if spec.shape[:1] != (-1,) and (spec.shape or kind == "input"):
                    raise self.fault(
                        "max_batch_size",
                        f"got {limit}, but the graph's {kind} {spec.name!r} has shape {list(spec.shape)}, whose first "
                        "axis is no batch: expected max_batch_size: 0 and dims with all axes",
                    )

    def leaves_rows_alone(self) -> None:
        """Refuse whole shapes under which the rows of a trained bundle, which are made one by one, are no rows."""
        for entry in (*self.config.inputs, *self.config.outputs):
            if entry.reshape is not None or entry.dims[:1] not in ((), (-1,), (1,)):
                raise self.fault(
                    f"{entry.field}.dims",
                    "got a fixed first axis or a reshape without max_batch_size, expected -1 first: a bundle with "
                    "a manifest takes rows",
                )

    def tensors(self, manifest: Manifest) -> None:
        """Refuse names, datatypes and shapes that are not the graph's, and reshapes that cannot be made."""
        for entries, specs in (
            (self.config.inputs, manifest.inputs),
            (self.config.outputs, manifest.outputs),
        ):
            known = {spec.name: spec for spec in specs}
            seen: set[str] = set()
            for entry in entries:
                spec = known.get(entry.name)
                if spec is None or entry.name in seen:
                    expected = "each tensor once" if spec else f"one of the graph's, {', '.join(known)}"
                    raise self.fault(f"{entry.field}.name", f"got {entry.name!r}, expected {expected}")
                seen.add(entry.name)
                self._tensor(entry, spec)

    def _tensor(self, entry: TensorEntry, spec: TensorSpec) -> None:
        if entry.datatype not in (None, spec.datatype):
            raise self.fault(
                f"{entry.field}.data_type",
                f"got {_typed(entry.datatype)}, expected the graph's, {_typed(spec.datatype)}",
            )
        if entry.reshape is not None:
            if not _same_elements(entry.dims, entry.reshape):
                raise self.fault(
                    f"{entry.field}.reshape.shape",
                    f"got {list(entry.reshape)}, expected as many elements as dims, {list(entry.dims)}, before, "
                    "between and after their axes of -1",
                )
            self._fits(f"{entry.field}.reshape.shape", entry.reshape, spec)
        elif entry.dims and not _scalar(entry, spec, batched=bool(self.config.max_batch_size)):
            self._fits(f"{entry.field}.dims", entry.dims, spec)

    def _fits(self, field: str, dims: Shape, spec: TensorSpec) -> None:
        if not spec.shape or spec.any_shape:  # an unknown rank: nothing to hold it against
            return
        batched = bool(self.config.max_batch_size)
        tail = spec.shape[1:] if batched else spec.shape
        if len(dims) == len(tail) and all(
            axis == known or -1 in (axis, known) for axis, known in zip(dims, tail, strict=True)
        ):
            return
        raise self.fault(
            field, f"got {list(dims)}, expected the graph's, {list(tail)}{self._hint(dims, spec)}"
        )

    def _hint(self, dims: Shape, spec: TensorSpec) -> str:
        """What people forget: whether the batch is among the dims."""
        if self.config.max_batch_size and len(dims) == len(spec.shape):
            return " (with a max_batch_size, dims leave out the batch)"
        if not self.config.max_batch_size and len(dims) == len(spec.shape) - 1:
            return " (without a max_batch_size, dims have the batch too)"
        return ""

    def fault(self, field: str, reason: str) -> ConfigInvalid:
        return ConfigInvalid(self.bundle, f"{CONFIG_FILE}: {field}: {reason}")


def _shown(spec: TensorSpec, entry: TensorEntry | None, *, batched: bool) -> TensorSpec:
    """The tensor as callers see it: the entry's dims where they say more than the graph."""
    if entry is None or not entry.dims:
        return spec
    dims = entry.dims
    if (
        spec.shape
        and not spec.any_shape
        and entry.reshape is None
        and not _scalar(entry, spec, batched=batched)
    ):
        tail = spec.shape[1:] if batched else spec.shape
        dims = tuple(known if axis < 0 else axis for axis, known in zip(dims, tail, strict=True))
    return spec.model_copy(update={"shape": (-1, *dims) if batched else dims, "any_shape": False})


def _graph_shapes(spec: TensorSpec, entry: TensorEntry, *, batched: bool) -> Iterator[Shape]:
    """The shape that the graph has where it is another than `dims`."""
    if entry.reshape is not None:
        yield entry.reshape
    elif _scalar(entry, spec, batched=batched):
        yield ()


def _scalar(entry: TensorEntry, spec: TensorSpec, *, batched: bool) -> bool:
    """Whether the entry is Triton's way to say a tensor without axes (but the batch): it has no other for it."""
    tail = spec.shape[1:] if batched else spec.shape
    return (
        not tail
        and not spec.any_shape
        and bool(entry.dims)
        and set(entry.dims) == {1}
        and entry.reshape is None
    )


def _same_elements(dims: Shape, shape: Shape) -> bool:
    """As many elements between the axes that vary, so that what varies is carried over one to one."""
    return _counts(dims) == _counts(shape)


def _counts(shape: Shape) -> list[int]:
    counts = [1]
    for axis in shape:
        if axis < 0:
            counts.append(1)
        else:
            counts[-1] *= axis
    return counts


def _entry_of(entries: Sequence[TensorEntry], name: str) -> TensorEntry | None:
    return next((entry for entry in entries if entry.name == name), None)


def _typed(datatype: DataType | None) -> str:
    return f"TYPE_{'STRING' if datatype is DataType.BYTES else datatype}"


def _sample(
    config: TritonConfig,
    index: int,
    sample: Warmup,
    specs: Sequence[TensorSpec],
    bundle: Path,
    rng: np.random.Generator,
) -> Tensors:
    check, field = _Check(config, bundle), f"model_warmup[{index}]"
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
                f"{at}.data_type", f"got {_typed(tensor.datatype)}, expected {_typed(spec.datatype)}"
            )
        tensors[name] = _as_the_graph_takes(check, at, tensor, spec, sample.rows, rng)
    return tensors


def _as_the_graph_takes(
    check: _Check, field: str, tensor: WarmupInput, spec: TensorSpec, rows: int, rng: np.random.Generator
) -> Array:
    entry = _entry_of(check.config.inputs, spec.name)
    batched = bool(check.config.max_batch_size)
    dims = _shown(spec, entry, batched=batched).shape
    tail = dims[1:] if batched else dims
    if tail and (len(tail) != len(tensor.dims) or any(
        want not in (-1, axis) for want, axis in zip(tail, tensor.dims, strict=True)
    )):  # fmt: skip
        raise check.fault(f"{field}.dims", f"got {list(tensor.dims)}, expected {list(tail)}")
    array = _data(check, field, tensor, rng)
    if batched:
        array = np.repeat(array[None], rows, axis=0)
    for shape in () if entry is None else _graph_shapes(spec, entry, batched=batched):
        array = Reshape(tensor.dims, shape, batched)(array)
    return array


def _data(check: _Check, field: str, tensor: WarmupInput, rng: np.random.Generator) -> Array:
    datatype, dims = tensor.datatype, tensor.dims
    if tensor.file is not None:
        return _from_file(check, field, tensor.file.read_bytes(), datatype, dims)
    if datatype is DataType.BYTES:
        return np.full(dims, "", dtype=np.object_)
    if not tensor.random:
        return np.zeros(dims, datatype.dtype)
    if datatype is DataType.BF16:
        return (rng.random(dims, np.float32).view("<u4") >> 16).astype(datatype.dtype)
    if datatype.dtype.kind == "f":
        return rng.random(dims).astype(datatype.dtype)
    return rng.integers(0, 2, dims).astype(datatype.dtype)


def _from_file(check: _Check, field: str, data: bytes, datatype: DataType, dims: Shape) -> Array:
    """Raw numbers in row-major order; of BYTES each behind its length, as in a binary request."""
    expected = prod(dims)
    if datatype is not DataType.BYTES:
        if len(data) != expected * datatype.dtype.itemsize:
            raise check.fault(
                f"{field}.input_data_file",
                f"got {len(data)} bytes, expected {expected * datatype.dtype.itemsize} for {list(dims)}",
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
            f"got {len(elements)} elements in {len(data)} bytes, expected {expected}, each behind its length",
        )
    return np.array(elements, dtype=np.object_).reshape(dims)
