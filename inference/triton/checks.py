"""Holds the tensors of a `config.pbtxt` against those of the graph."""

from dataclasses import dataclass
from pathlib import Path

from inference.errors import ConfigInvalid
from inference.manifest import Manifest, TensorSpec
from inference.triton.config import TensorEntry, TritonConfig
from inference.triton.fields import CONFIG_FILE
from inference.triton.shapes import Shape, is_scalar, same_elements
from inference.values import DataType


@dataclass(frozen=True, slots=True)
class Check:
    """Holds a configuration's tensors against a manifest's."""

    config: TritonConfig
    bundle: Path

    def first_axes(self, manifest: Manifest) -> None:
        """Refuse a `max_batch_size` on tensors that have no batch."""
        limit = self.config.max_batch_size
        for kind, specs in (("input", manifest.inputs), ("output", manifest.outputs)):
            for spec in specs:
                # ONNX Runtime tells an unknown rank and no axes alike: an output's axes are then found when it runs.
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
            listed: set[str] = set()
            for entry in entries:
                spec = known.get(entry.name)
                if spec is None or entry.name in listed:
                    expected = "each tensor once" if spec else f"one of the graph's, {', '.join(known)}"
                    raise self.fault(f"{entry.field}.name", f"got {entry.name!r}, expected {expected}")
                listed.add(entry.name)
                self._tensor(entry, spec)

    def _tensor(self, entry: TensorEntry, spec: TensorSpec) -> None:
        if entry.datatype not in (None, spec.datatype):
            raise self.fault(
                f"{entry.field}.data_type",
                f"got {typed(entry.datatype)}, expected the graph's, {typed(spec.datatype)}",
            )
        if entry.reshape is not None:
            if not same_elements(entry.dims, entry.reshape):
                raise self.fault(
                    f"{entry.field}.reshape.shape",
                    f"got {list(entry.reshape)}, expected as many elements as dims, {list(entry.dims)}, before, "
                    "between and after their axes of -1",
                )
            self._fits(f"{entry.field}.reshape.shape", entry.reshape, spec)
        elif entry.dims and not is_scalar(entry, spec, batched=bool(self.config.max_batch_size)):
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
        """The usual mistake: whether the batch is among the dims."""
        if self.config.max_batch_size and len(dims) == len(spec.shape):
            return " (with a max_batch_size, dims leave out the batch)"
        if not self.config.max_batch_size and len(dims) == len(spec.shape) - 1:
            return " (without a max_batch_size, dims have the batch too)"
        return ""

    def fault(self, field: str, reason: str) -> ConfigInvalid:
        return ConfigInvalid(self.bundle, f"{CONFIG_FILE}: {field}: {reason}")


def typed(datatype: DataType | None) -> str:
    return f"TYPE_{'STRING' if datatype is DataType.BYTES else datatype}"
